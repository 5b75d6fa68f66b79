"""A token bucket: a rate that holds in the mean, of which one second's worth may come at once."""

from __future__ import annotations

import math


class Bucket:
    """Full at first, and never fuller than with what it gets in one second.

    What costs more than that is taken when the bucket is full, and leaves it in debt: however large one thing
    is, it can be had, and the mean rate holds. Times are seconds of any clock that does not go back.
    """

    __slots__ = ("_at", "_level", "rate")

    def __init__(self, rate: int, now: float) -> None:
        """`rate` is per second. Of 0 nothing is ever taken."""
        self.rate = rate
        self._level: float = rate
        self._at = now

    def take(self, cost: int, now: float) -> float:
        """Take it, and return 0.0; or take nothing, and return in how many seconds it can be had, if nobody
        else takes anything until then."""
        # As `level` does, without a call: this is asked for every message.
        rate = self.rate
        level = self._level + (now - self._at) * rate
        if level > rate:
            level = rate
        self._at = now
        needed = cost if cost < rate else rate
        if level >= needed and rate:
            self._level = level - cost
            return 0.0
        self._level = level
        return (needed - level) / rate if rate else math.inf

    def spend(self, cost: int, now: float) -> None:
        """Take it, whatever is there: what could not be asked for before."""
        self._level = self.level(now) - cost

    def put_back(self, cost: int) -> None:
        """What was taken just now is not used."""
        self._level += cost

    def level(self, now: float) -> float:
        """What is there; negative in debt."""
        rate = self.rate
        level = self._level + (now - self._at) * rate
        if level > rate:
            level = rate
        self._level, self._at = level, now
        return level

    def wait_s(self, cost: int, now: float) -> float:
        """As `take`, but nothing is taken."""
        rate = self.rate
        if not rate:
            return math.inf
        return max(0.0, (min(cost, rate) - self.level(now)) / rate)
