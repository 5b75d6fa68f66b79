"""How old the broker may take something for that was stored before the machine was off.

How long that was, only the wall clock says: that it went ahead counts as time that has passed once the clock
has not been set for SETTLED_S. What is counted here may be more than what the broker counts, never less.
"""

from __future__ import annotations

from tests.model.oracle.log import ROUNDED_S

SETTLED_S = 600.0
# As long as dead letters are kept, and topics that are gone.
KEPT_S = 1_209_600.0


class Ages:
    """`now` is always the clock that nobody sets."""

    def __init__(self) -> None:
        self._booted_at: float | None = None
        """When the machine was booted last, as long as it is not known how long it was off."""
        self._steady_at = 0.0
        self._ahead_s = 0.0
        """By how much the wall clock is ahead of where it was left."""
        self._unkept_s = 0.0
        """By how much it was set forward since the store was told of the time."""
        self._passed: list[tuple[float, float]] = []
        """Each time that the machine was off: until when, and by how much that was longer than it was."""

    def booted(self, now: float) -> None:
        """The machine was off until now."""
        self._settle(now)
        self._booted_at = self._steady_at = now
        # Of what nobody has told the store, the next process does not know that it was a step.
        self._ahead_s = max(0.0, self._ahead_s) + self._unkept_s

    def clock_set(self, by_s: float, now: float) -> None:
        """The wall clock was set forward or back."""
        self._settle(now)
        self._unkept_s += max(0.0, by_s)
        if self._booted_at is not None:
            self._ahead_s += by_s
            self._steady_at = now

    def kept(self) -> None:
        """The store was told of the time."""
        self._unkept_s = 0.0

    def is_over(self, since: float, now: float) -> bool:
        """Whether the broker may take what was stored then for older than KEPT_S."""
        self._settle(now)
        more_s = sum(passed_s for at, passed_s in self._passed if since <= at)
        return now - since + more_s >= KEPT_S

    def _settle(self, now: float) -> None:
        if self._booted_at is not None and now >= self._steady_at + SETTLED_S - ROUNDED_S:
            self._passed.append((self._booted_at, max(0.0, self._ahead_s)))
            self._booted_at, self._ahead_s = None, 0.0
