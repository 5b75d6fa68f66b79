"""Telling the subscribers of one subscription which messages they will not get.

A durable subscription is *owed* a gap until one of its subscribers is known to have heard it
(core/hearing.py): whoever is attached is told when it becomes owed, and whoever comes later is told when it
comes. What is owed is kept by those who say so (a cursor with its progress, a subscription with the topics
that are gone), and is stored there. Without a name there is nothing to come back to: what was told was heard.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from conduit.broker.catalog import Topic
from conduit.broker.deliver.group import Group
from conduit.broker.deliver.subscriber import Subscriber
from conduit.broker.stats import Stats
from conduit.core.delivery import Delivery
from conduit.protocol.codec import server_frame
from conduit.protocol.frames import Gap

# Gaps that one subscription is owed; beyond it the oldest are taken for heard. More than a start can ask for.
OWED_MAX_COUNT = 20_000

Place = tuple[str, int]
"""A topic, and the first number that its log has lost; 0 if the topic itself is gone."""


class Owed(NamedTuple):
    """A gap, and who has to know when it was heard."""

    gap: Gap
    heard: Callable[[], None]


class Gaps:
    """What one subscription is owed."""

    __slots__ = ("_owed", "_stats", "group")

    def __init__(self, group: Group, stats: Stats) -> None:
        self.group = group
        self._stats = stats
        # The oldest first.
        self._owed: dict[Place, Owed] = {}

    def owe(self, place: Place, gap: Gap, heard: Callable[[], None]) -> None:
        """Tell whoever is attached. `heard` is called once, when that is known; not if it is withdrawn."""
        group = self.group
        gap.subscription = group.name
        self.withdraw(place)
        owed = self._owed[place] = Owed(gap, heard)
        # While a subscription is loaded nobody is attached, and there may be thousands.
        frame = server_frame(gap) if group.subscribers else b""
        for subscriber in group.subscribers:
            self._stats.gap_count += 1
            subscriber.outlet.write(frame)
            self._told(subscriber, {place: owed})
        if group.name is None:
            self._heard(place, owed)
        elif len(self._owed) > OWED_MAX_COUNT:
            self._heard(*next(iter(self._owed.items())))

    def withdraw(self, place: Place) -> None:
        """It is not owed any more, or something else is in its place."""
        self._owed.pop(place, None)

    def all(self) -> list[Gap]:
        """What is owed."""
        return [owed.gap for owed in self._owed.values()]

    def forget(self) -> Iterator[None]:
        """The subscription does not run here any more: let go of all of it, in steps. What is to be told when
        a gap was heard holds the subscription, which holds this."""
        while self._owed:
            self._owed.popitem()
            yield

    def are_told(self, subscriber: Subscriber) -> None:
        """A new subscriber is told all of it before it gets anything else."""
        self._told(subscriber, self._owed)

    def _told(self, subscriber: Subscriber, told: dict[Place, Owed]) -> None:
        if told:
            subscriber.told([partial(self._all_heard, tuple(told.items()))])

    def _all_heard(self, told: Sequence[tuple[Place, Owed]]) -> None:
        for place, owed in told:
            self._heard(place, owed)

    def _heard(self, place: Place, owed: Owed) -> None:
        if self._owed.get(place) is owed:
            del self._owed[place]
            owed.heard()


class Losses:
    """What the log of one topic has lost of what one subscription was to be given."""

    __slots__ = ("_delivery", "_gaps", "_mark", "_topic")

    def __init__(
        self, gaps: Gaps, topic: Topic, delivery: Delivery, mark: Callable[[], None]
    ) -> None:
        """What is lost already is told (again). `mark` is called when something has changed."""
        self._gaps = gaps
        self._topic = topic
        self._delivery = delivery
        self._mark = mark
        for first, last in delivery.lost.joined():
            self._owe(first, last)

    def new(self, first: int, last: int) -> None:
        """The log does not have what follows the cursor, up to `last`."""
        self._delivery.pass_over(last)
        self._lose(first, last)

    def again(self, seq: int) -> None:
        """The log does not have what was to be handed out again."""
        self._delivery.ack(seq)
        self._lose(seq, seq)

    def close(self) -> None:
        """It is told elsewhere, and nothing changes here any more."""
        self.withdraw()
        # That of a cursor, which holds this.
        self._mark = _unmarked

    def withdraw(self) -> None:
        """It need not be told."""
        for first, _ in self._delivery.lost:
            self._gaps.withdraw((self._topic.name, first))

    def _lose(self, first: int, last: int) -> None:
        self._delivery.lost.add(first, last)
        self._owe(first, last)
        self._mark()

    def _owe(self, first: int, last: int) -> None:
        gap = Gap(self._topic.name, first, last, "retention", self._topic.epoch)
        self._gaps.owe((self._topic.name, first), gap, partial(self._heard, first, last))

    def _heard(self, first: int, last: int) -> None:
        self._delivery.lost.hear(first, last)
        self._mark()


def _unmarked() -> None:
    """Its cursor is closed."""
