"""A clock for deadlines of others that leaves out time in which the process stood still.

A process that is stopped (SIGSTOP, a virtual machine or container that is frozen) reads nothing. What peers
sent in that time, and what the store has answered, is there when it goes on; whoever looks at deadlines comes
first, and must not find them late.
"""

from __future__ import annotations

from collections.abc import Callable


class Standstill:
    """`clock` is monotonic, in seconds. `look` has to be called every `interval_s`; one that is later than
    that by more than `late_max_s` is not late because the loop was busy. `tell` hears how long it stood.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        interval_s: float,
        late_max_s: float,
        tell: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._clock = clock
        self._interval_s = interval_s
        self._late_max_s = late_max_s
        self._tell = tell
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
            self._tell(lost_s + self._late_max_s)
            is_late = not self._was_late
        self._was_late = is_late
        self._stops_at = now + self._interval_s + self._late_max_s
        return is_late
