"""How much went through single topics lately: the busiest ones, and those that somebody looks at.

The path of a message adds to one integer of its topic. Every ROUND_S each topic is looked at, a tenth of them
in each second: one to which nothing has happened costs two comparisons, and has nothing else in memory. What
was published is read off its last number, so it is what all nodes have stored; what was delivered is this
node's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from heapq import nlargest
from itertools import chain, islice

from conduit.broker.topics import Topic
from conduit.core.activity import ROUND_S, ROUNDS_COUNT, Activity
from conduit.core.seats import Seats
from conduit.core.topics import matcher

# Topics to which something has happened in that time, of which it is kept: 0.5 KB each. With more there are
# up to twice as many, for tenants that have less than an equal share. The others have no figures until one of
# these is quiet.
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
        # By tenant and id.
        self._active: dict[str, dict[int, Topic]] = {}
        self._seats = Seats(ACTIVE_MAX_COUNT)
        # Tenants of which a topic got none, and the last round of that.
        self._refused: dict[str, int] = {}
        # Tenant → its busiest topics as of this round; None: those of all.
        self._ranked: dict[str | None, list[Topic]] = {}

    @property
    def active_count(self) -> int:
        """Topics that have figures."""
        return self._seats.count

    def is_known(self, topic: Topic) -> bool:
        """Whether it has figures, or nothing has gone through it. Not of any topic without them while there
        is no room for some of its tenant's."""
        return topic.activity is not None or topic.tenant not in self._refused

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
        if tenant is not None:
            return self._active.get(tenant, {}).values()
        return chain.from_iterable(some.values() for some in self._active.values())

    def _look(self, topic: Topic, published_count: int, delivered_count: int) -> None:
        topic.marked_seq = topic.last_seq
        topic.marked_delivered_count = topic.delivered_count
        activity = topic.activity
        if activity is None:
            if not self._seats.is_free_for(topic.tenant):
                self._refused[topic.tenant] = self._number
                return
            self._seats.take(topic.tenant)
            activity = topic.activity = Activity(self._number)
            self._active.setdefault(topic.tenant, {})[topic.topic_id] = topic
        activity.add(self._number, published_count, delivered_count)
        if activity.is_quiet or topic.is_deleted:
            self._forget(topic)

    def _end_round(self) -> None:
        self._ranked.clear()
        for topic in [topic for topic in self._of(None) if topic.is_deleted]:
            self._forget(topic)
        since = self._number - ROUNDS_COUNT
        self._refused = {whose: last for whose, last in self._refused.items() if last > since}

    def _forget(self, topic: Topic) -> None:
        topic.activity = None
        some = self._active.get(topic.tenant, {})
        if some.pop(topic.topic_id, None) is not None:
            self._seats.leave(topic.tenant)
        if not some:
            self._active.pop(topic.tenant, None)


def _busiest(topics: Iterable[Topic]) -> list[Topic]:
    # No id is there twice, so topics are not compared; with a `key` it would take twice as long.
    counted = [
        (activity.lately, -topic.topic_id, topic)
        for topic in topics
        if (activity := topic.activity) is not None and activity.lately
    ]
    return [topic for _, _, topic in nlargest(RANKED_TOPICS_MAX_COUNT, counted)]
