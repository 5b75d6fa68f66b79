"""A clock for the deadlines of connections that leaves out time in which the process stood still.

A process that is stopped (SIGSTOP, a virtual machine or container that is frozen) reads nothing. What peers
sent in that time is there when it goes on, and the sweep, which comes first, must not find them late.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

logger = logging.getLogger(__name__)

# A look that is later than this was not late because the loop was busy.
LATE_MAX_S = 2.0


class Standstill:
    """`clock` is monotonic, in seconds; `look` has to be called every `interval_s`."""

    def __init__(self, clock: Callable[[], float], interval_s: float) -> None:
        self._clock = clock
        self._interval_s = interval_s
        # Time that does not count.
        self._lost_s = 0.0
        # When a look is so late that the time stands still; None before the first one.
        self._stops_at: float | None = None
        self._was_late = False

    def now(self) -> float:
        """Seconds that grow, but not over a standstill."""
        now = self._clock()
        return (now if self._stops_at is None else min(now, self._stops_at)) - self._lost_s

    def look(self) -> bool:
        """Whether the process has just stood still, and what has come meanwhile is to be read before anybody
        is found late. Never true twice in a row: somebody may also be that busy."""
        now, is_late = self._clock(), False
        if self._stops_at is not None and now > self._stops_at:
            lost_s = now - self._stops_at
            self._lost_s += lost_s
            logger.warning(
                "the process stood still for %.1f s: that counts against no connection",
                lost_s + LATE_MAX_S,
            )
            is_late = not self._was_late
        self._was_late = is_late
        self._stops_at = now + self._interval_s + LATE_MAX_S
        return is_late
