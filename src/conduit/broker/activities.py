"""How much went through single topics lately: the busiest ones, and those that somebody looks at.

The path of a message adds to one integer of its topic. Every ROUND_S each topic is looked at, a tenth of them
in each second: one to which nothing has happened costs two comparisons, and has nothing else in memory. What
was published is read off its last number, so it is what all nodes have stored; what was delivered is this
node's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from heapq import nlargest
from itertools import islice

from conduit.broker.topics import Topic
from conduit.core.activity import ROUND_S, ROUNDS_COUNT, Activity
from conduit.core.topics import matcher

# Topics to which something has happened in that time, of which it is kept: 0.5 KB each. The others have no
# figures until one of these is quiet.
ACTIVE_MAX_COUNT = 20_000
BUSIEST_MAX_COUNT = 50
# Of one tenant, among which those of a key for some topics are looked for.
RANKED_TOPICS_MAX_COUNT = 500
# Tenants whose busiest topics are kept until the next round.
RANKED_MAX_COUNT = 100


class Activities:
    """Of all topics, which `every` gives."""

    def __init__(self, every: Callable[[], list[Topic]]) -> None:
        self._every = every
        self._number = ROUNDS_COUNT
        self._to_look_at: list[Topic] = []
        self._step_count = 1
        self._seconds = 0
        self._active: dict[int, Topic] = {}
        # Tenant → its busiest topics as of this round; None: those of all.
        self._ranked: dict[str | None, list[Topic]] = {}

    @property
    def active_count(self) -> int:
        """Topics that have figures."""
        return len(self._active)

    def tick(self) -> None:
        """Look at some; call it every second."""
        if self._seconds % ROUND_S == 0:
            self._end_round()
            self._number += 1
            self._to_look_at = self._every()
            self._step_count = -(-len(self._to_look_at) // ROUND_S)
        self._seconds += 1
        for topic in self._to_look_at[-self._step_count :]:
            published_count = topic.last_seq - topic.marked_seq
            delivered_count = topic.delivered_count - topic.marked_delivered_count
            if published_count or delivered_count or topic.activity is not None:
                self._look(topic, max(0, published_count), delivered_count)
        del self._to_look_at[-self._step_count :]

    def busiest(
        self,
        tenant: str | None,
        limit: int = BUSIEST_MAX_COUNT,
        patterns: Sequence[str] | None = None,
    ) -> list[Topic]:
        """Those of the tenant, or of all, through which most has gone in the last minute; none that was
        quiet in it. With patterns those that one of them covers, of the busiest RANKED_TOPICS_MAX_COUNT."""
        ranked = self._ranked.get(tenant)
        if ranked is None:
            if len(self._ranked) >= RANKED_MAX_COUNT:
                self._ranked.clear()
            ranked = self._ranked[tenant] = _busiest(self._of(tenant))
        some = (topic for topic in ranked if not topic.is_deleted)
        if patterns is not None:
            matchers = [matcher(pattern) for pattern in patterns]
            some = (topic for topic in some if any(each(topic.name) for each in matchers))
        return list(islice(some, max(0, min(limit, BUSIEST_MAX_COUNT))))

    def _of(self, tenant: str | None) -> Iterable[Topic]:
        every = self._active.values()
        return every if tenant is None else [topic for topic in every if topic.tenant == tenant]

    def _look(self, topic: Topic, published_count: int, delivered_count: int) -> None:
        topic.marked_seq = topic.last_seq
        topic.marked_delivered_count = topic.delivered_count
        activity = topic.activity
        if activity is None:
            if len(self._active) >= ACTIVE_MAX_COUNT:
                return
            activity = topic.activity = Activity(self._number)
            self._active[topic.topic_id] = topic
        activity.add(self._number, published_count, delivered_count)
        if activity.is_quiet or topic.is_deleted:
            self._forget(topic)

    def _end_round(self) -> None:
        self._ranked.clear()
        for topic in [topic for topic in self._active.values() if topic.is_deleted]:
            self._forget(topic)

    def _forget(self, topic: Topic) -> None:
        topic.activity = None
        self._active.pop(topic.topic_id, None)


def _busiest(topics: Iterable[Topic]) -> list[Topic]:
    counted = [
        (topic.activity.lately, topic)
        for topic in topics
        if topic.activity is not None and topic.activity.lately
    ]
    found = nlargest(RANKED_TOPICS_MAX_COUNT, counted, key=lambda one: (one[0], -one[1].topic_id))
    return [topic for _, topic in found]
