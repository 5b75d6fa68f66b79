"""Memory that connections kept goes back to the system when they have let go of it.

glibc keeps what is freed in the middle of its heap for later, so after a wave of unread answers, or of
connections, the process would stay as large as it was. `malloc_trim` gives such pages back; it is asked when
what connections keep, with what each takes itself, has fallen by half, after it was much. Other C libraries
have no such call, and none is made there.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

# Less than this is not worth a pass over the heap.
WORTHWHILE_BYTES = 32 << 20
# What a connection takes that keeps nothing; 5,000 of them come to as much as one wave of unread answers.
CONNECTION_BYTES = 14 << 10


def malloc_trim() -> Callable[[], object]:
    """glibc's call, without Python's lock while it works; elsewhere one that does nothing."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):
        return lambda: None
    return lambda: trim(0)


class Trimming:
    """Looks once a second; `trim` is called in a thread, because it takes a millisecond for some MiB."""

    def __init__(self, trim: Callable[[], object]) -> None:
        self._trim = trim
        self._most_bytes = 0
        self._thread: ThreadPoolExecutor | None = None

    def look(self, kept_bytes: int, connection_count: int) -> None:
        """So many connections keep so much now, besides what each takes."""
        kept_bytes += connection_count * CONNECTION_BYTES
        self._most_bytes = max(self._most_bytes, kept_bytes)
        if self._most_bytes >= WORTHWHILE_BYTES and kept_bytes <= self._most_bytes // 2:
            self._most_bytes = kept_bytes
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, "trimming")
            self._thread.submit(self._trim)

    def stop(self) -> None:
        """Wait for what is under way."""
        if self._thread is not None:
            self._thread.shutdown()
