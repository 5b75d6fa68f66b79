"""A bounded number of entries of many owners: when there are too many, whoever has the most loses its oldest.

Owners belong to groups. It is the group with the most that loses something, and of this the owner with the
most. So no group can push out what others have, as long as they have less than it, and no owner within one.
Once there have been too many, all are kept in the order of how much they have; before that it costs nothing.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

import msgspec

V = TypeVar("V")

# Of the owners' places in the heap, how many may be out of date before it is made anew.
STALE_MIN_COUNT = 64


class Kept(msgspec.Struct, Generic[V], frozen=True, eq=False, gc=False):
    """An entry: of whom, under which key, from when (seconds or milliseconds), and what it stands for."""

    owner: int
    key: str
    at: float
    value: V


class Shares(Generic[V]):
    """Entries by owner and key. An owner's are in the order in which they were put, which is nearly that of
    their times. `group_of` says where an owner belongs, as long as it has something."""

    def __init__(
        self, max_count: int, group_of: Callable[[int], Hashable] = lambda _owner: None
    ) -> None:
        self._max_count = max_count
        self._group_of = group_of
        self._count = 0
        self._owners: dict[int, _Owned[V]] = {}
        # When the oldest of each owner is from, or earlier, and the owner.
        self._oldest: list[tuple[float, int]] = []
        self._ranks: _Ranks | None = None

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Kept[V]]:
        for owned in self._owners.values():
            yield from owned.order

    def get(self, owner: int, key: str) -> Kept[V] | None:
        """What is kept under this key."""
        owned = self._owners.get(owner)
        return None if owned is None else owned.by_key.get(key)

    def put(self, kept: Kept[V]) -> Kept[V] | None:
        """Keep it, in place of what is under its key. Returns what had to go for it."""
        owned = self._owners.get(kept.owner)
        if owned is None:
            owned = self._owners[kept.owner] = _Owned(self._group_of(kept.owner), kept.at)
            heappush(self._oldest, (kept.at, kept.owner))
        replaced = owned.by_key.get(kept.key)
        owned.order.append(kept)
        owned.by_key[kept.key] = kept
        if replaced is not None:
            # It is old, or it would not be replaced, and so is found soon.
            owned.order.remove(replaced)
            return None
        self._count += 1
        if self._ranks is not None:
            self._ranks.move(kept.owner, owned.group, len(owned.by_key) - 1, len(owned.by_key))
        return self._pop_from_the_largest() if self._count > self._max_count else None

    def pop_until(self, at: float, limit: int | None = None) -> int:
        """Forget what is from `at` or before, up to `limit` of the oldest; returns how many there were."""
        count = 0
        while self._oldest and self._oldest[0][0] <= at and count != limit:
            place, owner = heappop(self._oldest)
            owned = self._owners.get(owner)
            if owned is None or owned.place != place:
                continue
            was = len(owned.by_key)
            while owned.order and owned.order[0].at <= at and count != limit:
                owned.pop()
                count += 1
            self._shrunk(owner, owned, was)
            if owned.order:
                owned.place = owned.order[0].at
                heappush(self._oldest, (owned.place, owner))
        return count

    def drop(self, owner: int) -> None:
        """Forget all of an owner's."""
        owned = self._owners.get(owner)
        if owned is not None:
            was = len(owned.by_key)
            owned.by_key.clear()
            self._shrunk(owner, owned, was)

    def _pop_from_the_largest(self) -> Kept[V]:
        if self._ranks is None:
            self._ranks = _Ranks()
            for owner, each in self._owners.items():
                self._ranks.move(owner, each.group, 0, len(each.by_key))
        owner = self._ranks.largest()
        owned = self._owners[owner]
        gone = owned.pop()
        self._shrunk(owner, owned, len(owned.by_key) + 1)
        return gone

    def _shrunk(self, owner: int, owned: _Owned[V], was: int) -> None:
        size = len(owned.by_key)
        self._count -= was - size
        if self._ranks is not None:
            self._ranks.move(owner, owned.group, was, size)
        if not size:
            del self._owners[owner]
            if len(self._oldest) > 2 * len(self._owners) + STALE_MIN_COUNT:
                self._oldest = [(owned.place, owner) for owner, owned in self._owners.items()]
                heapify(self._oldest)


class _Owned(Generic[V]):
    """What one owner has."""

    __slots__ = ("by_key", "group", "order", "place")

    def __init__(self, group: Hashable, place: float) -> None:
        self.group = group
        self.by_key: dict[str, Kept[V]] = {}
        # Not the order of the dict: to find its first one passes all that were removed from its front.
        self.order: deque[Kept[V]] = deque()
        self.place = place
        """Its entry in the heap has this time; any other is out of date."""

    def pop(self) -> Kept[V]:
        oldest = self.order.popleft()
        del self.by_key[oldest.key]
        return oldest


class _Ranks:
    """Who has how much: groups, and the owners of each."""

    def __init__(self) -> None:
        self._groups: _Sizes[Hashable] = _Sizes()
        # With how much it has.
        self._owners: dict[Hashable, tuple[int, _Sizes[int]]] = {}

    def largest(self) -> int:
        """Of the group that has the most, the owner that has the most. There is one."""
        return self._owners[self._groups.largest()][1].largest()

    def move(self, owner: int, group: Hashable, was: int, now: int) -> None:
        """The owner had so many, and has so many now."""
        group_was, owners = self._owners.get(group) or (0, _Sizes[int]())
        group_now = group_was + now - was
        owners.move(owner, was, now)
        self._groups.move(group, group_was, group_now)
        if group_now:
            self._owners[group] = group_now, owners
        else:
            self._owners.pop(group, None)


W = TypeVar("W", bound=Hashable)


class _Sizes(Generic[W]):
    """Who has how much: all of one size together."""

    def __init__(self) -> None:
        self._of_size: dict[int, OrderedDict[W, None]] = {}
        self._top = 0

    def largest(self) -> W:
        """Who has the most; of several whoever came to it first. There is one."""
        while self._top not in self._of_size:
            self._top -= 1
        return next(iter(self._of_size[self._top]))

    def move(self, owner: W, was: int, now: int) -> None:
        """It had so many, and has so many now."""
        if was == now:
            return
        if was:
            same = self._of_size[was]
            del same[owner]
            if not same:
                del self._of_size[was]
        if now:
            self._of_size.setdefault(now, OrderedDict())[owner] = None
            self._top = max(self._top, now)


def cap_of(sizes: Iterable[int], max_count: int) -> int:
    """How many each may have of what `Shares` would keep, if that is more than one: the most for which all
    together have no more than `max_count`."""
    left, owners = max_count, sorted(sizes)
    for place, size in enumerate(owners):
        share = left // (len(owners) - place)
        if size > share:
            return share
        left -= size
    return max_count
