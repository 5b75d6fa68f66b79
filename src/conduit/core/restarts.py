"""When a process that has ended is started again, and when that is given up.

Several do the same work. Each is started again, after waits that grow as long as it does not last. That is
given up only when none of them serves, and none is likely to: as long as one does, or has ended only once, an
outage of what the others need is not made larger.
"""

from __future__ import annotations

from conduit.core.backoff import ack_wait_s

# How long one has to have served, so that its end is the first in a row.
LASTING_S = 30.0
# Before it is started again: the first time, and at most.
WAIT_FIRST_S = 0.25
WAIT_MAX_S = 30.0
# Ends in a row of one.
ENDS_MAX_COUNT = 5


class Restarts:
    """Of so many, which are numbered from 0. `now` is on one clock that does not go back."""

    __slots__ = ("_ends", "_since")

    def __init__(self, count: int) -> None:
        # Of each: how often it has ended in a row, and since when it serves.
        self._ends = [0] * count
        self._since: list[float | None] = [None] * count

    def serves(self, which: int, now: float) -> None:
        """It has begun to serve."""
        self._since[which] = now

    def ended(self, which: int, now: float, roll: float) -> float | None:
        """It has ended, whether it served or not. Returns after how many seconds it is to be started again;
        None: none of them serves, and none lasts, so it is given up. `roll` in [0, 1) keeps those
        that ended together from starting together."""
        since, self._since[which] = self._since[which], None
        has_lasted = since is not None and now - since >= LASTING_S
        self._ends[which] = 1 if has_lasted else self._ends[which] + 1
        if min(self._ends) >= ENDS_MAX_COUNT and not self.serving_count:
            return None
        return ack_wait_s(self._ends[which], WAIT_FIRST_S, WAIT_MAX_S, roll)

    def ends_in_a_row(self, which: int) -> int:
        """How often it has ended without having lasted in between."""
        return self._ends[which]

    @property
    def serving_count(self) -> int:
        """How many of them serve."""
        return sum(each is not None for each in self._since)
