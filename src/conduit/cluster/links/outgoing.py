"""What waits to be written to one link, and when that is too much. Pure.

Three classes wait in one line, for what they wait for is the same: that the peer takes. They differ in how
much may wait before them: a hint is dropped first, then channels have to hold back, and last the link is
closed, for nothing else on it may be dropped.
"""

from __future__ import annotations

from collections import deque

from conduit.cluster.links.frames import MESSAGE_BYTES, message

# With more in line a hint is dropped.
HINTS_MAX_BYTES = 4_194_304
# From here on channels have to hold back, until no more than the second are in line.
CHANNELS_HIGH_BYTES = 8_388_608
CHANNELS_LOW_BYTES = 2_097_152
# With more in line the peer does not take: the link is closed.
QUEUE_MAX_BYTES = 16_777_216


class Outgoing:
    """Encoded frames in the order of their coming."""

    __slots__ = ("_frames", "bytes", "is_congested")

    def __init__(self) -> None:
        self._frames: deque[bytes] = deque()
        self.bytes = 0
        """In line."""
        self.is_congested = False
        """Whether channels have to hold back."""

    def __len__(self) -> int:
        return len(self._frames)

    def has_room_for_hint(self, size_bytes: int) -> bool:
        """Whether a hint of so many bytes may wait."""
        return self.bytes + size_bytes <= HINTS_MAX_BYTES

    @property
    def is_over(self) -> bool:
        """Whether more waits than may."""
        return self.bytes > QUEUE_MAX_BYTES

    def put(self, frame: bytes) -> None:
        """At the end of the line."""
        self._frames.append(frame)
        self.bytes += len(frame)
        if self.bytes >= CHANNELS_HIGH_BYTES:
            self.is_congested = True

    def put_first(self, frame: bytes) -> None:
        """What tells whether the peer lives does not wait for what it has not taken."""
        self._frames.appendleft(frame)
        self.bytes += len(frame)

    def take(self) -> bytes:
        """The next message, of frames of MESSAGE_BYTES together, or of one that is larger. There is one."""
        frames = self._frames
        taken = [frames.popleft()]
        size_bytes = len(taken[0])
        while frames and size_bytes + len(frames[0]) <= MESSAGE_BYTES:
            taken.append(frames.popleft())
            size_bytes += len(taken[-1])
        self.bytes -= size_bytes
        if self.bytes <= CHANNELS_LOW_BYTES:
            self.is_congested = False
        return message(taken)

    def clear(self) -> None:
        """Nothing of it will be written."""
        self._frames.clear()
        self.bytes = 0
        self.is_congested = False
