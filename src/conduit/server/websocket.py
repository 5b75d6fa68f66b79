"""One WebSocket connection: whole messages in, complete frames out, nothing unbounded.

picows splits the byte stream into frames and unmasks them. What RFC 6455 leaves to its user is here
(reserved bits, fragments, UTF-8, pings, the closing handshake), and what a server needs besides: it
notices dead peers and sockets that do not drain. A connection has no timer and no task, and reads
no clock: the server's one sweep calls `check`.
"""

from __future__ import annotations

import asyncio

from picows import WSFrame, WSListener, WSMsgType, WSTransport

from conduit.core.liveness import DEFAULT_TIMING, Liveness, Sent, Timing, Verdict
from conduit.protocol.codec import close_frame
from conduit.protocol.codes import (
    BROKEN_WIRE,
    CLOSE_INVALID_TEXT,
    CLOSE_NORMAL,
    CLOSE_PROTOCOL_ERROR,
    CLOSE_SLOW,
    CLOSE_TOO_BIG,
    CLOSE_UNSUPPORTED,
    is_close_code,
)
from conduit.server import kernel
from conduit.server.fragments import Fragments, is_utf8
from conduit.server.incoming import Incoming

# `writable` turns false above the first and true below the second.
WRITE_HIGH_BYTES = 128 * 1024
WRITE_LOW_BYTES = 32 * 1024
# Frames of a peer between two checks, control frames included; more than any client of ours can send.
FRAMES_MAX_COUNT = 100_000
# Whoever writes on although `writable` is false loses the connection here.
WRITE_MAX_BYTES = 1024 * 1024

_TEXT, _BINARY, _CONTINUATION = WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION
_DATA = (_TEXT, _BINARY, _CONTINUATION)
_PING, _CLOSE = WSMsgType.PING, WSMsgType.CLOSE
_PING_FRAME = b"\x89\x00"


class WebSocket(WSListener):
    """The server's side of one connection. Subclass it and override the `on_` methods.

    `handshake.accept` starts it. All calls and callbacks are on the loop's thread; none blocks or
    is awaited, so nothing here can be cancelled. An error in `on_text` or `on_binary` is logged and
    closes with 1011.
    """

    __slots__ = (
        "_closing_with",
        "_frames_max_count",
        "_is_late",
        "_liveness",
        "_max_message_bytes",
        "_peer_closed",
        "_pong_due",
        "_source",
        "_timing",
        "_transport",
        "closing",
        "frames_left",
        "tail_bytes",
        "unfinished",
        "writable",
    )

    # Set by `start`.
    _transport: asyncio.Transport
    _max_message_bytes: int

    def __init__(
        self, timing: Timing = DEFAULT_TIMING, frames_max_count: int = FRAMES_MAX_COUNT
    ) -> None:
        self._timing = timing
        # How many more frames may come until the next check.
        self.frames_left = self._frames_max_count = frames_max_count
        self.writable = True
        # Whether our close frame is out or the connection gone: nothing is sent or handed up now.
        self.closing = False
        # Whether what comes is what was read before the connection ended: that counts.
        self._is_late = False
        # Set by each frame: how many bytes were read behind it.
        self.tail_bytes = 0
        self._source: Incoming | None = None
        self._peer_closed = False
        # The code with which we ended it, before the peer did.
        self._closing_with: int | None = None
        # What has come of a message in several frames that has not ended.
        self.unfinished: Fragments | None = None
        self._pong_due: bytes | None = None
        self._liveness = Liveness(timing)

    # For the subclass to override ---------------------------------------------------------------

    def on_open(self) -> None:
        """The handshake is done; from now on `write` and `close` may be called."""

    def on_text(self, text: bytes) -> None:
        """One whole text message, valid UTF-8."""

    def on_binary(self, data: bytes) -> None:
        """One whole binary message; refused unless overridden."""
        self.close(CLOSE_UNSUPPORTED, "frames are text")

    def on_writable(self, writable: bool) -> None:
        """`writable` has changed. May be called from within `write`."""

    def on_slow(self) -> None:
        """It did not drain, and is closed next, with 4008 or at once."""

    def on_growing(self) -> None:
        """More is kept of what has not come in whole: a message, or the buffer that frames are read into."""

    def on_frequent(self, is_frequent: bool) -> None:
        """As many frames have come as may between two checks: read no more, until it is called with False."""

    def on_closed(self) -> None:
        """The connection is gone. The last call, and the only one that is sure to come."""

    # For its user -------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send one or more complete frames, in the order of calls; nothing when `closing`.

        Hold back while `writable` is false: at WRITE_MAX_BYTES unsent the connection is aborted.
        """
        if self.closing:
            return
        if not self.writable and self._transport.get_write_buffer_size() > WRITE_MAX_BYTES:
            self._closing_with = CLOSE_SLOW
            self.on_slow()
            self.abort()
            return
        self._transport.write(data)

    def close(self, code: int, reason: str = "") -> None:
        """Start the closing handshake, behind all that was written before. Idempotent.

        What still comes is ignored, but for what was read before. That too, if the peer has broken the wire
        or one of its frames is the reason: what it sent behind it is void.
        `on_closed` follows when the peer has answered, or once `check` finds that it has not in time (see
        `Liveness.look_closing`).
        """
        is_broken = code in BROKEN_WIRE
        if self.closing:
            self._is_late = self._is_late and not is_broken
            return
        self.closing = True
        self._is_late = self._source is not None and self._source.has_rest and not is_broken
        if not self._peer_closed:
            self._closing_with = code
        self._transport.write(close_frame(code, reason))
        self.unfinished = self._pong_due = None
        self._take_no_more()
        # The answer has to be read, and the data in front of it.
        self.resume_reading()

    def abort(self) -> None:
        """Drop the connection at once, with whatever is unsent. Idempotent."""
        self.closing = True
        self._is_late = False
        self._transport.abort()
        self._take_no_more()

    @property
    def is_lost(self) -> bool:
        """Whether the connection broke, perhaps because of what was sent on it; asked when it has ended.

        It did not if the peer has closed it, or we have, for a reason of ours. It did if the peer has broken
        the wire. Closed as slow it did if the peer was silent to the end: that one hangs; who takes or sends
        anything is slow.
        """
        code = self._closing_with
        if code is None or code == CLOSE_SLOW:
            is_silent = code is None or self._liveness.silent_s >= self._timing.slow_timeout_s
            return is_silent and not self._peer_closed
        return code in BROKEN_WIRE

    def _take_no_more(self) -> None:
        """What `write` would drop must not count as written by those who ask `writable` first."""
        if self.writable:
            self.writable = False
            self.on_writable(False)

    @property
    def is_behind(self) -> bool:
        """Whether something was read that is not handled yet."""
        return self._source is not None and self._source.is_behind

    def pause_reading(self) -> None:
        """Leave further data to the kernel, so that the peer has to wait. Idempotent.

        Messages that have been read already wait too, but for the last `incoming.PIECE_BYTES` of them.
        """
        if self._source is not None:
            self._source.hold()

    def resume_reading(self) -> None:
        """Undo `pause_reading`. Idempotent."""
        if self._source is not None:
            self._source.release()

    def check(self, now: float) -> None:
        """Act on what is overdue. Call it about once a second; `now` is in monotonic seconds."""
        heard, is_frequent = self._heard, self.frames_left <= 0
        self.frames_left = self._frames_max_count
        if is_frequent:
            self.on_frequent(False)
        if self._is_late:
            self._liveness.handling()
            return
        if self.writable:
            # While we do not read, its frames wait unseen: that is no silence of the peer.
            heard = heard or not self._transport.is_reading()
            verdict = self._liveness.look_open(now, heard=heard, sent=self._sent)
        else:
            liveness = self._liveness
            look = liveness.look_closing if self.closing else liveness.look_blocked
            verdict = look(now, heard=heard, taken_bytes=self._taken_bytes())
        if verdict is Verdict.PING:
            self._transport.write(_PING_FRAME)
        elif verdict is Verdict.GONE:
            self.abort()
        elif verdict is Verdict.SLOW:
            self.on_slow()
            self.close(CLOSE_SLOW, "slow subscriber")
            # The time begins that it has to answer.
            self._liveness.look_closing(now, heard=False, taken_bytes=self._taken_bytes())

    @property
    def _heard(self) -> bool:
        """Whether a frame came since the last check."""
        return self.frames_left != self._frames_max_count

    def _taken_bytes(self) -> int:
        return kernel.taken_bytes(self._transport)

    def _sent(self) -> Sent:
        unsent_bytes = self._transport.get_write_buffer_size()
        # First what is not taken: what is taken in between counts twice, and not never.
        untaken_bytes = unsent_bytes + kernel.untaken_bytes(self._transport)
        return Sent(self._taken_bytes(), untaken_bytes)

    # Called by the handshake and by picows ------------------------------------------------------

    def start(self, transport: asyncio.Transport, source: Incoming, max_message_bytes: int) -> None:
        """Take the transport; `handshake.accept` calls `on_open` when it has answered."""
        self._transport, self._source = transport, source
        self._max_message_bytes = max_message_bytes
        transport.set_write_buffer_limits(high=WRITE_HIGH_BYTES, low=WRITE_LOW_BYTES)

    def broken(self) -> None:
        """What comes now cannot be parsed; `close` with the reason follows in a moment."""
        if self._source is not None:
            self._source.stop()

    def lose(self) -> bool:
        """The connection is gone, and not all is handled that was read of it. True if that counts:
        then it will still be handed up. Nothing can be sent any more."""
        if not self.closing:
            self.closing = self._is_late = True
            self._take_no_more()
        return self._is_late

    def caught_up(self) -> None:
        """All is handled that was read."""
        self._is_late = False

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The transport is gone and takes no more calls."""
        self.closing = True
        self.unfinished = self._pong_due = self._source = None
        self.on_closed()

    def pause_writing(self) -> None:
        """The unsent bytes went over WRITE_HIGH_BYTES."""
        self._take_no_more()

    def resume_writing(self) -> None:
        """The unsent bytes went below WRITE_LOW_BYTES."""
        if self.closing:
            return
        self.writable = True
        self._liveness.unblocked()
        if self._pong_due is not None:
            self._transport.write(_pong_frame(self._pong_due))
            self._pong_due = None
        self.on_writable(True)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """One frame whose length, mask and opcode picows has checked."""
        self.frames_left -= 1
        if not self.frames_left:
            self.on_frequent(True)
        self.tail_bytes = frame.tail_size
        kind = frame.msg_type
        if self.closing:
            self._on_late_frame(kind, frame)
        elif frame.rsv1 or frame.rsv2 or frame.rsv3:
            self._peer_closed = kind == _CLOSE
            self.close(CLOSE_PROTOCOL_ERROR, "a reserved bit is set")
        elif kind == _TEXT and frame.fin and self.unfinished is None:
            text = frame.get_payload_as_bytes()
            # ASCII is UTF-8, and told at the least cost.
            if text.isascii():
                self.on_text(text)
            else:
                self._on_wide_text(text)
        elif kind in _DATA:
            self._on_data(kind, frame)
        elif kind == _PING:
            self._on_ping(frame.get_payload_as_bytes())
        elif kind == _CLOSE:
            self._peer_closed = True
            self._on_close(frame)

    def _on_late_frame(self, kind: WSMsgType, frame: WSFrame) -> None:
        """Of what was not read before our close frame, all but the peer's is void (RFC 6455 §5.5.1)."""
        if kind == _CLOSE:
            self._peer_closed = True
            self._is_late = False
            self._transport.close()
        elif self._is_late and kind in _DATA:
            self._on_data(kind, frame)

    def _on_data(self, kind: WSMsgType, frame: WSFrame) -> None:
        is_begun = self.unfinished is not None
        # A message that is begun is continued and nothing else, and only such a one is.
        if is_begun != (kind == _CONTINUATION):
            self.close(CLOSE_PROTOCOL_ERROR, "a fragment is out of order")
        elif is_begun or not frame.fin:
            self._on_fragment(kind, frame)
        elif kind == _BINARY:
            self.on_binary(frame.get_payload_as_bytes())
        else:
            self._on_wide_text(frame.get_payload_as_bytes())

    def _on_wide_text(self, text: bytes) -> None:
        if is_utf8(text):
            self.on_text(text)
        else:
            self.close(CLOSE_INVALID_TEXT, "the text is not UTF-8")

    def _on_fragment(self, kind: WSMsgType, frame: WSFrame) -> None:
        message = self.unfinished
        if message is None:
            message = self.unfinished = Fragments(is_text=kind == _TEXT)
        if len(message.data) + frame.payload_size > self._max_message_bytes:
            self.close(CLOSE_TOO_BIG, f"a message is limited to {self._max_message_bytes} bytes")
        elif not message.add(frame.get_payload_as_bytes(), last=bool(frame.fin)):
            self.close(CLOSE_INVALID_TEXT, "the text is not UTF-8")
        elif not frame.fin:
            self.on_growing()
        else:
            self.unfinished = None
            deliver = self.on_text if message.is_text else self.on_binary
            deliver(bytes(message.data))

    def _on_ping(self, payload: bytes) -> None:
        if self.writable:
            self._transport.write(_pong_frame(payload))
        else:
            # Only the last ping has to be answered (RFC 6455 §5.5.3), so a flood of them whose
            # answers are not read takes no memory.
            self._pong_due = payload

    def _on_close(self, frame: WSFrame) -> None:
        payload = frame.get_payload_as_bytes()
        code = int.from_bytes(payload[:2], "big") if payload else CLOSE_NORMAL
        self.close(code if is_close_code(code) else CLOSE_PROTOCOL_ERROR)
        self._is_late = False
        self._transport.close()


def _pong_frame(payload: bytes) -> bytes:
    return b"\x8a%c%b" % (len(payload), payload)
