"""First deliveries that are out, as runs: consecutive numbers with one holder and one deadline.

A settled number leaves its run, at an edge or by splitting it in two. Runs are sorted by number and
never overlap, so that a window of in-order acks costs no memory per message. As long as every run gets
the same time, the first one is also the first whose deadline comes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from operator import attrgetter

import msgspec

_first = attrgetter("first")


class Run(msgspec.Struct, gc=False):
    """First deliveries `first`..`last`, all open, with one holder and one deadline."""

    first: int
    last: int
    holder: int
    deadline: float

    @property
    def count(self) -> int:
        """How many they are."""
        return self.last - self.first + 1


class Runs:
    """Runs in order; `in_flight` counts for each holder what it has, and may be shared with others."""

    __slots__ = ("_runs", "in_flight")

    def __init__(self, in_flight: dict[int, int]) -> None:
        self.in_flight = in_flight
        self._runs: list[Run] = []

    def __bool__(self) -> bool:
        return bool(self._runs)

    def __iter__(self) -> Iterator[Run]:
        return iter(self._runs)

    @property
    def count(self) -> int:
        """How many deliveries there are."""
        return sum(run.count for run in self._runs)

    @property
    def lowest(self) -> int | None:
        """The lowest number, or None."""
        return self._runs[0].first if self._runs else None

    @property
    def deadline(self) -> float | None:
        """The deadline of the first run, or None."""
        return self._runs[0].deadline if self._runs else None

    def find(self, seq: int) -> Run | None:
        """The run that has `seq`, or None."""
        index = self._index(seq)
        return self._runs[index] if index >= 0 else None

    def hand(self, first: int, last: int, holder: int, deadline: float) -> None:
        """Add `first`..`last`, which come after all that is here. Runs that agree are merged."""
        runs, in_flight = self._runs, self.in_flight
        in_flight[holder] = in_flight.get(holder, 0) + last - first + 1
        if runs:
            tail = runs[-1]
            if tail.last == first - 1 and tail.holder == holder and tail.deadline == deadline:
                tail.last = last
                return
        runs.append(Run(first, last, holder, deadline))

    def take(self, seq: int) -> bool:
        """Remove one number. False if it is not here."""
        runs = self._runs
        if not runs:
            return False
        # Acks mostly come in the order of the deliveries.
        index = 0 if runs[0].first <= seq <= runs[0].last else self._index(seq)
        if index < 0:
            return False
        run = runs[index]
        self.in_flight[run.holder] -= 1
        if seq == run.first:
            if seq == run.last:
                del runs[index]
            else:
                run.first = seq + 1
        elif seq == run.last:
            run.last = seq - 1
        else:
            runs.insert(index + 1, Run(seq + 1, run.last, run.holder, run.deadline))
            run.last = seq - 1
        return True

    def take_through(self, seq: int, holder: int) -> int:
        """Remove every number of the holder's up to and with `seq`; returns how many."""
        taken = 0
        kept: list[Run] = []
        for run in self._runs:
            if run.holder == holder and run.first <= seq:
                last = min(run.last, seq)
                taken += last - run.first + 1
                run.first = last + 1
            if run.first <= run.last:
                kept.append(run)
        self._runs = kept
        if taken:
            self.in_flight[holder] -= taken
        return taken

    def take_expired(self, now: float, max_count: int) -> list[Run]:
        """Remove the runs whose deadline has passed, as long as the first one's has; of the last one as much
        as makes `max_count` in all."""
        runs, count, left_count = self._runs, 0, max_count
        while count < len(runs) and runs[count].deadline <= now and left_count > 0:
            run = runs[count]
            if run.count > left_count:
                cut = run.first + left_count
                runs.insert(count, Run(run.first, cut - 1, run.holder, run.deadline))
                run.first = cut
                run = runs[count]
            left_count -= run.count
            self.in_flight[run.holder] -= run.count
            count += 1
        # At once: one by one, each would move all that follow it.
        taken = runs[:count]
        del runs[:count]
        return taken

    def take_from(self, holder: int) -> list[Run]:
        """Remove all that the holder has."""
        taken = [run for run in self._runs if run.holder == holder]
        if taken:
            self._runs = [run for run in self._runs if run.holder != holder]
            self.in_flight[holder] -= sum(run.count for run in taken)
        return taken

    def take_all(self) -> list[Run]:
        """Remove everything."""
        taken, self._runs = self._runs, []
        for run in taken:
            self.in_flight[run.holder] -= run.count
        return taken

    def _index(self, seq: int) -> int:
        """Of the run that has `seq`, or -1."""
        index = bisect_right(self._runs, seq, key=_first) - 1
        return index if index >= 0 and seq <= self._runs[index].last else -1
