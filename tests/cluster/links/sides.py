"""Two ends of a link without the link: what one puts the other gets when the test says so."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from conduit.cluster.links.channels import Channel, Channels
from conduit.cluster.links.frames import (
    ChannelClose,
    ChannelFrame,
    ChannelOpen,
    Credit,
    Frame,
    decode,
    message,
)
from conduit.errors import Conflict
from tests.cluster.links.kit import Conversation


class Side:
    """One end of a link: the carrier of its channels."""

    def __init__(self, *, is_dialer: bool) -> None:
        self.is_congested = False
        self.out: deque[Frame] = deque()
        self.steps: deque[Iterator[object]] = deque()
        self.channels = Channels(self, is_dialer=is_dialer)
        self.taken: list[Conversation] = []
        self.takes = True

    def put(self, frame: bytes) -> None:
        self.out.extend(decode(message([frame])))

    def spread(self, steps: Iterator[object]) -> None:
        self.steps.append(steps)

    def accept(self, channel: Channel, kind: str, body: bytes) -> Conversation:
        if kind == "refused":
            raise Conflict("no")
        if kind == "bug":
            raise RuntimeError("a bug in a service")
        self.taken.append(Conversation(takes=self.takes))
        self.taken[-1].channel = channel
        return self.taken[-1]

    def get(self, frame: Frame) -> None:
        if isinstance(frame, ChannelOpen):
            self.channels.opened(frame, self.accept)
        elif isinstance(frame, ChannelFrame):
            self.channels.received(frame)
        elif isinstance(frame, ChannelClose):
            self.channels.closed(frame)
        elif isinstance(frame, Credit):
            self.channels.credited(frame)

    def open(self, kind: str = "k") -> Conversation:
        conversation = Conversation(takes=self.takes)
        conversation.channel = self.channels.open(kind, b"hello", conversation)
        return conversation

    def work(self) -> None:
        while self.steps:
            for _ in self.steps.popleft():
                pass


def carry(*sides: Side) -> None:
    """Let each get what the other has put, until there is nothing more."""
    one, other = sides
    while one.out or other.out:
        if one.out:
            other.get(one.out.popleft())
        if other.out:
            one.get(other.out.popleft())
