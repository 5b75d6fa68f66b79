"""Ids of dead letters in order, of which some go from anywhere at little cost; and what shares a bound."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Container, Iterator
from itertools import islice

from conduit.storage.dead_letters import DeadTally


class Ids:
    """Sorted ids. Those that have gone stay in the list until they are half of it: `live` says which are
    there. New ones are mostly the highest."""

    __slots__ = ("_gone_count", "_head", "_items", "_live")

    def __init__(self, live: Container[str]) -> None:
        self._items: list[str] = []
        self._live = live
        self._gone_count = 0
        # Before it all have gone.
        self._head = 0

    def add(self, dead_id: str) -> None:
        """A new one."""
        items = self._items
        if not items or dead_id > items[-1]:
            items.append(dead_id)
            return
        place = bisect_left(items, dead_id)
        self._head = min(self._head, place)
        if place < len(items) and items[place] == dead_id:
            # It had gone, and is back: a commit was tried again whose answer was lost.
            self._gone_count -= 1
        else:
            items.insert(place, dead_id)

    def removed(self) -> None:
        """One is not live any more."""
        self._gone_count += 1
        if self._gone_count * 2 > len(self._items):
            self._items = [one for one in self._items if one in self._live]
            self._gone_count = self._head = 0

    def below(self, before_id: str | None, count: int) -> list[str]:
        """The next `count` places downwards from `before_id`, or from the end; some may have gone."""
        items = self._items
        end = len(items) if before_id is None else bisect_left(items, before_id)
        return items[max(end - count, 0) : end][::-1]

    def oldest(self) -> Iterator[str]:
        """Upwards, those that are live, while nothing is changed."""
        items, live = self._items, self._live
        while self._head < len(items) and items[self._head] not in live:
            self._head += 1
        return (one for one in islice(items, self._head, None) if one in live)


class Pile:
    """The dead letters that share one bound: `shelf_of` says which."""

    __slots__ = ("count", "ids", "redriven", "size_bytes")

    def __init__(self, live: Container[str]) -> None:
        self.ids = Ids(live)
        self.count = 0
        self.size_bytes = 0
        # Those that were redriven; values mean nothing.
        self.redriven: dict[str, None] = {}

    @property
    def tally(self) -> DeadTally:
        """How many there are."""
        redriven_count = len(self.redriven)
        return DeadTally(self.count - redriven_count, redriven_count, self.size_bytes)

    def going(self, is_left: Callable[[str], bool]) -> Iterator[str]:
        """In the order in which they have to go: those that were redriven, as they were; then the oldest.
        One that `is_left`, all there is of a message that may still be out, counts as not redriven. While
        nothing is changed; most who ask need few."""
        redriven = self.redriven
        yield from (one for one in redriven if not is_left(one))
        for dead_id in self.ids.oldest():
            if dead_id not in redriven or is_left(dead_id):
                yield dead_id
