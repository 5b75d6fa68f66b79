"""Frames from another node on their way to a client's socket: as fast as that drains."""

from __future__ import annotations

from collections import deque

from conduit.broker.attach.passed import Passed
from conduit.broker.deliver.subscriber import Outlet


class Inflow:
    """Of one share. What its calls return is how much the socket has taken since: so much more may come."""

    __slots__ = ("_held", "_outlet", "_untaken_bytes", "held_bytes", "passed")

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet
        # Frames that wait, with what they are of the line's credit.
        self._held: deque[tuple[bytes, int]] = deque()
        self.held_bytes = 0
        # What was written, and may not have left.
        self._untaken_bytes = 0
        self.passed = Passed()
        """What was written and is not settled."""

    @property
    def is_draining(self) -> bool:
        """Whether nothing waits, and the socket takes more."""
        return not self._held and self._outlet.writable

    def came(self, data: bytes, size_bytes: int) -> int:
        """Write them now, or behind what waits."""
        if not self.is_draining:
            self._held.append((data, size_bytes))
            self.held_bytes += size_bytes
            return 0
        self._write(data, size_bytes)
        return self._taken()

    def drained(self) -> int:
        """The socket may take more: write the first of those that wait."""
        if self._held and self._outlet.writable:
            data, size_bytes = self._held.popleft()
            self.held_bytes -= size_bytes
            self._write(data, size_bytes)
        return self._taken()

    def drop(self) -> int:
        """Write nothing more of it."""
        dropped_bytes = self.held_bytes + self._untaken_bytes
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
