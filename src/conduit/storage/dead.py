"""Which dead letters have to go, and what is told of those that could not be kept, in every store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeVar

from conduit.core.message import DeadLetter, DeadPlace
from conduit.core.topics import any_matcher
from conduit.storage.dead_letters import (
    LOOK_MAX_BYTES,
    LOOK_MAX_COUNT,
    DeadBounds,
    DeadFilter,
    DeadGroup,
    DeadTally,
    Found,
    Loss,
)

L = TypeVar("L", DeadLetter, DeadPlace)

LAST_BYTES = 1 << 62
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


class Look(NamedTuple):
    """What one call of `dead_list` or `dead_places` asks for."""

    tenant: str
    which: DeadFilter
    limit: int
    before_id: str | None = None
    max_bytes: int | None = LOOK_MAX_BYTES
    """None: nothing is read of what letters hold."""

    @property
    def max_count(self) -> int:
        """How many letters it looks at, at most."""
        return LOOK_MAX_COUNT if self.which.is_search else min(self.limit, LOOK_MAX_COUNT)

    def span(self, sizes: Sequence[tuple[str, int, str]]) -> Span:
        """How far it looks, from the ids, sizes and topics of the next `max_count` letters, newest first."""
        left = LAST_BYTES if self.max_bytes is None else self.max_bytes
        for at, (_, size_bytes, _) in enumerate(sizes):
            left -= size_bytes
            if left < 0 and at:
                return Span(sizes[at - 1][0], is_all=False)
        return Span(sizes[-1][0] if sizes else None, is_all=len(sizes) < self.max_count)


class Span(NamedTuple):
    """The letters that one call looks at: down to `low_id`, None if there are none."""

    low_id: str | None
    is_all: bool
    """Whether there are none below."""

    def found(self, letters: Iterable[L], limit: int) -> Found[L]:
        """Those of it that match, in any order."""
        found = Found(sorted(letters, key=lambda letter: letter.dead_id, reverse=True))
        if len(found) == limit and found[-1].dead_id != self.low_id:
            found.reached_id = found[-1].dead_id
        elif not self.is_all:
            found.reached_id = self.low_id
        return found

    def grouped(self, groups: Iterable[DeadGroup]) -> Found[DeadGroup]:
        """All that match of it, in groups."""
        found = Found(groups)
        found.reached_id = None if self.is_all else self.low_id
        return found


def grouping(tenant: str, which: DeadFilter, before_id: str | None) -> Look:
    """What one call of `dead_groups` looks at."""
    max_bytes = None if which.q is None else LOOK_MAX_BYTES
    return Look(tenant, which, LOOK_MAX_COUNT, before_id, max_bytes)


def topics_meant(which: DeadFilter, topics: Iterable[str]) -> list[str] | None:
    """Of the topics of all letters that are looked at, those that the filter's patterns have; None if it has
    no patterns. What patterns mean is so said once, and to no database."""
    if which.patterns is None:
        return None
    return list(filter(any_matcher(which.patterns), dict.fromkeys(topics)))


def index_of(which: DeadFilter) -> DeadFilter:
    """The part of a filter for which there is an index in the order of the ids."""
    topic = which.topic if which.subscription == "" else None
    return DeadFilter(topic=topic, subscription=which.subscription)
