"""Numbers of a topic that one subscription was not given, because the log had lost them, and it may not know.

They are settled but for that: they hold the floor, and are stored with what is open, until the subscriber is
known to have heard of them. So a connection that breaks, or a crash, makes no loss a silent one.
"""

from __future__ import annotations

from collections.abc import Iterator


class Lost:
    """Ranges of numbers, both ends included."""

    __slots__ = ("_ranges",)

    def __init__(self) -> None:
        self._ranges: dict[tuple[int, int], None] = {}

    def __bool__(self) -> bool:
        return bool(self._ranges)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self._ranges)

    def add(self, first: int, last: int) -> None:
        """The log has lost these. Call `hear` when the subscriber knows it."""
        self._ranges[first, last] = None

    def hear(self, first: int, last: int) -> bool:
        """The subscriber knows it of this range. False if that is not owed to it (any more)."""
        return self._ranges.pop((first, last), 0) is None

    def clear(self) -> None:
        """Whoever begins anew need not hear of it."""
        self._ranges.clear()

    def restore(self, ranges: list[tuple[int, int]]) -> None:
        """Take over what `joined` gave."""
        self._ranges = dict.fromkeys(ranges)

    def lowest(self, floor: int, lowest: int) -> int:
        """The lowest number above the floor, if one is below `lowest`; else that. What is not above the floor
        was redriven; in what was stored it may be joined with what is."""
        above = (max(first, floor + 1) for first, last in self._ranges if last > floor)
        return min(lowest, min(above, default=lowest))

    def joined(self) -> list[tuple[int, int]]:
        """All numbers in as few ranges as there can be, in ascending order."""
        joined: list[tuple[int, int]] = []
        for first, last in sorted(self._ranges):
            if joined and first <= joined[-1][1] + 1:
                joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
            else:
                joined.append((first, last))
        return joined
