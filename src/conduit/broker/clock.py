"""The one clock: UTC seconds that never go back."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Where the broker's time comes from; tests have one that they move by hand."""

    def now(self) -> float:
        """Seconds since the epoch, UTC; never less than the call before."""


class SystemClock:
    """Wall time read once and carried on by the monotonic clock, so that a step of the machine's clock
    moves no deadline. Labels such as `published_at` keep the offset of the start."""

    def __init__(self) -> None:
        self._offset_s = time.time() - time.monotonic()

    def now(self) -> float:
        """Seconds since the epoch, UTC."""
        return time.monotonic() + self._offset_s
