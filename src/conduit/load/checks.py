"""Whether everything came, once each and in order: numbers that arrived against those that were due."""

from __future__ import annotations

import dataclasses
import functools
from bisect import bisect_left
from collections.abc import Iterable
from collections.abc import Sequence as Several


@dataclasses.dataclass
class Checks:
    """What the run verified. `expected` and `seen` count messages or deliveries."""

    expected: int = 0
    seen: int = 0
    lost: int = 0
    duplicates: int = 0
    disordered: int = 0

    def __add__(self, other: Checks) -> Checks:
        pairs = zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)
        return Checks(*(mine + theirs for mine, theirs in pairs))

    @property
    def is_whole(self) -> bool:
        """Whether nothing was lost, doubled or out of order."""
        return not (self.lost or self.duplicates or self.disordered)


class Numbers:
    """The decimal texts of first, first + 1 … as bytes, made once."""

    def __init__(self, first: int = 0) -> None:
        self._first = first
        self._texts: list[bytes] = []

    def between(self, start: int, stop: int) -> list[bytes]:
        """Those of start … stop - 1."""
        first = self._first
        if stop - first > len(self._texts):
            more = range(first + len(self._texts), stop + 10_000)
            self._texts.extend(b"%d" % number for number in more)
        return self._texts[start - first : stop - first]


# By the first number: all that count from there share the texts.
numbers_from = functools.cache(Numbers)


class Sequence:
    """Checks that one subscriber sees first, first + 1, … once each and in order."""

    def __init__(self, first: int = 0) -> None:
        self._first = first
        self._numbers = numbers_from(first)
        self._next = first
        self.seen = 0
        self.duplicates = 0
        self.disordered = 0
        self._missing: set[int] = set()

    def add(self, found: list[bytes]) -> None:
        """Compare numbers, as the decimal texts that arrived."""
        count = len(found)
        self.seen += count
        if found == self._numbers.between(self._next, self._next + count):
            self._next += count
            return
        self.seen -= count
        for text in found:
            self.see(int(text))

    def see(self, number: int) -> None:
        """Compare one."""
        self.seen += 1
        if number == self._next:
            self._next += 1
        elif number > self._next:
            self._missing.update(range(self._next, number))
            self._next = number + 1
        elif number in self._missing:
            self._missing.discard(number)
            self.disordered += 1
        else:
            self.duplicates += 1

    def checks(self, due: int) -> Checks:
        """The result when first … first + due - 1 were due."""
        lost = len(self._missing) + max(0, self._first + due - self._next)
        return Checks(due, self.seen, lost, self.duplicates, self.disordered)

    def missing(self, due: int) -> list[tuple[int, int]]:
        """What did not come of first … first + due - 1, as ranges from (with) to (without)."""
        end = self._first + due
        ranges = _ranges(number for number in self._missing if number < end)
        if self._next < end:
            ranges.append((self._next, end))
        return ranges


class Shared:
    """As `Sequence`, for several who share the messages: each may come to any of them, once."""

    def __init__(self, sharers: int, first: int = 0) -> None:
        self._first = first
        self._came: set[int] = set()
        self._last = [-1] * sharers
        self.seen = 0
        self.duplicates = 0
        self.disordered = 0

    def add(self, sharer: int, number: int) -> None:
        """The number came to this one of them."""
        self.seen += 1
        if number in self._came:
            self.duplicates += 1
            return
        self._came.add(number)
        if number < self._last[sharer]:
            self.disordered += 1
        else:
            self._last[sharer] = number

    def checks(self, due: int) -> Checks:
        """The result when first … first + due - 1 were due."""
        lost = sum(number not in self._came for number in self._due(due))
        return Checks(due, self.seen, lost, self.duplicates, self.disordered)

    def missing(self, due: int) -> list[tuple[int, int]]:
        """As `Sequence.missing`."""
        return _ranges(number for number in self._due(due) if number not in self._came)

    def _due(self, due: int) -> range:
        return range(self._first, self._first + due)


def lost_of(missing: Iterable[tuple[int, int]], refused: Iterable[int]) -> int:
    """How many of what is missing were not refused to their publisher, and so had to come.

    What several subscribers miss has its ranges for each of them: what was refused is none of them's.
    """
    ordered = sorted(refused)
    return sum(stop - start - _within(ordered, start, stop) for start, stop in missing)


def _within(ordered: Several[int], start: int, stop: int) -> int:
    return bisect_left(ordered, stop) - bisect_left(ordered, start)


def _ranges(numbers: Iterable[int]) -> list[tuple[int, int]]:
    ranges: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if ranges and ranges[-1][1] == number:
            ranges[-1] = (ranges[-1][0], number + 1)
        else:
            ranges.append((number, number + 1))
    return ranges
