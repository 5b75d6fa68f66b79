"""Frames from another node on their way to a client's socket: as fast as that drains."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from conduit.broker.attach.passed import Passed
from conduit.broker.deliver.subscriber import Outlet

# So many more ids that are remembered are worth a look at the memory.
PASSED_STEP_COUNT = 1_000


class Inflow:
    """Of one share. What its calls return is how much the socket has taken since: so much more may come."""

    __slots__ = ("_held", "_looked_count", "_outlet", "_untaken_bytes", "held_bytes", "passed")

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet
        # Frames that wait, with what they are of the line's credit.
        self._held: deque[tuple[bytes, int]] = deque()
        self.held_bytes = 0
        """What waits for the socket."""
        # What was written, and may not have left.
        self._untaken_bytes = 0
        # How many ids were remembered when the memory was looked at last.
        self._looked_count = 0
        self.passed = Passed()
        """What was written and is not settled."""

    @property
    def is_draining(self) -> bool:
        """Whether nothing waits, and the socket takes more."""
        return not self._held and self._outlet.writable

    def has_grown(self) -> bool:
        """Whether the memory that it takes is worth a look: not at each message."""
        if not self._held and len(self.passed) < self._looked_count + PASSED_STEP_COUNT:
            return False
        self._looked_count = len(self.passed)
        return True

    @property
    def size_bytes(self) -> int:
        """What it keeps in memory."""
        return self.held_bytes + self.passed.size_bytes

    @property
    def kept(self) -> Iterator[bytes]:
        """The frames that wait."""
        return (data for data, _ in self._held)

    def came(self, data: bytes, size_bytes: int) -> int:
        """Write them now, or behind what waits."""
        if not self.is_draining:
            self._held.append((data, size_bytes))
            self.held_bytes += len(data)
            return 0
        self._write(data, size_bytes)
        return self._taken()

    def drained(self) -> int:
        """The socket may take more: write the first of those that wait."""
        if self._held and self._outlet.writable:
            data, size_bytes = self._held.popleft()
            self.held_bytes -= len(data)
            self._write(data, size_bytes)
        return self._taken()

    def keep(self) -> None:
        """The line is gone, and what waits does not come again: write it when the socket drains."""
        self._held = deque((data, 0) for data, _ in self._held)
        self._untaken_bytes = 0

    def drop(self) -> int:
        """Write nothing more of it."""
        dropped_bytes = sum(size_bytes for _, size_bytes in self._held) + self._untaken_bytes
        self._held.clear()
        self.held_bytes = self._untaken_bytes = 0
        return dropped_bytes

    def _write(self, data: bytes, size_bytes: int) -> None:
        self._untaken_bytes += size_bytes
        self.passed.add(data)
        self._outlet.write(data)

    def _taken(self) -> int:
        if not self._outlet.writable:
            return 0
        taken_bytes, self._untaken_bytes = self._untaken_bytes, 0
        return taken_bytes
