"""A bounded number of places for requests, of which nobody can keep all others out."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager


class Seats:
    """As long as there are free ones, everybody gets one. After that whoever has less than an equal share of
    them still does, until there are twice as many as there should be."""

    __slots__ = ("_max_count", "_owners", "count")

    def __init__(self, max_count: int) -> None:
        self._max_count = max_count
        self._owners: dict[Hashable, int] = {}
        self.count = 0
        """Taken ones."""

    def is_free_for(self, owner: Hashable) -> bool:
        """Whether it gets one more."""
        if self.count < self._max_count:
            return True
        own_count = self._owners.get(owner, 0)
        share = self._max_count // (len(self._owners) + (not own_count))
        return own_count < share and self.count < 2 * self._max_count

    def take(self, owner: Hashable) -> None:
        """It has one more, which `is_free_for` it."""
        self._owners[owner] = self._owners.get(owner, 0) + 1
        self.count += 1

    def leave(self, owner: Hashable) -> None:
        """The end of one `take`."""
        self.count -= 1
        if self._owners[owner] == 1:
            del self._owners[owner]
        else:
            self._owners[owner] -= 1

    @contextmanager
    def taken(self, owner: Hashable) -> Iterator[None]:
        """It has one meanwhile."""
        self.take(owner)
        try:
            yield
        finally:
            self.leave(owner)
