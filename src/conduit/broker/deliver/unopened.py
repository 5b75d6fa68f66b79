"""A topic of a subscription that waits in the group's line for its cursor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from conduit.broker.catalog import Topic
from conduit.broker.deliver.stored import pending_count
from conduit.core.message import Progress

if TYPE_CHECKING:
    from conduit.broker.deliver.running import Running


class Unopened(msgspec.Struct, eq=False, gc=False):
    """A topic whose turn to get a cursor has not come.

    There may be very many, and the collector need not look at them: a subscription lets go of them all when
    it is closed.
    """

    running: Running
    topic: Topic
    floor: int
    progress: Progress | None
    """Stored, with what is open; None where there is nothing but the floor."""
    pending_count: int = 0
    """Counted in the group's `pending` until it is opened."""

    def __post_init__(self) -> None:
        self.pending_count = pending_count(self.progress)

    def serve(self) -> None:
        """There is credit. No cursor is made only to find that it has to wait for room or a read."""
        group, feed = self.running.group, self.running.feed_of(self.topic)
        if group.is_full and (self.progress is None or not self.progress.open):
            group.line.wait_for_room(self)
        elif group.free_reads() is not None or (
            feed is not None and feed.slice(self.floor + 1, 1, None)
        ):
            self.running.open(self.topic).serve()
        else:
            group.wait_to_read(self)
