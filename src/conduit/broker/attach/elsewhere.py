"""Where durable subscriptions run that do not run here: the port for whoever knows other nodes."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import NamedTuple, Protocol

from conduit.errors import ConduitError, Conflict, NotFound
from conduit.protocol.frames import Acked, ErrorFrame, Subscribe

Told = Callable[[ConduitError | ErrorFrame | None], None]
"""What came of a verb: None if it is recorded. Called once."""


NOTHING = Conflict("nothing that is open was given up to that number")
"""For `Told`: an ack up to a number is in order, and has settled nothing."""


class Ending(Enum):
    """Why an attachment has ended."""

    GONE = auto()
    """The owner or the way to it is lost, perhaps with something that was on its way."""
    MOVED = auto()
    """It runs elsewhere now; all that was sent before has come."""
    LEFT = auto()
    """All is done that the client had asked before it left, and all has come."""
    DELETED = auto()
    TOPIC_DELETED = auto()


class Welcome(NamedTuple):
    """What the owner says first."""

    subscription_id: int
    window: int
    """Deliveries that the client may have out; 0: they are settled by being written."""
    frame: bytes
    """The `subscribed`, for the client."""


class Visitor(Protocol):
    """The subscriber here of a subscription that runs elsewhere. Calls are on the loop's thread."""

    @property
    def is_heard(self) -> bool:
        """False while something that the client has sent may not have been said to the owner."""

    @property
    def is_draining(self) -> bool:
        """Whether what comes is written at once."""

    def welcomed(self, welcome: Welcome) -> None:
        """It is subscribed: deliveries follow."""

    def came(self, data: bytes, size_bytes: int) -> None:
        """Whole frames for the client. `Line.take` so many bytes when its socket has taken them."""

    def answered(self, answer: Acked | ErrorFrame) -> None:
        """What came of a verb that had a `ref`."""

    def answered_nothing(self, ref: str) -> None:
        """The same: an ack up to a number has settled nothing."""

    def resized(self, window: int) -> None:
        """The client may have so many deliveries out from now on."""

    def grown(self) -> None:
        """The line keeps more of what has come in part."""

    def room(self) -> None:
        """`Line.say` has said no: it is worth trying again."""

    def refused(self, error: ConduitError) -> None:
        """It is not subscribed. The last call."""

    def ended(self, why: Ending) -> None:
        """The attachment has ended. The last call; not after `Line.end`."""


class Line(Protocol):
    """What goes to the owner."""

    def say(self, text: bytes) -> bool:
        """A client's frame; False if there is no room now."""

    def take(self, size_bytes: int) -> None:
        """The client's socket drains, and has taken so much of what `came`."""

    @property
    def size_bytes(self) -> int:
        """What it keeps of what has come in part."""

    def hold(self, is_held: bool) -> None:
        """Whether the client's socket does not drain: then nothing more should come."""

    def let_go(self) -> None:
        """The client does not wait for what has come in part either."""

    def end(self, *, lost: bool) -> None:
        """The client is gone, behind all that was said; `lost`: see `Connection.close`. Idempotent."""


class Elsewhere(Protocol):
    """The other nodes."""

    def owner_of(self, tenant: str, subscription: str) -> str | None:
        """The node that is to run it; None: this one."""

    def attach(self, owner: str, tenant: str, frame: Subscribe, visitor: Visitor) -> Line:
        """Subscribe at that node. Raises Unavailable if it cannot be reached, LimitReached if the frame is
        too large."""

    async def in_turn(self) -> None:
        """Wait until it is this one's turn, of all that look for an owner."""

    async def changed(self, timeout_s: float) -> None:
        """Wait until other nodes may be owners, or can be reached, and no longer than that."""


def not_found(why: Ending) -> NotFound:
    """What a subscribe is refused with that has ended so."""
    code = "subscription_not_found" if why is Ending.DELETED else "topic_not_found"
    return NotFound("it was deleted meanwhile", code=code)
