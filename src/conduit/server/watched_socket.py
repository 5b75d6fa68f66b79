"""The bounds of one WebSocket beside all others: when a message must have come whole, and what is kept.

As with HTTP (`watched.py`) the node's quota is told when something grows that has not come to an end, and
by the sweep: once a second of what it was told of, and of all else with every look.
"""

from __future__ import annotations

import abc

from conduit.core.quota import Kind
from conduit.errors import ConduitError, Overloaded, RequestError
from conduit.protocol.codes import CLOSE_LATE, CLOSE_SLOW, CLOSE_TRY_LATER
from conduit.server import kernel
from conduit.server.context import Context
from conduit.server.handshake import renew
from conduit.server.incoming import Incoming
from conduit.server.websocket import WebSocket

# A buffer that is not larger stays with its connection, so that ordinary frames do not make it anew …
BUFFER_KEPT_BYTES = 4_096
# … and a larger one for so long, if frames come all the time.
BUFFER_KEPT_S = 30.0
# Up to here a buffer may be large because many frames came at once, and is not counted for that; beyond,
# it is for one frame alone.
BUFFER_SHARED_BYTES = 65_536


# In so many checks it is looked at once: 20,000 connections are too many to look at all in one turn.
LOOK_EVERY_COUNT = 4


class WatchedWebSocket(WebSocket, abc.ABC):
    """What the sweep and the quota see of a WebSocket."""

    __slots__ = (
        "_buffer_since",
        "_checks_left",
        "_context",
        "_heard_lately",
        "_pending_since",
        "_stuck_bytes",
        "_taken_seen",
        "_undrained_bytes",
        "_weighed",
    )

    def __init__(self, context: Context) -> None:
        super().__init__(context.timing, context.limits.max_frames_per_s)
        self._context = context
        # How often it is checked until it is looked at; and whether a frame came since the last look.
        self._checks_left = 1 + len(context.sessions) % LOOK_EVERY_COUNT
        self._heard_lately = False
        # Since when a look has found a frame that is not whole, and none that was.
        self._pending_since: float | None = None
        # Since when a look has found a buffer that is to be given back.
        self._buffer_since: float | None = None
        # What was not taken at the last look, and what of it was not at the look before either.
        self._stuck_bytes = self._undrained_bytes = 0
        self._taken_seen = 0
        # What the quota was told last: of messages, of frames.
        self._weighed = (0, 0)

    @abc.abstractmethod
    def refuse(self, error: ConduitError, close_code: int) -> None:
        """The connection cannot go on: say why, then end it."""

    @property
    @abc.abstractmethod
    def start_bytes(self) -> int:
        """Of a message that came whole: what is kept of it until it is its turn."""

    @property
    @abc.abstractmethod
    def gap_bytes(self) -> int:
        """What is kept to be written when the socket drains."""

    def check(self, now: float) -> None:
        """Act on what is overdue; see `WebSocket.check`."""
        if self._heard:
            self._heard_lately = True
            if self._weighed[0] and self.unfinished is None:
                # Message after message comes whole, through the same buffer.
                self._context.moved(self, Kind.MESSAGE)
        self._checks_left -= 1
        if not self._checks_left:
            self._checks_left = LOOK_EVERY_COUNT
            self._look(now)
        elif self._weighed != (0, 0):
            # Of those who have kept something, most have not for long.
            self._weigh()
        super().check(now)

    def _look(self, now: float) -> None:
        if self._source is None:
            return
        self._give_back(self._source, now)
        if self._is_overdue(self._source, now):
            self._context.closings.count("message", self._transport)
            error = RequestError("a message did not come whole in time", code="request_timeout")
            self.refuse(error, CLOSE_LATE)
        self._heard_lately = False
        self._weigh(looked=True)
        if self._weighed[1]:
            before, self._taken_seen = self._taken_seen, self._taken_bytes()
            if self._taken_seen - before >= LOOK_EVERY_COUNT * self._timing.min_bytes_per_s:
                self._context.moved(self, Kind.QUEUE)

    def on_growing(self) -> None:
        """See `WebSocket.on_growing`."""
        if not self.closing:
            self._weigh()

    def on_frequent(self, is_frequent: bool) -> None:
        """See `WebSocket.on_frequent`: count it."""
        self._context.broker.stats.frames_held_count += is_frequent

    @property
    def address(self) -> str:
        """See `Keeping.address`."""
        return kernel.peer_address(self._transport)

    def give_way(self, kind: Kind) -> None:
        """All connections together keep too much, and it is this one that has to: let go."""
        self._context.closings.count("memory", self._transport)
        if kind is Kind.QUEUE:
            self._closing_with = CLOSE_SLOW
            self.on_slow()
        else:
            # Perhaps it arrives: what the peer is sending will never be read, and that ends a connection.
            self.refuse(
                Overloaded("the server keeps as much for connections as it may"), CLOSE_TRY_LATER
            )
        self.abort()

    def _give_back(self, source: Incoming, now: float) -> None:
        """Have a smaller buffer, if this one is empty and was not needed lately, or is old."""
        if source.size_bytes <= BUFFER_KEPT_BYTES or self.closing:
            self._buffer_since = None
        elif self._buffer_since is None:
            self._buffer_since = now
        elif source.is_idle and (
            not self._heard_lately or now - self._buffer_since >= BUFFER_KEPT_S
        ):
            self._buffer_since = None
            renew(self._transport, self, self._max_message_bytes, self._context.intake)

    def _is_overdue(self, source: Incoming, now: float) -> bool:
        """Whether a message, or a frame of it, has taken longer than it may."""
        if self.closing or not self._transport.is_reading():
            # While we do not read, nothing can come whole.
            self._pending_since = None
            if self.unfinished is not None:
                self.unfinished.seen_at = None
            return False
        if self._heard_lately or not source.pending_bytes:
            self._pending_since = None
        elif self._pending_since is None:
            self._pending_since = now
        begun = [self._pending_since]
        if self.unfinished is not None:
            if self.unfinished.seen_at is None:
                self.unfinished.seen_at = now
            begun.append(self.unfinished.seen_at)
        allowed_s = self._context.limits.body_timeout_s
        return any(since is not None and now - since > allowed_s for since in begun)

    def _weigh(self, *, looked: bool = False) -> None:
        """Tell the quota what is kept, if that is another amount than before."""
        source = self._source
        if source is None:
            return
        is_shared = source.size_bytes <= BUFFER_SHARED_BYTES
        message_bytes = source.rest_bytes + (
            source.pending_bytes if is_shared else source.size_bytes
        )
        source.told_bytes = source.pending_bytes + source.rest_bytes
        if self.unfinished is not None:
            message_bytes += len(self.unfinished.data)
        if looked:
            # What a healthy socket takes within a few seconds does not count: it is often the same bytes for
            # thousands of subscribers, and there once.
            unsent_bytes = self._transport.get_write_buffer_size()
            self._undrained_bytes = min(unsent_bytes, self._stuck_bytes)
            self._stuck_bytes = unsent_bytes
        message_bytes += self.start_bytes
        queue_bytes = self._undrained_bytes + self.gap_bytes
        if (message_bytes, queue_bytes) != self._weighed:
            self._weighed = (message_bytes, queue_bytes)
            self._context.keep(self, Kind.MESSAGE, message_bytes)
            self._context.keep(self, Kind.QUEUE, queue_bytes)
