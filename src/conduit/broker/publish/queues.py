"""What waits for the commits of one store, by tenant: each has a queue of its own, and they take turns.

While one commit takes all that waits, turns do not matter. Where it does not, each tenant has the same share
of it, as far as it has something: so whoever publishes little waits for one commit, whatever others have
queued.
"""

from __future__ import annotations

import math

from conduit.broker.publish.queue import Queue
from conduit.core.shares import cap_of

# What is taken from the longest queue at once when all together are too long.
EVICTED_SHARE = 16


class Queues:
    """The queues of the tenants that have something. In the order of their turns."""

    __slots__ = ("by_tenant", "count", "size_bytes")

    def __init__(self) -> None:
        self.by_tenant: dict[object, Queue] = {}
        """Whoever adds to one counts it below."""
        self.count = 0
        """Messages in all of them."""
        self.size_bytes = 0
        """Of their payloads."""

    @property
    def oldest(self) -> float:
        """Nothing came before."""
        return min([queue.oldest for queue in self.by_tenant.values()], default=math.inf)

    def ahead(self, whose: object, count: int, size_bytes: int) -> tuple[int, int]:
        """How many messages and bytes are taken before so many more of this tenant are, and with them: while
        they take turns, of each other one as much as of this."""
        own = self.by_tenant.get(whose)
        if own is not None:
            count += len(own.messages)
            size_bytes += own.size_bytes
        others = [queue for queue in self.by_tenant.values() if queue is not own]
        return (
            count + sum([min(len(queue.messages), count) for queue in others]),
            size_bytes + sum([min(queue.size_bytes, size_bytes) for queue in others]),
        )

    def take(self, max_count: int, max_bytes: int) -> Queue:
        """What comes next, up to so many messages and payload bytes, but one unit at least."""
        if self.count <= max_count and self.size_bytes <= max_bytes:
            return self.take_all()
        batch, queues = Queue(), self.by_tenant
        # One after the other has its turn: those that are not reached here are first next time.
        fair_count = max(1, cap_of([len(queue.messages) for queue in queues.values()], max_count))
        fair_bytes = max(1, cap_of([queue.size_bytes for queue in queues.values()], max_bytes))
        for whose in tuple(queues):
            if batch.units and (len(batch.messages) >= max_count or batch.size_bytes >= max_bytes):
                break
            part, rest = queues.pop(whose).take(fair_count, fair_bytes)
            if rest.units:
                queues[whose] = rest
            batch = part if not batch.units else batch.add(part)
        self.count -= len(batch.messages)
        self.size_bytes -= batch.size_bytes
        return batch

    def take_all(self) -> Queue:
        """All of them, one after the other."""
        queues, self.by_tenant = self.by_tenant, {}
        self.count = self.size_bytes = 0
        batch: Queue | None = None
        for queue in queues.values():
            batch = queue if batch is None else batch.add(queue)
        return batch or Queue()

    def take_late(self, until: float) -> Queue:
        """Those that came until then."""
        late = Queue()
        for whose, queue in tuple(self.by_tenant.items()):
            if queue.oldest <= until:
                early, others = queue.divide(until)
                late.add(early)
                self._put(whose, others)
        self.count -= len(late.messages)
        self.size_bytes -= late.size_bytes
        return late

    def take_newest(self, whose: object, excess: tuple[int, int]) -> Queue:
        """The newest of the longest queue, so that all together have so many messages and bytes less, or a
        little more than that. None, if the longest is that of this tenant, or no longer than it would be."""
        count, size_bytes = excess
        by_bytes = size_bytes > 0
        longest = max(self.by_tenant, key=lambda each: _length(self.by_tenant[each], by_bytes))
        queue = self.by_tenant[longest]
        own = self.by_tenant.get(whose)
        if longest is whose or (
            own is not None and _length(own, by_bytes) >= _length(queue, by_bytes)
        ):
            return Queue()
        count = max(count, len(queue.messages) // EVICTED_SHARE)
        left, newest = queue.without_newest(count, size_bytes)
        self._put(longest, left)
        self.count -= len(newest.messages)
        self.size_bytes -= newest.size_bytes
        return newest

    def _put(self, whose: object, queue: Queue) -> None:
        if queue.units:
            self.by_tenant[whose] = queue
        else:
            del self.by_tenant[whose]


def _length(queue: Queue, by_bytes: bool) -> int:
    return queue.size_bytes if by_bytes else len(queue.messages)
