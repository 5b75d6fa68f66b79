"""How long the next commit takes, learned from those before it.

A commit is taken to need a fixed time (the sync) and a time for each byte: a line through the commits of the
recent past, in which each counts for less than the one after it (least squares, exponentially weighted).
Where they were all of about one size, their mean says all that is known, and the line is flat.
"""

from __future__ import annotations

# What a commit counts for beside the one after it: the past is about five commits.
_KEEP = 0.8
# Sizes that differ by less than a tenth of themselves say nothing of what a byte costs.
_SAME_SIZE_SHARE = 0.1
# No disk is slower than this. When syncs begin to take long, the first such commit is often larger than those
# before it: that must not look as if its few bytes had taken so long.
SLOWEST_BYTES_PER_S = 250_000


class CommitTimes:
    """`fixed_s` and `per_byte_s` are what is known now; 0 as long as nothing is."""

    __slots__ = ("_weight", "_x", "_xx", "_xy", "_y", "fixed_s", "per_byte_s")

    def __init__(self) -> None:
        self._weight = self._x = self._y = self._xx = self._xy = 0.0
        self.fixed_s = 0.0
        self.per_byte_s = 0.0

    def observe(self, size_bytes: int, seconds: float) -> None:
        """A commit of so many bytes took so long."""
        self._weight = self._weight * _KEEP + 1
        self._x = self._x * _KEEP + size_bytes
        self._y = self._y * _KEEP + seconds
        self._xx = self._xx * _KEEP + size_bytes * size_bytes
        self._xy = self._xy * _KEEP + size_bytes * seconds
        size, time_s = self._x / self._weight, self._y / self._weight
        if not size:
            self.fixed_s = time_s
            return
        spread = max(0.0, self._xx / self._weight - size * size) + (_SAME_SIZE_SHARE * size) ** 2
        slope = (self._xy / self._weight - size * time_s) / spread
        # Neither part can be less than nothing.
        self.per_byte_s = min(max(slope, 0.0), time_s / size, 1 / SLOWEST_BYTES_PER_S)
        self.fixed_s = time_s - self.per_byte_s * size

    def expected_s(self, size_bytes: int, commit_count: int = 1) -> float:
        """How long so many bytes take in so many commits."""
        return commit_count * self.fixed_s + size_bytes * self.per_byte_s
