"""The traced deliveries that are open on this node, each kept as long as it is open.

It is given back when it is acked, when it dies, when the log has lost it, and when its cursor ends or begins
elsewhere. All ephemeral subscribers of a topic share what is kept of a message, until the last of them has
done with it. There is a bounded number in any case, of which the oldest are forgotten first.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from conduit.broker.catalog import Topic
from conduit.broker.deliver.group import Group
from conduit.core.delivery import Delivery
from conduit.core.trace_context import TraceContext

# Together 12 MB at most: of each there are its ids, and a `tracestate`.
OUT_MAX_COUNT = 10_000

_Place = tuple[int, int]
"""Subscription and topic; all ephemeral subscriptions are 0."""


class Out(msgspec.Struct):
    """A traced delivery that is with somebody. Nothing of the message but its names: a payload that is kept
    here would be in no bound."""

    context: TraceContext
    """Of its span."""
    message_id: str
    seq: int
    at: float
    """When it was handed out, on the clock of deadlines."""
    failures: int = 0
    """Attempts that had failed by then."""
    open_count: int = 1
    """Subscriptions in which it is open; only of ephemeral ones there are several."""
    settled_count: int = 0
    """By how many ephemeral subscribers."""
    is_settled: bool = False
    """Whether a subscriber has said what became of it: it waits, or is about to die."""


class Settled(Protocol):
    """A cursor: one subscription in one topic."""

    @property
    def group(self) -> Group:
        """The subscription."""

    @property
    def topic(self) -> Topic:
        """The topic."""

    @property
    def delivery(self) -> Delivery:
        """Its progress there."""


class Outs:
    """Finds them by subscription, topic and number."""

    def __init__(self) -> None:
        # By number, in the order of handing out.
        self._by_place: dict[_Place, dict[int, Out]] = {}
        # The same in one order, for those that are forgotten.
        self._order: dict[tuple[_Place, int], None] = {}

    def __len__(self) -> int:
        return len(self._order)

    def find(self, group: Group | None, topic: Topic, seq: int) -> Out | None:
        """What is kept of the delivery. `group`: None for ephemeral subscribers."""
        found = self._by_place.get(_place(group, topic))
        return None if found is None else found.get(seq)

    def put(self, group: Group | None, topic: Topic, out: Out) -> bool:
        """Keep it, in place of what was kept of it before. Whether there was no room, and the oldest one is
        forgotten for it."""
        place = _place(group, topic)
        self._forget(place, out.seq)
        is_full = len(self._order) >= OUT_MAX_COUNT
        if is_full:
            self._forget(*next(iter(self._order)))
        self._by_place.setdefault(place, {})[out.seq] = out
        self._order[place, out.seq] = None
        return is_full

    def give_back(self, group: Group, topic: Topic, out: Out) -> None:
        """It is open in one subscription less."""
        out.open_count -= 1
        if out.open_count <= 0:
            self._forget(_place(group, topic), out.seq)

    def open_in(self, cursor: Settled, last: int | None = None) -> list[Out]:
        """Those that are open there: all, or up to this number, at the cost of what is open up to there."""
        found = self._by_place.get(_place(cursor.group, cursor.topic))
        if found is None:
            return []
        delivery = cursor.delivery
        if last is None and len(found) <= delivery.open_count:
            return [out for seq, out in found.items() if delivery.is_open(seq)]
        # Many may be kept that are only others': ephemeral subscribers share the place.
        return [found[seq] for seq in delivery.open_numbers(last) if seq in found]

    def _forget(self, place: _Place, seq: int) -> None:
        if (place, seq) in self._order:
            del self._order[place, seq]
            found = self._by_place[place]
            del found[seq]
            if not found:
                del self._by_place[place]


def _place(group: Group | None, topic: Topic) -> _Place:
    return (0 if group is None else group.subscription_id, topic.topic_id)
