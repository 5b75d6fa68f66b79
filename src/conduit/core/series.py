"""How counts and levels went, in several resolutions: seconds for minutes, minutes for a day.

A series is fed what counters say now and how high things are, once a second or so. Each resolution keeps,
for each of its intervals, by how much the counters have grown in it and how high things were at its end: so
its points can be added to those of other series, and nothing is lost in a coarse one. The oldest point gives
way to the newest.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import NamedTuple

# What one count of a point can be: beyond it, it stays there.
GROWTH_MAX = (1 << 32) - 1
LEVEL_MAX = (1 << 63) - 1


class Resolution(NamedTuple):
    """One point each `interval_s`, and the newest `points_max_count` of them."""

    interval_s: int
    points_max_count: int


# Five minutes, one hour, one day. A point has 16 bytes, 4 for each counter and 8 for each level: with the
# latencies of a node 2,460 of them have 500 KB, without them 170 KB.
RESOLUTIONS = (Resolution(1, 300), Resolution(5, 720), Resolution(60, 1_440))


class SeriesPoint(NamedTuple):
    """The end of one interval."""

    at_ms: int
    """On the wall clock."""
    elapsed_s: float
    """Since the point before; longer than the interval where the process has stood still."""
    growth: Sequence[int]
    """Of each counter, in that time."""
    levels: Sequence[int]


class Series:
    """`counters` are what they are now; as many, and `levels_count` levels, are given with every `add`."""

    def __init__(
        self,
        now: float,
        counters: Sequence[int],
        levels_count: int,
        resolutions: Sequence[Resolution] = RESOLUTIONS,
    ) -> None:
        self._rings = [_Ring(now, counters, levels_count, each) for each in resolutions]

    def add(self, now: float, at_ms: int, counters: Sequence[int], levels: Sequence[int]) -> None:
        """What they are at `now`, which never goes back and is `at_ms` on the wall clock. A counter that
        falls has begun anew."""
        for ring in self._rings:
            if now >= ring.next_at:
                ring.add(now, at_ms, counters, levels)

    def points(self, interval_s: int, limit: int | None = None) -> Iterator[SeriesPoint]:
        """The newest of this resolution, oldest first. Raises KeyError if there is none such."""
        for ring in self._rings:
            if ring.interval_s == interval_s:
                return ring.points(limit)
        raise KeyError(interval_s)


class _Ring:
    """The points of one resolution, as numbers side by side."""

    def __init__(
        self, now: float, counters: Sequence[int], levels_count: int, resolution: Resolution
    ) -> None:
        self.interval_s, self._max_count = resolution
        self.next_at = now + self.interval_s
        self._at = now
        self._before = tuple(counters)
        self._counters_count = len(counters)
        # `at_ms`, the milliseconds since the point before, and the levels.
        self._width = 2 + levels_count
        self._growth = array("I")
        self._rest = array("q")
        # Where the next one goes, once all places are taken.
        self._next = 0

    def add(self, now: float, at_ms: int, counters: Sequence[int], levels: Sequence[int]) -> None:
        grown = [
            min(count - was if count >= was else count, GROWTH_MAX)
            for count, was in zip(counters, self._before, strict=True)
        ]
        growth = array("I", grown)
        elapsed_ms = round((now - self._at) * 1000)
        rest = array("q", (at_ms, elapsed_ms, *[min(level, LEVEL_MAX) for level in levels]))
        if len(self._rest) < self._max_count * self._width:
            self._growth.extend(growth)
            self._rest.extend(rest)
        else:
            at, self._next = self._next, (self._next + 1) % self._max_count
            self._growth[at * len(growth) : (at + 1) * len(growth)] = growth
            self._rest[at * self._width : (at + 1) * self._width] = rest
        self._at, self._before = now, tuple(counters)
        self.next_at += self.interval_s
        if self.next_at <= now:
            # Intervals in which nobody called are none.
            self.next_at = now + self.interval_s

    def points(self, limit: int | None) -> Iterator[SeriesPoint]:
        count = len(self._rest) // self._width
        given = count if limit is None else min(limit, count)
        for number in range(count - given, count):
            at = (self._next + number) % count
            at_ms, elapsed_ms, *levels = self._rest[at * self._width : (at + 1) * self._width]
            growth = self._growth[at * self._counters_count : (at + 1) * self._counters_count]
            yield SeriesPoint(at_ms, elapsed_ms / 1000, growth, levels)
