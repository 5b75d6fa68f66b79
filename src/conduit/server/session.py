"""Conduit's protocol on one WebSocket: frames in, calls to the broker, answers out.

Frames of a connection take effect in the order in which they came. `subscribe` waits for the store:
until it is done nothing more is read or parsed, and the few frames that were parsed already are kept.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any

from conduit.broker.attach.connection import Connection
from conduit.errors import ConduitError, InvalidRequest, LimitReached, StateError, Unauthenticated
from conduit.protocol.codec import (
    decode_client_frame,
    decode_ref,
    error_frame,
    is_publish,
    published_text,
    server_frame,
    text_frame,
)
from conduit.protocol.codes import CLOSE_RESTART, CODES
from conduit.protocol.frames import (
    Ack,
    AnyClientFrame,
    Auth,
    Closing,
    Extend,
    Heartbeat,
    HeartbeatAck,
    Nack,
    Publish,
    PublishRequest,
    Reject,
    Subscribe,
    Unsubscribe,
)
from conduit.protocol.records import Receipt
from conduit.server import kernel
from conduit.server.admitting import admit
from conduit.server.context import Context
from conduit.server.signing import SigningWebSocket
from conduit.tenancy.principal import Principal

logger = logging.getLogger(__name__)

# Publishes of one connection that wait for their commit; beyond it nothing more is read. Their answers,
# and those to what was read already, must fit below WRITE_MAX_BYTES.
PUBLISHES_MAX_COUNT = 1_024
# Frames that cannot be used: so many of one connection, and one more in each second. Each costs the server as
# much as a good one, so who goes on with them is closed.
BAD_FRAMES_MAX_COUNT = 100
# Longest `ref`: it comes back in an answer that must stay small.
REF_MAX_CHARS = 128

_HEARTBEAT_ACK = server_frame(HeartbeatAck())


class Session(SigningWebSocket):
    """One connection of a client. All calls are on the loop's thread."""

    __slots__ = (
        "_bad_count",
        "_connection",
        "_has_ended",
        "_is_paused",
        "_is_restarting",
        "_kept",
        "_publish_count",
        "_subscribing",
    )

    def __init__(
        self, context: Context, caller: Principal | None, ticket: bytes | None = None
    ) -> None:
        super().__init__(context, caller, ticket)
        # None until it has signed in, and after its end.
        self._connection: Connection | None = None
        # The subscribe that is under way, and the frames that came after it.
        self._subscribing: asyncio.Task[None] | None = None
        self._kept: deque[bytes] | None = None
        self._publish_count = 0
        # Frames that could not be used, less one for each second since.
        self._bad_count = 0
        self._is_paused = False
        self._is_restarting = False
        self._has_ended = False

    @property
    def heard_until(self) -> float:
        """See `Outlet.heard_until`."""
        return -math.inf if self._has_ended or self._is_paused or self.is_behind else math.inf

    @property
    def start_bytes(self) -> int:
        """See `WatchedWebSocket`."""
        return 0 if self._connection is None else self._connection.start_bytes

    @property
    def gap_bytes(self) -> int:
        """See `WatchedWebSocket`."""
        return 0 if self._connection is None else self._connection.gap_bytes

    def check(self, now: float) -> None:
        """See `WebSocket.check`."""
        if self._bad_count:
            self._bad_count -= 1
        super().check(now)

    # From the socket ------------------------------------------------------------------------------

    def on_open(self) -> None:
        """Count the session."""
        self._context.sessions.add(self)
        self._context.collecting.came()
        self._context.entrance.enter(self, self._transport)
        self.open_signed()

    def on_closed(self) -> None:
        """Do what was asked before the end, and give back what is still out."""
        self._context.sessions.discard(self)
        self._context.collecting.left()
        self.close_signed()
        self._context.memory.let_go(self)
        self._context.entrance.leave(self)
        kept, self._kept = self._kept, None
        if kept:
            self._context.broker.turn.spread(self._end(kept))
        else:
            self._has_ended = True
            self._leave()

    def _end(self, kept: deque[bytes]) -> Iterator[None]:
        try:
            for text in kept:
                self._handle(text)
                yield
        finally:
            self._has_ended = True
            self._leave()

    def _leave(self) -> None:
        # What is looked up was asked for while the client had it: that counts first.
        if self._connection is not None and not self._connection.verbs.lookups.is_busy:
            self._connection.close(lost=self.is_lost and not self._is_restarting)
            # Each of them holds the other, and this one what was read and not sent: without this it would
            # stay in memory until the collector comes.
            self._connection = None

    @property
    def _is_busy(self) -> bool:
        """Whether the store is asked for deliveries that acks mean, or acks wait for another node."""
        return self._connection is not None and self._connection.verbs.is_busy

    # Who it is ------------------------------------------------------------------------------------

    def on_signed_in(self, caller: Principal) -> None:
        """See `SigningWebSocket`."""
        self._connection = self._context.broker.connect(caller.tenant, self)

    def may_go_on(self, caller: Principal) -> bool:
        """See `SigningWebSocket`."""
        places = () if self._connection is None else self._connection.places
        return all(caller.may_subscribe(*place) for place in places)

    def fail(self, ref: str | None, error: ConduitError) -> None:
        """See `SigningWebSocket`."""
        self._refuse(ref, None, error)

    def on_writable(self, writable: bool) -> None:
        """Let the streams of this connection hold back, or go on."""
        if self._connection is not None:
            self._connection.writable_changed()
        if writable:
            self._resume()

    def on_frequent(self, is_frequent: bool) -> None:
        """See `WebSocket.on_frequent`."""
        super().on_frequent(is_frequent)
        (self._pause if is_frequent else self._resume)()

    def on_slow(self) -> None:
        """Count it, and name it in the log."""
        names = [] if self._connection is None else self._connection.names
        self._context.slow.add(kernel.peer_of(self._transport), names)

    def on_text(self, text: bytes) -> None:
        """One frame of the client."""
        if self._caller is None:
            self.sign_in(text)
        elif self._subscribing is not None:
            if self._kept is None:
                self._kept = deque()
            self._kept.append(text)
        else:
            self._handle(text)

    def announce_restart(self, reconnect_after_ms: int) -> None:
        """The server stops: say when to come back, read no more, and close when what was published has its
        answers: whoever gets none does not know what to repeat."""
        self._is_restarting = True
        self.write(server_frame(Closing("restart", reconnect_after_ms)))
        self._pause()
        self._restart_if_answered()

    def caught_up(self) -> None:
        """See `WebSocket`; who is about to close reads no more."""
        super().caught_up()
        if self._is_restarting:
            self._pause()
            self._restart_if_answered()

    # Frames ---------------------------------------------------------------------------------------

    def _handle(self, text: bytes) -> None:
        assert self._connection is not None
        try:
            frame = decode_client_frame(text)
            ref = getattr(frame, "ref", None)
            if ref is not None and len(ref) > REF_MAX_CHARS:
                raise InvalidRequest(f"ref may have {REF_MAX_CHARS} characters", field="ref")
            _HANDLERS[type(frame)](self, self._connection, frame)
        except ConduitError as error:
            if is_publish(text):
                self._context.broker.refused_publishes.add(error)
            self._refuse(*decode_ref(text), error)

    def _subscribe(self, connection: Connection, frame: Subscribe) -> None:
        if self.closing or self._is_restarting:
            # It came before the end, and there is nobody to receive anything.
            return
        assert self._caller is not None
        caller = self.rightful(self._caller)
        caller.check_subscribe(frame.topic, frame.subscription)
        if caller.is_token and frame.create:
            # It is for what is there.
            frame.create = False
        self._pause()
        loop = asyncio.get_running_loop()
        begun = connection.subscribe(frame)
        self._subscribing = loop.create_task(self._subscribed(caller, frame.ref, begun))

    async def _subscribed(self, caller: Principal, ref: str | None, begun: Awaitable[None]) -> None:
        try:
            await begun
        except ConduitError as error:
            self._refuse(ref, None, error)
        except Exception as error:  # noqa: BLE001 - the root of the task: answered and logged
            self._refuse(ref, None, StateError.of(error))
        self._subscribing = None
        # The rights that it was begun with may be others by now.
        self.look_again(caller)
        while self._kept and self._subscribing is None:
            self._handle(self._kept.popleft())
        self._resume()

    def _unsubscribe(self, connection: Connection, frame: Unsubscribe) -> None:
        connection.unsubscribe(frame)

    def _ack(self, connection: Connection, frame: Ack) -> None:
        connection.verbs.ack(frame)
        self._pause_if_busy()

    def _nack(self, connection: Connection, frame: Nack) -> None:
        connection.verbs.nack(frame)
        self._pause_if_busy()

    def _reject(self, connection: Connection, frame: Reject) -> None:
        connection.verbs.reject(frame)
        self._pause_if_busy()

    def _extend(self, connection: Connection, frame: Extend) -> None:
        connection.verbs.extend(frame)
        self._pause_if_busy()

    def _heartbeat(self, connection: Connection, frame: Heartbeat) -> None:
        self.write(_HEARTBEAT_ACK)

    def _auth(self, connection: Connection, frame: Auth) -> None:
        assert self._caller is not None
        try:
            self.sign_in_again(self._caller, frame)
        except Unauthenticated as error:
            # The credential before counts. But nobody tries them here without end.
            self.write(error_frame(error, frame.ref))
            self._count_bad()

    def _publish(self, connection: Connection, frame: Publish) -> None:
        caller = self._caller
        assert caller is not None
        request = PublishRequest(
            frame.topic, frame.payload, frame.key, frame.headers, frame.idempotency_key
        )
        if caller.is_bounded:
            caller = self.rightful(caller)
            admit(self._context, caller, request)
        self._publish_count += 1
        if self._publish_count >= PUBLISHES_MAX_COUNT or not self.writable:
            # A publisher that does not read its answers has to wait, and so cannot pile them up here.
            self._pause()
        self._context.broker.publish(caller.tenant, request, partial(self._published, frame.ref))

    def _published(self, ref: str | None, result: Receipt | ConduitError) -> None:
        self._publish_count -= 1
        if isinstance(result, ConduitError):
            self._refuse(ref, None, result)
        else:
            self.write(text_frame(published_text(result, ref)))
        if self._is_paused or self._is_restarting:
            self._resume()

    # Parts ----------------------------------------------------------------------------------------

    def _refuse(self, ref: str | None, message_id: str | None, error: ConduitError) -> None:
        if isinstance(error, StateError):
            logger.error("a frame failed", exc_info=error)
        self.write(error_frame(error, ref, message_id))
        close = CODES[error.code].close
        if close is not None:
            self.close(close, error.code)
        elif isinstance(error, InvalidRequest):
            self._count_bad()

    def _count_bad(self) -> None:
        stats = self._context.broker.stats
        stats.bad_frame_count += 1
        self._bad_count += 1
        if self._bad_count > BAD_FRAMES_MAX_COUNT and not self.closing:
            stats.bad_closed_count += 1
            self._context.closings.count("bad_frames", self._transport)
            self._kept = None
            detail = f"more than {BAD_FRAMES_MAX_COUNT} frames of this connection could not be used"
            self._refuse(None, None, LimitReached(detail, code="too_many_bad_frames"))

    def refuse(self, error: ConduitError, close_code: int) -> None:
        """The connection cannot go on: say why, then end it."""
        self._refuse(None, None, error)
        self.close(close_code, error.code)

    def go_on(self) -> None:
        """See `Peer.go_on`."""
        if self._has_ended:
            self._leave()
        else:
            self._resume()

    def _pause_if_busy(self) -> None:
        if self._is_busy:
            self._pause()

    def _pause(self) -> None:
        # Of a connection that is closing the peer's answer has to be read.
        if not self._is_paused and not self.closing:
            self._is_paused = True
            self.pause_reading()

    def _resume(self) -> None:
        if self._is_restarting:
            self._restart_if_answered()
        elif (
            self._is_paused
            and not self._has_ended
            and self._subscribing is None
            and not self._is_busy
            and self.writable
            and self.frames_left > 0
            and self._publish_count <= PUBLISHES_MAX_COUNT // 2
        ):
            self._is_paused = False
            if not self.closing:
                self.resume_reading()

    def _restart_if_answered(self) -> None:
        if self._publish_count or self._kept or self.closing:
            return
        if not self.is_behind:
            self.close(CLOSE_RESTART, "restart")
        elif not self._is_busy:
            # What was read is handled, and nothing else is read: see `caught_up`.
            self._is_paused = False
            self.resume_reading()


_HANDLERS: dict[type[AnyClientFrame], Callable[[Session, Connection, Any], None]] = {
    Subscribe: Session._subscribe,
    Unsubscribe: Session._unsubscribe,
    Ack: Session._ack,
    Nack: Session._nack,
    Reject: Session._reject,
    Extend: Session._extend,
    Publish: Session._publish,
    Heartbeat: Session._heartbeat,
    Auth: Session._auth,
}
