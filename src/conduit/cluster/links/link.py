"""One link between two nodes, whichever of them has dialed.

Sending never waits: a frame goes into a line, and what came into it in one turn of the loop leaves with one
write. When the socket takes no more the line grows, up to the bounds of `outgoing.py`. No task and no timer
is a link's own: one sweep (`links.py`) calls `check` of all of them.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from conduit.broker.turn import Turn, guarded
from conduit.cluster.links.channels import Channel, Channels, ChannelUser
from conduit.cluster.links.counts import LinkCounts
from conduit.cluster.links.frames import (
    ChannelClose,
    ChannelFrame,
    ChannelOpen,
    Credit,
    Failure,
    Hint,
    Ping,
    Pong,
    Reply,
    Request,
    decode,
    encode,
)
from conduit.cluster.links.handshake import Identity, Proved
from conduit.cluster.links.liveness import PING_TIMEOUT_S, Pings
from conduit.cluster.links.outgoing import QUEUE_MAX_BYTES, Outgoing
from conduit.cluster.links.ports import Service, Wire
from conduit.cluster.links.requests import Answered, Asked, Requests, Served
from conduit.errors import ConduitError, InvalidRequest, Unavailable
from conduit.protocol.codes import CLOSE_PROTOCOL_ERROR, CLOSE_SLOW

# What has come may take so long in a turn of the loop; the rest waits for the next one.
TURN_MAX_S = 0.003
# Without an answer to our close frame for so long the socket is dropped.
CLOSE_TIMEOUT_S = 1.0


class Hub(Protocol):
    """What all links of a node share."""

    service: Service
    turn: Turn
    counts: LinkCounts

    def now(self) -> float:
        """Seconds that grow, for deadlines."""

    def real_now(self) -> float:
        """The same, also while the process stands still."""

    def down(self, link: Link, why: str) -> None:
        """The link is no link any more. Once."""

    def gone(self, link: Link) -> None:
        """Its socket has ended as well: the last call."""


class State(enum.Enum):
    """Of a link."""

    UP = enum.auto()
    CLOSING = enum.auto()
    """It is no link any more; its socket still says so to the other side."""
    GONE = enum.auto()


class Link:
    """See above. `is_dialer`: whether this side has dialed."""

    __slots__ = (
        "_abort_at",
        "_channels",
        "_hub",
        "_is_flush_due",
        "_outgoing",
        "_pings",
        "_pong_due",
        "_requests",
        "_served",
        "_spent_s",
        "_state",
        "_wire",
        "number",
        "peer",
        "since",
        "version",
    )

    def __init__(self, proved: Proved, wire: Wire, hub: Hub, *, is_dialer: bool) -> None:
        self.peer: Identity = proved.peer
        self.version = proved.version
        self.number = proved.number
        self.since = hub.now()
        """When it began, on the clock of the hub."""
        self._wire = wire
        self._hub = hub
        self._state = State.UP
        self._outgoing = Outgoing()
        self._is_flush_due = False
        self._channels = Channels(self, is_dialer=is_dialer)
        self._requests = Requests(self.put)
        self._served = Served(self.put, self.peer.name)
        self._pings = Pings(self.since, hub.real_now())
        # The number of a ping that is to be answered when the socket takes more; 0 for none.
        self._pong_due = 0
        # What was done in this turn of the loop with what has come; None: nothing.
        self._spent_s: float | None = None
        self._abort_at = 0.0

    def __repr__(self) -> str:
        return f"<Link to {self.peer}: {self._state.name.lower()}>"

    # What there is of it --------------------------------------------------------------------------

    @property
    def is_up(self) -> bool:
        """Whether it is a link still."""
        return self._state is State.UP

    @property
    def round_trip_s(self) -> float | None:
        """Of the last ping that was answered."""
        return self._pings.round_trip_s

    @property
    def queue_bytes(self) -> int:
        """What waits to be written, here and in the socket."""
        return self._outgoing.bytes + (self._wire.unsent_bytes if self.is_up else 0)

    @property
    def channel_count(self) -> int:
        """Open channels."""
        return len(self._channels)

    @property
    def request_count(self) -> int:
        """Requests of this side that wait for their answers."""
        return len(self._requests)

    # Sending --------------------------------------------------------------------------------------

    def send_hint(self, frame: bytes) -> bool:
        """Send a hint, which is encoded already; False if it is dropped, because the link is down or too much
        waits."""
        if not self.is_up or not self._outgoing.has_room_for_hint(len(frame)):
            return False
        self.put(frame)
        return True

    def request(self, kind: str, body: bytes, timeout_s: float, answered: Answered) -> None:
        """Ask the other node. `answered` is called once, in a later turn: with the body of the answer; with
        the error of the other node; or with OutcomeUnknown, if there was none in time or the link went.

        Raises, and then nothing was asked: Unavailable without a link, Overloaded if
        requests.REQUESTS_MAX_COUNT are open, LimitReached if the body is over frames.BODY_MAX_BYTES.
        """
        self._check_up()
        self._requests.ask(kind, body, self._hub.now() + timeout_s, answered)
        self._hub.counts.requests_sent += 1

    async def ask(self, kind: str, body: bytes, timeout_s: float) -> bytes:
        """The same for who may wait: returns the body of the answer, or raises the error. Cancelling ends the
        waiting only."""
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def answered(outcome: bytes | ConduitError) -> None:
            if future.done():
                return
            if isinstance(outcome, ConduitError):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

        self.request(kind, body, timeout_s, answered)
        return await future

    def open(self, kind: str, body: bytes, user: ChannelUser) -> Channel:
        """Open a channel; the other side may close it at once. Raises Unavailable without a link, and
        LimitReached if channels.CHANNELS_MAX_COUNT are open or the body is too large."""
        self._check_up()
        return self._channels.open(kind, body, user)

    def close(self, code: int, why: str) -> None:
        """End it, behind what was sent as far as the socket takes that now. Idempotent."""
        if self.is_up:
            self.flush()
            self._end(why)
            self._wire.close(code, why)

    def drop(self, why: str) -> None:
        """End it at once, and say nothing to the other side, which would not hear it. Idempotent."""
        if self.is_up:
            self._end(why)
            self._wire.abort()

    def abort(self) -> None:
        """Drop the socket, whatever it still says to the other side. For one that is not up."""
        self._wire.abort()

    # For its channels -----------------------------------------------------------------------------

    @property
    def is_congested(self) -> bool:
        """See `Carrier`."""
        return self._outgoing.is_congested

    def put(self, frame: bytes) -> None:
        """See `Carrier`. Too many frames end the link."""
        if not self.is_up:
            return
        self._outgoing.put(frame)
        if not self._is_flush_due:
            self._is_flush_due = True
            asyncio.get_running_loop().call_soon(self._flush_due)

    def spread(self, steps: Iterator[object]) -> None:
        """See `Carrier`."""
        self._hub.turn.spread(steps)

    # For the wire and the sweep -------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        """One message has come."""
        if not self.is_up:
            return
        hub = self._hub
        began = hub.now()
        hub.counts.received_bytes += len(data)
        try:
            for frame in decode(data):
                hub.counts.frames_received += 1
                _HANDLERS[type(frame)](self, frame)
                if not self.is_up:
                    return
        except InvalidRequest as error:
            self.close(CLOSE_PROTOCOL_ERROR, f"{self.peer.name} broke the protocol: {error}")
            return
        self._spend(hub.now() - began)

    def flush(self) -> None:
        """Write what waits, as long as the socket takes it."""
        outgoing, wire, counts = self._outgoing, self._wire, self._hub.counts
        was_congested = outgoing.is_congested
        if self._pong_due and wire.is_writable and self.is_up:
            # In front: whether we live must not wait for what the other side has not read.
            outgoing.put_first(encode(Pong(self._pong_due)))
            self._pong_due = 0
        while outgoing and wire.is_writable and self.is_up:
            data = outgoing.take()
            counts.sent_bytes += len(data)
            wire.send(data)
        if was_congested and not outgoing.is_congested and self.is_up:
            self._channels.drained()

    def broken(self, why: str) -> None:
        """The socket carries nothing more, and will end."""
        if self.is_up:
            self._end(why)

    def lost(self, why: str) -> None:
        """The socket has ended."""
        self.broken(why)
        if self._state is not State.GONE:
            self._state = State.GONE
            self._hub.gone(self)

    def check(self, now: float) -> None:
        """Act on what is overdue, and ping; `now` is of the hub."""
        if self._state is State.CLOSING and now >= self._abort_at:
            self.abort()
        if not self.is_up:
            return
        if self._pings.is_gone(now):
            self.drop(
                f"{self.peer.name} has not answered for {PING_TIMEOUT_S:g} s: it hangs or is cut off"
            )
            return
        number = self._pings.next(now, self._hub.real_now())
        if number is not None:
            self._outgoing.put_first(encode(Ping(number)))
            self.flush()
        self._hub.counts.requests_late += self._requests.expire(now)

    # Frames ---------------------------------------------------------------------------------------

    def _on_ping(self, frame: Ping) -> None:
        # It says that all before it have come as well, so there is never more than one.
        self._pong_due = frame.number
        self.flush()

    def _on_pong(self, frame: Pong) -> None:
        took_s = self._pings.answered(frame.number, self._hub.now())
        if took_s is not None:
            self._hub.counts.round_trip.add(took_s)

    def _on_hint(self, frame: Hint) -> None:
        self._hub.counts.hints_received += 1
        guarded(self._hub.service.on_hint, self.peer, frame.body)

    def _on_request(self, frame: Request) -> None:
        self._served.received(frame, self._serve)

    def _serve(self, asked: Asked) -> None:
        self._hub.service.on_request(self.peer, asked)

    def _on_reply(self, frame: Reply) -> None:
        self._requests.replied(frame)

    def _on_failure(self, frame: Failure) -> None:
        self._requests.failed(frame)

    def _on_open(self, frame: ChannelOpen) -> None:
        self._channels.opened(frame, self._accept)

    def _accept(self, channel: Channel, kind: str, body: bytes) -> ChannelUser:
        return self._hub.service.on_channel(self.peer, channel, kind, body)

    def _on_frame(self, frame: ChannelFrame) -> None:
        # What was asked of this side counts whenever it comes.
        if self._channels.is_own(frame.id) and not self._pings.counts(self._hub.real_now()):
            self.drop(
                "this node stood still or was cut off: what comes now may be another's by now"
            )
        else:
            self._channels.received(frame)

    def _on_close(self, frame: ChannelClose) -> None:
        self._channels.closed(frame)

    def _on_credit(self, frame: Credit) -> None:
        self._channels.credited(frame)

    # Inside ---------------------------------------------------------------------------------------

    def _check_up(self) -> None:
        if not self.is_up:
            raise Unavailable(f"there is no link to node {self.peer.name}")

    def _flush_due(self) -> None:
        self._is_flush_due = False
        self.flush()
        if self._outgoing.is_over:
            # Not where the frame was put: whoever did that is not told of a link's end in the middle of it.
            self.close(
                CLOSE_SLOW,
                f"{self.peer.name} does not take what it is sent: {QUEUE_MAX_BYTES} bytes wait",
            )

    def _spend(self, took_s: float) -> None:
        """Leave the rest of the turn to others, if this was much."""
        if self._spent_s is None:
            self._spent_s = 0.0
            asyncio.get_running_loop().call_soon(self._new_turn)
        self._spent_s += took_s
        if self._spent_s >= TURN_MAX_S:
            self._wire.pause_reading()

    def _new_turn(self) -> None:
        spent_s, self._spent_s = self._spent_s, None
        if spent_s is not None and spent_s >= TURN_MAX_S and self._state is not State.GONE:
            self._wire.resume_reading()

    def _end(self, why: str) -> None:
        """It is no link any more: tell all that count on it."""
        self._state = State.CLOSING
        self._abort_at = self._hub.now() + CLOSE_TIMEOUT_S
        self._outgoing.clear()
        self._served.end()
        self._hub.down(self, why)
        told = f"the link to node {self.peer.name} is gone: {why}"
        self.spread(self._requests.end(told))
        self.spread(self._channels.end(told))


_HANDLERS: dict[type[Any], Callable[[Link, Any], None]] = {
    Ping: Link._on_ping,
    Pong: Link._on_pong,
    Hint: Link._on_hint,
    Request: Link._on_request,
    Reply: Link._on_reply,
    Failure: Link._on_failure,
    ChannelOpen: Link._on_open,
    ChannelFrame: Link._on_frame,
    ChannelClose: Link._on_close,
    Credit: Link._on_credit,
}
