"""The bounds of one HTTP connection: how long it may stand still, how slowly its answers may be read, and
what it keeps in memory.

No clock is read as bytes arrive: the sweep, which comes once a second, sees what stands still. What a
connection keeps is told to the node's quota when it grows without coming to an end, and by the sweep.
"""

from __future__ import annotations

import abc
import asyncio
import math
from typing import TYPE_CHECKING, ClassVar

from conduit.core.drain import Drain
from conduit.core.quota import Kind
from conduit.errors import ConduitError, Overloaded, RequestError
from conduit.server import kernel
from conduit.server.context import Context
from conduit.server.entrance import IDLE_S, SPARE_TIMEOUT_S, Excess
from conduit.server.framing import Framer, Phase, Request
from conduit.server.head import Head, Route

if TYPE_CHECKING:
    from collections import deque

    from conduit.server.slot import Slot

# How long a peer may go on sending after the last answer. Closing at once would reset a connection
# that has unread input, and the peer could lose the answer that says why.
LINGER_S = 2.0


class Watched(asyncio.Protocol, abc.ABC):
    """What the sweep and the quota see of a connection. The subclass does what it is there for."""

    __slots__ = (
        "_body_bytes",
        "_drain",
        "_ending",
        "_excess",
        "_is_weighed",
        "_seen",
        "_seen_at",
        "_taken_bytes",
        "_weighed",
    )

    context: ClassVar[Context]

    # Of the subclass.
    _transport: asyncio.Transport | None
    _framer: Framer
    _slots: deque[Slot]
    _busy: bool
    _held: Request | None
    _lingering: bool
    _stalled: bool
    _taken_count: int

    def __init__(self) -> None:
        # No further request is taken: the connection ends with the last answer.
        self._ending = False
        # Why it is one connection too many, if it is.
        self._excess: Excess | None = None
        # What the sweep found last, and when it found it first.
        self._seen: tuple[str, int, int] | None = None
        self._seen_at = 0.0
        # Since there is something that the peer has not taken.
        self._drain: Drain | None = None
        # What the last sweep that found something unsent has seen taken.
        self._taken_bytes = 0
        # Of the request that has the connection to itself, or waits for that.
        self._body_bytes = 0
        # What the quota was told last: of requests, of answers.
        self._weighed = (0, 0)
        self._is_weighed = False

    @abc.abstractmethod
    def refuse(self, error: ConduitError) -> None:
        """The connection cannot go on: say why, then end it."""

    @property
    @abc.abstractmethod
    def _is_answering(self) -> bool:
        """Whether there is an answer to come."""

    @property
    @abc.abstractmethod
    def _unsent_bytes(self) -> int:
        """What is written and the peer has not taken."""

    @property
    @abc.abstractmethod
    def _written_bytes(self) -> int:
        """Grows by what a request that had the connection to itself was answered."""

    # Time -----------------------------------------------------------------------------------------

    def sweep(self, now: float) -> None:
        """Act if the connection has stood still for too long; `now` is of `Context.now`.

        Time counts from the first sweep that sees a state, so a deadline is late by up to the time
        between two sweeps.
        """
        unsent_bytes = self._unsent_bytes
        # Of most connections there is nothing, and they are many.
        if unsent_bytes or self._is_answering or self._is_weighed or not self._framer.is_empty:
            self._weigh(swept=True)
            if unsent_bytes and self._is_read_too_slowly(unsent_bytes, now):
                self._cut("unread")
                return
        state, allowed_s = self._standstill(unsent_bytes)
        seen = (state, self._taken_count, unsent_bytes)
        if seen != self._seen:
            self._seen, self._seen_at = seen, now
            return
        if state == "request":
            # Who is idle leaves no credential in memory.
            self._framer.forget_last()
        if now - self._seen_at > allowed_s:
            self._expire(state)
        elif self.context.entrance.is_crowded and self._could_leave(state, now):
            self.context.entrance.note_quiet(self)

    def _is_read_too_slowly(self, unsent_bytes: int, now: float) -> bool:
        is_new = self._seen is None or self._seen[:2] != ("unread", self._taken_count)
        if self._drain is None or is_new:
            # All was read meanwhile; or requests were taken, and of their answers nobody counts the bytes.
            self._drain = Drain()
        assert self._transport is not None
        untaken_bytes = unsent_bytes + kernel.untaken_bytes(self._transport)
        before, self._taken_bytes = self._taken_bytes, self._written_bytes - untaken_bytes
        if self._taken_bytes - before >= self.context.pace.min_bytes_per_s:
            self.context.moved(self, Kind.ANSWER)
        return self._drain.is_too_slow(self._written_bytes, untaken_bytes, now, self.context.pace)

    def _standstill(self, unsent_bytes: int) -> tuple[str, float]:
        """What the connection waits for, and how long it may."""
        limits = self.context.limits
        if unsent_bytes:
            return "unread", math.inf
        if self._lingering:
            return "linger", LINGER_S
        if self._is_answering or self._stalled:
            # What stalls has come, and waits for us.
            return "answer", math.inf
        if self._excess is not None:
            return "spare", SPARE_TIMEOUT_S
        phase = self._framer.phase
        if phase is Phase.HEAD:
            return "head", limits.header_timeout_s
        if phase is Phase.BODY:
            return "body", limits.body_timeout_s
        if not self._taken_count:
            return "silent", limits.silent_timeout_s
        return "request", limits.keep_alive_s

    def _expire(self, state: str) -> None:
        if state == "spare" and self._excess is not None:
            self.context.closings.count(self._excess.value, self._transport)
            self.refuse(self._excess.error())
        elif state == "silent":
            self._cut("silent")
        elif state in ("head", "body"):
            self.context.closings.count(state, self._transport)
            detail = f"the request's {state} did not arrive in time"
            self.refuse(RequestError(detail, code="request_timeout"))
        else:
            self.abort()

    # Room for others ------------------------------------------------------------------------------

    def _turn_away(self, excess: Excess, head: Head) -> None:
        """Answer no more than this, and only if it is a probe's, or another node's. Raises ConduitError."""
        self._ending = True
        is_node = head.route is Route.LINK and self.context.links is not None
        # A node that links is no client, and what is full of these must not cut it off.
        if not (is_node or head.route in (Route.PROBE, Route.SCRAPE)):
            self.context.closings.count(excess.value, self._transport)
            if head.is_publish:
                self.context.broker.refused_publishes.add(excess.error())
            # What follows is not looked at.
            self._framer.forget()
            raise excess.error()

    def _could_leave(self, state: str, now: float) -> bool:
        """Whether it has not begun to ask for anything since the last sweep, or is idle for some time."""
        if state in ("silent", "head"):
            return not self._taken_count
        return state == "request" and now - self._seen_at >= IDLE_S

    def displace(self) -> bool:
        """See `Guest.displace`."""
        is_quiet = self._framer.phase is not Phase.BODY and not (
            self._ending or self._is_answering or self._unsent_bytes
        )
        has_asked = self._taken_count and not self._framer.is_empty
        if not is_quiet or has_asked or self._transport is None:
            return False
        self.context.closings.count("displaced", self._transport)
        self.context.connections.discard(self)
        self._ending = True
        self._transport.close()
        return True

    def drop(self) -> None:
        """See `Guest.drop`."""
        if self._excess is not None and not self._ending:
            self._cut(self._excess.value)
        else:
            # It was told, or served as a probe, and has not gone yet.
            self.abort()

    # Memory ---------------------------------------------------------------------------------------

    def _weigh(self, *, swept: bool = False) -> None:
        """Tell the quota what is kept, if that is another amount than before.

        Of answers that wait for one before them the sweep tells: they are many and small, and each costs
        nothing more than to be written.
        """
        request_bytes = self._framer.kept_bytes + self._body_bytes
        answer_bytes = self._unsent_bytes
        if swept and self._slots:
            answer_bytes += sum(len(slot.data) for slot in self._slots if slot.data is not None)
        weighed = (request_bytes, answer_bytes)
        if weighed != self._weighed:
            self._weighed = weighed
            self._is_weighed = weighed != (0, 0)
            self.context.keep(self, Kind.REQUEST, request_bytes)
            self.context.keep(self, Kind.ANSWER, answer_bytes)

    @property
    def address(self) -> str:
        """See `Keeping.address`."""
        return kernel.peer_address(self._transport)

    def give_way(self, kind: Kind) -> None:
        """All connections together keep too much, and it is this one that has to: let go."""
        has_begun = self._busy and self._held is None
        if kind is Kind.REQUEST and not (has_begun or self._ending):
            self.context.closings.count("memory", self._transport)
            self.refuse(Overloaded("the server keeps as much for connections as it may"))
        else:
            self._cut("memory")

    def abort(self) -> None:
        """See `Connection.abort`."""
        if self._transport is not None:
            self._transport.abort()

    def _cut(self, reason: str) -> None:
        """End it at once: whatever is unsent has waited for long enough."""
        if self._transport is not None:
            self.context.closings.count(reason, self._transport)
            self._transport.abort()
