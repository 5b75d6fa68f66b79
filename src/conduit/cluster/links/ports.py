"""What a link stands between: a socket below it, and above it what the frames are for."""

from __future__ import annotations

from typing import Protocol

from conduit.cluster.links.channels import Channel, ChannelUser
from conduit.cluster.links.handshake import Identity
from conduit.cluster.links.requests import Asked


class Wire(Protocol):
    """A socket. It hands each message to its Receiver, and tells it when it takes more, and of its end."""

    @property
    def is_writable(self) -> bool:
        """Whether it takes more: its own buffer is short."""

    @property
    def unsent_bytes(self) -> int:
        """What it was given and the system has not taken."""

    def send(self, message: bytes) -> None:
        """Write one message; nothing after `close` or `abort`."""

    def close(self, code: int, reason: str) -> None:
        """Say so, behind what was sent, and end when the other side has heard it."""

    def abort(self) -> None:
        """End at once. Idempotent."""

    def pause_reading(self) -> None:
        """Leave what comes to the system. Idempotent."""

    def resume_reading(self) -> None:
        """Undo that. Idempotent."""


class Receiver(Protocol):
    """A link, as its socket sees it."""

    def received(self, data: bytes) -> None:
        """One message has come."""

    def flush(self) -> None:
        """The socket takes more again."""

    def broken(self, why: str) -> None:
        """The socket carries nothing more, and will end."""

    def lost(self, why: str) -> None:
        """The socket has ended. The last call."""


class Service(Protocol):
    """What a node does for others: what their frames mean. Calls are on the loop's thread and do not wait."""

    def on_hint(self, node: Identity, body: bytes) -> None:
        """A hint has come."""

    def on_request(self, node: Identity, asked: Asked) -> None:
        """Something is asked: answer by `asked`, now or later. A ConduitError that is raised answers it."""

    def on_channel(self, node: Identity, channel: Channel, kind: str, body: bytes) -> ChannelUser:
        """The other side has opened a channel; returns for whom. Raises ConduitError to refuse it."""


class Watcher(Protocol):
    """Who wants to know which nodes there are links to. Calls come on the loop's thread."""

    def link_up(self, node: Identity) -> None:
        """There is a link. If it takes the place of another one to that node, `link_down` has come before."""

    def link_down(self, node: Identity, why: str) -> None:
        """It is gone. Requests on it and channels fail by themselves, each for itself, from now on."""
