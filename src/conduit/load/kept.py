"""What was read, kept with its times until it is looked at."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

Look = Callable[[int, int, bytes], None]
"""Takes when the process woke for it, when it was read (both in ns), and the data."""

# A process that has read more than this looks at some of it before it reads on.
KEPT_MAX_BYTES = 256 << 20


class Kept:
    """The reads of several connections, in order of time; what they are for looks at each in its turn."""

    def __init__(self, max_bytes: int = KEPT_MAX_BYTES) -> None:
        self._reads: deque[tuple[Look, int, int, bytes]] = deque()
        self._max_bytes = max_bytes
        self._bytes = 0

    def add(self, look: Look, woken_ns: int, read_ns: int, data: bytes) -> None:
        """Keep one; and look at as many of the oldest as are too many."""
        self._reads.append((look, woken_ns, read_ns, data))
        self._bytes += len(data)
        while self._bytes > self._max_bytes:
            self._look()

    def look(self) -> None:
        """Look at all of them."""
        while self._reads:
            self._look()

    def _look(self) -> None:
        look, woken_ns, read_ns, data = self._reads.popleft()
        self._bytes -= len(data)
        look(woken_ns, read_ns, data)
