"""Things of many, in turn: one of each, then the next one of each, however many each has."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Rotation(Generic[T]):
    """Those of one owner are in the order in which they came. Owners are in the order of their turns."""

    __slots__ = ("_owners", "count")

    def __init__(self) -> None:
        self._owners: OrderedDict[Hashable, OrderedDict[T, None]] = OrderedDict()
        self.count = 0

    def __bool__(self) -> bool:
        return self.count > 0

    def put(self, owner: Hashable, item: T) -> None:
        """What is there keeps its place."""
        items = self._owners.get(owner)
        if items is None:
            items = self._owners[owner] = OrderedDict()
        if item not in items:
            items[item] = None
            self.count += 1

    def discard(self, owner: Hashable, item: T) -> None:
        """It is not there any more. Idempotent."""
        items = self._owners.get(owner)
        if items is not None and item in items:
            del items[item]
            self.count -= 1
            if not items:
                del self._owners[owner]

    def take(self) -> tuple[Hashable, T]:
        """The next one, with its owner, whose turn that was; there must be one."""
        owner, items = next(iter(self._owners.items()))
        item, _ = items.popitem(last=False)
        self.count -= 1
        if items:
            self._owners.move_to_end(owner)
        else:
            del self._owners[owner]
        return owner, item
