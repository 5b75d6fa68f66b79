"""Which dead letters have to go, and what is told of those that could not be kept, in every store."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from conduit.storage.dead_letters import DeadBounds, DeadTally, Loss

# Of losses that nobody has asked for yet, so many places are told apart.
LOSSES_MAX_COUNT = 1_000
# Deliveries of one topic whose letters are gone and of which that is remembered: those with the highest
# numbers, as the log keeps these longest.
GONE_MAX_COUNT = 10_000


class Shelf(NamedTuple):
    """What shares one bound: the letters of a durable subscription, whose `topic` is empty, or those of all
    ephemeral subscribers of a topic, whose `subscription` is."""

    tenant: str
    subscription: str
    topic: str


class Candidate(NamedTuple):
    """A letter that may have to go."""

    dead_id: str
    shelf: Shelf
    topic_id: int
    size_bytes: int


def shelf_of(tenant: str, subscription: str, topic: str) -> Shelf:
    """Where a letter belongs."""
    return Shelf(tenant, subscription, "" if subscription else topic)


def bounds_of(bounds: DeadBounds, shelf: Shelf) -> tuple[int, int]:
    """The most letters and bytes of a shelf."""
    if shelf.subscription:
        return bounds.max_count, bounds.max_bytes
    return bounds.ephemeral_max_count, bounds.ephemeral_max_bytes


def surplus(
    candidates: Iterable[Candidate], tally: DeadTally, bounds: tuple[int, int]
) -> list[Candidate]:
    """Those that have to go until the rest keeps to the bounds; the candidates go in their order."""
    max_count, max_bytes = bounds
    count, size_bytes = tally.open_count + tally.redriven_count, tally.size_bytes
    going = []
    for one in candidates:
        if count <= max_count and size_bytes <= max_bytes:
            break
        going.append(one)
        count -= 1
        size_bytes -= one.size_bytes
    return going


class Losses:
    """What could not be kept since somebody asked, by shelf."""

    def __init__(self) -> None:
        self._by_shelf: dict[Shelf, Loss] = {}

    def dropped(self, candidates: Iterable[Candidate]) -> None:
        """These letters went because there were too many, or for their age."""
        for one in candidates:
            self._at(one.shelf).dropped_count += 1

    def lost(self, shelf: Shelf, count: int) -> None:
        """So many letters are without their messages."""
        self._at(shelf).lost_count += count

    def take(self) -> list[Loss]:
        """All of it, which is then told."""
        losses = list(self._by_shelf.values())
        self._by_shelf = {}
        return losses

    def _at(self, shelf: Shelf) -> Loss:
        if shelf not in self._by_shelf and len(self._by_shelf) >= LOSSES_MAX_COUNT:
            shelf = Shelf("", "", "")
        loss = self._by_shelf.get(shelf)
        if loss is None:
            loss = self._by_shelf[shelf] = Loss(*shelf)
        return loss
