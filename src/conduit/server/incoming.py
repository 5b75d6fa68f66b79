"""What one WebSocket has sent: from the socket to picows, in pieces for which a turn of the loop has time.

picows handles at once all that it is given, and cannot be stopped: 16 KiB may be 2,700 frames. So it is given
pieces. A piece has at most PIECE_BYTES, or is what one long frame lacks. After each of them there may be
no time left, or the session may take no more: it does not while a subscribe waits for the store. What is over
is kept as the bytes that came, the socket is not read meanwhile, and `Intake` says when it goes on.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from picows.picows import WSProtocol  # type: ignore[attr-defined]  # missing from picows' stubs

from conduit.server.fragments import Fragments
from conduit.server.intake import Intake, Lane

# At most 170 frames, the smallest of which have 6 bytes.
PIECE_BYTES = 1_024
# After a piece that took less than this part of the time that is left, the next one is twice as long: acks
# and publishes cost less for each byte than frames of 7 bytes do.
CHEAP_PART = 4
# The WebSocket hears of what is kept whenever it has grown by more than this.
STEP_BYTES = 4_096
# A frame or a message that has more is much work when it ends, however little of it came last.
LONG_BYTES = 4_096

# In `tail_bytes`: no frame has come since it was set.
UNKNOWN_BYTES = -1

_LENGTH_16, _LENGTH_64 = 126, 127
# picows' own, without a look-up for each read.
_get_buffer, _buffer_updated = WSProtocol.get_buffer, WSProtocol.buffer_updated


class Received(Protocol):
    """A WebSocket, as far as it concerns what was read."""

    tail_bytes: int
    unfinished: Fragments | None
    """What has come of a message in several frames."""

    def caught_up(self) -> None:
        """All is handled that was read."""

    def lose(self) -> bool:
        """The connection is gone, and not all is handled that was read. True if that counts."""

    def on_growing(self) -> None:
        """More is kept of what has not come in whole, or waits; set `told_bytes` to how much it is."""


class Incoming(WSProtocol):  # type: ignore[misc]  # picows' stubs lack the base
    """picows' protocol, given what was read in pieces. Its listener is the WebSocket.

    The listener hears of the connection's loss when all that was read before is handled, unless that is void.
    """

    __slots__ = (
        "_at",
        "_intake",
        "_is_handling",
        "_is_held",
        "_is_lost",
        "_is_stopped",
        "_is_waiting",
        "_missing_bytes",
        "_rest",
        "_transport",
        "_websocket",
        "pending_bytes",
        "told_bytes",
    )

    # Without this attribute uvloop keeps the one of the protocol before, and so that whole protocol.
    data_received = None

    _websocket: Received
    _transport: asyncio.Transport
    _intake: Intake

    def begin(self, websocket: Received, transport: asyncio.Transport, intake: Intake) -> None:
        """Call it before anything is read."""
        self._websocket, self._transport, self._intake = websocket, transport, intake
        # What was read and is not handled begins at `_at`; none, or the connection is in line or held.
        self._rest = b""
        self._at = 0
        self._is_held = self._is_waiting = self._is_stopped = self._is_lost = False
        # Whether a part of what was kept is being handled.
        self._is_handling = False
        # Of a frame that is not complete: how much of it picows has, and how much it lacks, 0 if unknown.
        self.pending_bytes = self._missing_bytes = 0
        # Of what is kept, how much the WebSocket knows, or is about to hear.
        self.told_bytes = 0

    # For the WebSocket ----------------------------------------------------------------------------

    @property
    def is_behind(self) -> bool:
        """Whether something was read that is not handled yet."""
        return bool(self._rest)

    @property
    def has_rest(self) -> bool:
        """The same, and whoever asks is not called because of a part of it."""
        return bool(self._rest) and not self._is_handling

    @property
    def is_idle(self) -> bool:
        """Whether all is handled that was read, and nothing keeps it from reading on."""
        is_waiting = self._is_waiting or self._is_held or self._is_stopped or self._is_lost
        return not (self._rest or self.pending_bytes or is_waiting)

    @property
    def size_bytes(self) -> int:
        """How large picows' buffer is; it says only how much of it is free."""
        return len(_get_buffer(self, 0)) + self.pending_bytes

    @property
    def rest_bytes(self) -> int:
        """What was read and picows was not given yet."""
        return len(self._rest)

    def hold(self) -> None:
        """Neither read nor handle more, but for the piece that is being handled. Idempotent."""
        if not self._is_lost:
            self._is_held = True
            self._transport.pause_reading()

    def release(self) -> None:
        """Undo `hold`: handle what was read already, then read on. Idempotent."""
        if self._is_lost:
            return
        self._is_held = False
        if self._rest:
            self._wait()
        else:
            self._transport.resume_reading()

    def stop(self) -> None:
        """All further input is void: picows could not parse it."""
        self._is_stopped = True
        self._rest = b""

    # For the loop and the handshake ---------------------------------------------------------------

    def get_buffer(self, size_hint: int) -> memoryview:
        """Where the loop is to read into."""
        return self._intake.buffer

    def buffer_updated(self, count: int) -> None:
        """So many bytes were read."""
        data, websocket = self._intake.buffer, self._websocket
        is_small = count <= PIECE_BYTES and not self.pending_bytes and websocket.unfinished is None
        if not is_small and self._is_much(count):
            self.take(data[:count])
            return
        websocket.tail_bytes = UNKNOWN_BYTES
        room = _get_buffer(self, count)
        if len(room) < count:
            self.give(data[:count])
        else:
            room[:count] = data[:count]
            _buffer_updated(self, count)
        if websocket.tail_bytes:
            self._look(data, count, count)
        else:
            self.pending_bytes = self._missing_bytes = 0

    def _is_much(self, count: int) -> bool:
        """Whether so many bytes may be more work than a turn has time for."""
        if count < self._missing_bytes:
            return False
        unfinished = self._websocket.unfinished
        begun_bytes = self.pending_bytes + (0 if unfinished is None else len(unfinished.data))
        return begun_bytes >= LONG_BYTES or (count > PIECE_BYTES and count > self._missing_bytes)

    def take(self, data: memoryview) -> None:
        """Handle what was read as far as its time goes, and keep the rest."""
        # What is void has turns like any input, which leave the lock to others.
        until = self._intake.begin()
        if self._is_stopped:
            return
        at = 0
        if self._intake.now() < until:
            at = self._handle(data, 0, until)
        if at < len(data) and not self._is_stopped:
            self._rest, self._at = bytes(data[at:]), 0
            self._tell()
            self._transport.pause_reading()
            if not self._is_held:
                self._wait()

    def go_on(self) -> None:
        """See `Sender.go_on`."""
        self._is_waiting = False
        if self._rest and not self._is_kept:
            rest = memoryview(self._rest)
            self._is_handling = True
            self._at = self._handle(rest, self._at, self._intake.begin())
            self._is_handling = False
            if self._at == len(rest):
                self._rest = b""
                self._websocket.caught_up()
        if self._is_kept:
            return
        if self._rest:
            self._wait()
        elif self._is_lost:
            super().connection_lost(None)
        else:
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """What was read before counts, unless the WebSocket takes no more: then this is the end."""
        if self._rest and self._websocket.lose():
            self._is_lost = True
            self._wait()
            return
        self._rest = b""
        if self._intake.admits(Lane.LOST):
            super().connection_lost(exc)
        else:
            # Thousands may be gone at once.
            self._websocket.lose()
            self._is_lost = True
            self._wait(Lane.LOST)

    @property
    def _is_kept(self) -> bool:
        """Whether the rest has to wait for `release`, which does not come once the connection is lost."""
        return self._is_held and not self._is_lost

    def _wait(self, lane: Lane = Lane.INPUT) -> None:
        if not self._is_waiting:
            self._is_waiting = True
            self._intake.wait(self, lane)

    # Pieces ---------------------------------------------------------------------------------------

    def _handle(self, data: memoryview, at: int, until: float) -> int:
        """Give picows pieces from `at` on, at least one; returns where it stopped."""
        now, websocket, length = self._intake.now, self._websocket, len(data)
        size, began = PIECE_BYTES, now()
        while True:
            begin, at = at, min(length, at + max(size, self._missing_bytes))
            websocket.tail_bytes = UNKNOWN_BYTES
            self.give(data[begin:at])
            if websocket.tail_bytes:
                self._look(data, at, at - begin)
            else:
                self.pending_bytes = self._missing_bytes = 0
            if at == length or self._is_kept or self._is_stopped or (ended := now()) >= until:
                return at
            if (ended - began) * CHEAP_PART < until - ended:
                size *= 2
            began = ended

    def give(self, piece: memoryview) -> None:
        """Let picows handle all of it now."""
        count = len(piece)
        room = _get_buffer(self, count)
        while len(room) < count:
            # It makes room for more with each part of a long frame.
            part = len(room)
            room[:] = piece[:part]
            _buffer_updated(self, part)
            piece, count = piece[part:], count - part
            room = _get_buffer(self, count)
        room[:count] = piece
        _buffer_updated(self, count)

    def _look(self, data: memoryview, end: int, count: int) -> None:
        """`count` bytes were given, up to `end`: what there is of an incomplete frame, and what is not."""
        tail_bytes = self._websocket.tail_bytes
        if tail_bytes == UNKNOWN_BYTES:
            # No frame was completed.
            self.pending_bytes += count
            self._missing_bytes = max(0, self._missing_bytes - count)
        else:
            self.pending_bytes, self._missing_bytes = tail_bytes, 0
        self._tell()
        start = end - self.pending_bytes
        if start >= 0:
            self._missing_bytes = max(0, frame_bytes(data[start:end]) - self.pending_bytes)

    def _tell(self) -> None:
        kept_bytes = self.pending_bytes + len(self._rest)
        if kept_bytes > self.told_bytes + STEP_BYTES:
            self.told_bytes = kept_bytes
            # Not at once: whoever has to give way must not be closed in the middle of a read.
            asyncio.get_running_loop().call_soon(self._websocket.on_growing)


def frame_bytes(head: memoryview) -> int:
    """How long a frame from a client is, by its beginning (RFC 6455 §5.2); 0 if that is too short to say."""
    if len(head) < 2:
        return 0
    length = head[1] & 0x7F
    if length < _LENGTH_16:
        return 6 + length
    extra = 2 if length == _LENGTH_16 else 8
    if len(head) < 2 + extra:
        return 0
    return 6 + extra + int.from_bytes(head[2 : 2 + extra], "big")
