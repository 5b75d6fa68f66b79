"""What this node wants, and what of it the others were told: one numbered change after the other.

What a version stands for never changes: a change counts as told once it was taken, whether or not it arrives.
"""

from __future__ import annotations

from itertools import islice
from typing import NamedTuple

from conduit.core.interest import Change
from conduit.core.wants import ENTRIES_MAX_COUNT, Entry

# When a node has no more than this part of the bound, it says again what it wants.
AGAIN_PART = 0.8


class Said(NamedTuple):
    """A step from one version to the next."""

    version: int
    changes: list[Change] | None
    """None: too much to be told; see `OwnInterest.state`."""
    count_before: int
    """How many entries the state had that others could know."""


class OwnInterest:
    """The entries of this node. Above `max_count` it wants everything and tells none of them."""

    def __init__(self, max_count: int = ENTRIES_MAX_COUNT) -> None:
        self._max_count = max_count
        self._entries: dict[Entry, int] = {}
        self._untold: dict[Entry, int] = {}
        self.version = 1
        self.has_all = False

    def __len__(self) -> int:
        """How many entries others can know."""
        return 0 if self.has_all else len(self._entries)

    def put(self, entry: Entry, count: int) -> bool:
        """The entry has so many subscribers from now on. Returns whether this is the first that is untold."""
        untold = self._untold
        is_first = not untold
        untold[entry] = count
        return is_first

    @property
    def untold_count(self) -> int:
        """How many entries may have changed since they were told."""
        return len(self._untold)

    def take(self, max_count: int) -> Said | None:
        """The next step, of at most so many changes; None if so many entries are as they were told."""
        count_before = len(self)
        changes: list[Change] = []
        for entry in list(islice(self._untold, max_count)):
            count = self._untold.pop(entry)
            if count == self._entries.get(entry, 0):
                continue
            if count:
                self._entries[entry] = count
            else:
                del self._entries[entry]
            changes.append((entry, count))
        if self._switch():
            self.version += 1
            return Said(self.version, None, count_before)
        if self.has_all or not changes:
            return None
        self.version += 1
        return Said(self.version, changes, count_before)

    def _switch(self) -> bool:
        """Whether it wants everything from now on, or does no more."""
        count = len(self._entries)
        before = self.has_all
        self.has_all = count > self._max_count * (AGAIN_PART if before else 1.0)
        return self.has_all != before

    def state(self) -> list[Change]:
        """What has been told, whole."""
        return [] if self.has_all else list(self._entries.items())
