"""The ids of what has come lately, so that what comes again is known."""

from __future__ import annotations

from collections.abc import Iterable


class Recent:
    """At least the last `count` ids, and at most twice as many: the older half is forgotten at once when the
    newer one is full. So an id costs two look-ups and no order is kept."""

    __slots__ = ("_before", "_count", "_now")

    def __init__(self, count: int) -> None:
        self._count = count
        self._now: set[str] = set()
        self._before: set[str] = set()

    def __len__(self) -> int:
        return len(self._now) + len(self._before)

    def add(self, id_: str) -> bool:
        """It has come. Returns whether it is new, as far as that is known."""
        if id_ in self._now or id_ in self._before:
            return False
        if len(self._now) >= self._count:
            self._before, self._now = self._now, set()
        self._now.add(id_)
        return True

    def forget(self, ids: Iterable[str]) -> None:
        """It is as if these had not come: nothing was done with them."""
        for id_ in ids:
            self._now.discard(id_)
            self._before.discard(id_)
