"""A topic of a subscription that waits in the group's line for its cursor."""

from __future__ import annotations

from typing import Protocol

import msgspec

from conduit.broker.clock import Clock
from conduit.broker.deliver.feed import Feed
from conduit.broker.deliver.group import Group
from conduit.broker.deliver.stored import pending_count, restore
from conduit.broker.topics import Topic
from conduit.core.delivery import Delivery
from conduit.core.message import Progress
from conduit.core.retries import Tally


class Served(Protocol):
    """A cursor."""

    def serve(self) -> None:
        """There is credit for it."""


class Opening(Protocol):
    """The subscription that it belongs to, as it runs."""

    @property
    def group(self) -> Group:
        """Its subscribers."""

    def feed_of(self, topic: Topic) -> Feed | None:
        """The tail of the topic, if somebody follows it."""

    def open(self, topic: Topic) -> Served:
        """The cursor in the topic, made where there is none."""


class Unopened(msgspec.Struct, eq=False, gc=False):
    """A topic whose turn to get a cursor has not come.

    There may be very many, and the collector need not look at them: a subscription lets go of them all when
    it is closed.
    """

    running: Opening
    topic: Topic
    floor: int
    progress: Progress | None
    """Stored, with what is open; None where there is nothing but the floor."""
    pending_count: int = 0
    """Counted in the group's `pending` until it is opened."""

    def __post_init__(self) -> None:
        self.pending_count = pending_count(self.progress)

    def machine(self, in_flight: dict[int, int], pending: Tally, clock: Clock) -> Delivery:
        """Its progress as it goes on from here; the numbers are those that its subscription counts with."""
        group = self.running.group
        is_stored = group.name is not None
        delivery = Delivery(group.policy, self.floor, in_flight, pending, is_stored=is_stored)
        if self.progress is not None:
            restore(delivery, self.progress, clock)
        return delivery

    def serve(self) -> None:
        """There is credit. No cursor is made only to find that it has to wait for room or a read."""
        group, feed = self.running.group, self.running.feed_of(self.topic)
        if group.is_full and (self.progress is None or not self.progress.open):
            group.wait_for_room(self)
        elif group.free_reads() is not None or (
            feed is not None and feed.slice(self.floor + 1, 1, None)
        ):
            self.running.open(self.topic).serve()
        else:
            group.wait_to_read(self)
