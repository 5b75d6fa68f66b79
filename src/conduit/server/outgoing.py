"""Answers of the control plane on their way to the socket: in pieces, as fast as the peer reads.

What a transport was given it keeps whole until the peer has taken the last byte of it, and the answer's
maker waits meanwhile. Cut into pieces, an answer is let go as it is read, and who made it is done with it.
"""

from __future__ import annotations

import asyncio
from collections import deque

# What is given to the transport at once. Larger than this, and it is copied: twice the memory for a moment,
# and none of it stays.
PIECE_BYTES = 65_536


class Outgoing:
    """A transport as uvicorn's protocol sees it. Whoever owns it says when the real one takes no more."""

    __slots__ = ("_closes", "_paused", "_pieces", "_transport", "waiting_bytes", "written_bytes")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._pieces: deque[bytes] = deque()
        self._paused = False
        # It was closed while pieces wait: they go first.
        self._closes = False
        self.waiting_bytes = 0
        """What the transport has not been given yet."""
        self.written_bytes = 0
        """What `write` was given, ever."""

    # The protocol's calls -------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send it behind all that was written before."""
        self.written_bytes += len(data)
        if not self._pieces and len(data) <= PIECE_BYTES:
            self._transport.write(data)
            return
        self.waiting_bytes += len(data)
        starts = range(0, len(data), PIECE_BYTES)
        self._pieces.extend(data[start : start + PIECE_BYTES] for start in starts)
        self._give()

    def close(self) -> None:
        """Close when everything is written."""
        self._closes = True
        self._give()

    def is_closing(self) -> bool:
        """Whether `close` was called, or the peer has gone."""
        return self._closes or self._transport.is_closing()

    def get_extra_info(self, name: str) -> object:
        """As of the real one."""
        return self._transport.get_extra_info(name)

    def pause_reading(self) -> None:
        """As of the real one."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """As of the real one."""
        self._transport.resume_reading()

    # The owner's calls ----------------------------------------------------------------------------

    def pause(self) -> None:
        """The real one takes no more; it may say so while it is given something."""
        self._paused = True

    def resume(self) -> bool:
        """The real one takes more. Returns whether it still does when it has been given the pieces."""
        self._paused = False
        self._give()
        return not self._paused

    def drop(self) -> None:
        """The peer has gone."""
        self._pieces.clear()
        self.waiting_bytes = 0

    def _give(self) -> None:
        while self._pieces and not self._paused:
            piece = self._pieces.popleft()
            self.waiting_bytes -= len(piece)
            self._transport.write(piece)
        if self._closes and not self._pieces:
            self._transport.close()
