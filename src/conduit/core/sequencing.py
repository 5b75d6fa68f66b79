"""Messages of one topic that come in any order, twice or not at all, in the order of their numbers.

Several nodes commit to a topic, and tell each other: what another one has stored may come before what was
stored first, late, again, or never. What follows the last number goes on at once, and is not held here. What
comes too early is held until the hole before it is filled, by others or from the log.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

# What is held of one topic. Who has more too early reads all of it from the log.
HELD_MAX_COUNT = 1_024
HELD_MAX_BYTES = 1 << 20


class Run(NamedTuple, Generic[T]):
    """Consecutive messages, from the number `first` on."""

    first: int
    items: Sequence[T]
    size_bytes: int

    @property
    def last(self) -> int:
        """The number of the last one."""
        return self.first + len(self.items) - 1

    def after(self, last_seq: int) -> Run[T]:
        """What of it comes after that number."""
        if self.first > last_seq:
            return self
        return Run(last_seq + 1, self.items[last_seq + 1 - self.first :], self.size_bytes)


class Sequencing(Generic[T]):
    """What came too early of one topic. `last_seq`, where it is asked for, is the last number that went on.

    Invariants. Of what is held nothing went on, but for what came by another way since; `take` drops that. So
    what `take` gives begins with the next number, whatever was held twice. `count` and `size_bytes` are those
    of all runs, and stay within the bounds.
    """

    __slots__ = ("_firsts", "_runs", "count", "size_bytes")

    def __init__(self) -> None:
        # By their first number; and these, the lowest first.
        self._runs: dict[int, Run[T]] = {}
        self._firsts: list[int] = []
        self.count = 0
        """Messages that are held."""
        self.size_bytes = 0

    def __bool__(self) -> bool:
        return bool(self._runs)

    @property
    def highest(self) -> int:
        """The highest number that is held; 0 for none."""
        return max((run.last for run in self._runs.values()), default=0)

    def hold(self, run: Run[T]) -> bool:
        """Keep what cannot go on yet. False if that is too much: then it is not kept."""
        known = self._runs.get(run.first)
        if known is not None and len(known.items) >= len(run.items):
            return True
        before_count, before_bytes = (len(known.items), known.size_bytes) if known else (0, 0)
        count = self.count + len(run.items) - before_count
        size_bytes = self.size_bytes + run.size_bytes - before_bytes
        if count > HELD_MAX_COUNT or size_bytes > HELD_MAX_BYTES:
            return False
        if known is None:
            heappush(self._firsts, run.first)
        self._runs[run.first], self.count, self.size_bytes = run, count, size_bytes
        return True

    def take(self, last_seq: int) -> Run[T] | None:
        """What goes on now, and is held no more: call it again after that. None as long as the next number is
        missing."""
        while self._firsts and self._firsts[0] <= last_seq + 1:
            run = self._runs.pop(heappop(self._firsts))
            self.count -= len(run.items)
            self.size_bytes -= run.size_bytes
            if run.last > last_seq:
                return run.after(last_seq)
        return None

    def hole(self) -> int:
        """The last of the numbers that are missing before what is held; 0 if nothing is."""
        return self._firsts[0] - 1 if self._firsts else 0
