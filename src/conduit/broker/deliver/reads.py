"""What one subscription has of the log in memory, within bounds, however many topics it is behind in.

A cursor that is behind begins to read in its turn, and is busy until it has handed out what it read, or
found no credit for the rest. Only so many are busy at a time. What a cursor has left then it keeps, since
acks may come one by one; those that had theirs longest lose it when there is more than the bound, and
read it again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

# Cursors of one subscription that read, or hand out what they read; a page has PAGE_MAX_BYTES (reader.py).
BUSY_MAX_COUNT = 4
# What the others of the subscription keep.
KEPT_MAX_BYTES = 512 << 10


class Keeping(Protocol):
    """Who keeps something of the log."""

    def drop(self) -> None:
        """Keep it no longer."""


class Reads:
    """Counts who is busy, and knows who keeps how much."""

    __slots__ = ("_busy_count", "_kept", "_kept_bytes", "_on_free")

    def __init__(self, on_free: Callable[[], None]) -> None:
        self._on_free = on_free
        self._busy_count = 0
        # Who kept something longest is first.
        self._kept: dict[Keeping, int] = {}
        self._kept_bytes = 0

    @property
    def is_free(self) -> bool:
        """Whether one more may read."""
        return self._busy_count < BUSY_MAX_COUNT

    def begin(self) -> None:
        """One more is busy, which only may be if `is_free`."""
        self._busy_count += 1

    def end(self) -> None:
        """One is not busy any more."""
        self._busy_count -= 1
        self._on_free()

    def keep(self, who: Keeping, size: int) -> None:
        """It keeps so many bytes, as the last one that has to drop them."""
        self.forget(who)
        self._kept[who] = size
        self._kept_bytes += size
        while self._kept_bytes > KEPT_MAX_BYTES and len(self._kept) > 1:
            oldest = next(iter(self._kept))
            self.forget(oldest)
            oldest.drop()

    def forget(self, who: Keeping) -> None:
        """It keeps nothing. Idempotent."""
        self._kept_bytes -= self._kept.pop(who, 0)
