"""What durable subscriptions have not settled in single topics: as far as this node has it in memory, and
counted in the store where it has not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from conduit.broker.catalog import Topic
from conduit.broker.clock import Clock
from conduit.broker.deliver.lags import Lag, Lags
from conduit.broker.deliver.owned import Owned
from conduit.broker.deliver.stored import open_in
from conduit.core.message import Progress
from conduit.errors import StoreUnavailable
from conduit.storage.base import Store

# Subscriptions of one topic that are looked at; of one with more it is not known.
LAGS_MAX_COUNT = 1_000
# Of all topics of one question together: 10 ms.
QUESTION_LAGS_MAX_COUNT = 8_000
# What took looking at more than so many is remembered for so long, of so many topics.
CHEAP_LAGS_MAX_COUNT = 50
LATELY_S = 30.0
LATELY_MAX_COUNT = 1_000


class Backlog(NamedTuple):
    """Of one topic, in all subscriptions of this node together."""

    message_count: int
    is_whole: bool
    """False: there may be more. Nobody is attached to a subscription on several topics, and which of them its
    lag is in is in the store; or there are too many subscriptions."""


class _Lately:
    """What was found out of topics, for LATELY_S, or until something is removed from one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # Topic → when, its first number then, and what.
        self._found: dict[int, tuple[float, int, Backlog]] = {}

    def get(self, topic: Topic) -> Backlog | None:
        at, first_seq, found = self._found.get(topic.topic_id, (0.0, 0, None))
        if first_seq != topic.first_seq or self._clock.now() - at >= LATELY_S:
            return None
        return found

    def keep(self, topic: Topic, found: Backlog) -> Backlog:
        if len(self._found) >= LATELY_MAX_COUNT:
            self._found.clear()
        self._found[topic.topic_id] = (self._clock.now(), topic.first_seq, found)
        return found


class Backlogs:
    """`of` asks nobody, and waits for nothing; `counted` asks the store."""

    def __init__(self, store: Store, owned: Owned, lags: Lags, clock: Clock) -> None:
        self._store = store
        self._owned = owned
        self._lags = lags
        self._own, self._counted = _Lately(clock), _Lately(clock)

    def of_each(self, topics: Iterable[Topic]) -> list[Backlog]:
        """What is not settled in each, as it was LATELY_S ago at most where there is much to look at. What
        QUESTION_LAGS_MAX_COUNT is not enough for is not known, unless it was found out lately."""
        every, left_count = [], QUESTION_LAGS_MAX_COUNT
        for topic in topics:
            count = self.subscription_count(topic)
            found = self._own.get(topic) if count > CHEAP_LAGS_MAX_COUNT else None
            if found is None and count > min(left_count, LAGS_MAX_COUNT):
                found = Backlog(0, is_whole=False)
            elif found is None:
                left_count -= count
                found = self.of(topic)
                if count > CHEAP_LAGS_MAX_COUNT:
                    self._own.keep(topic, found)
            every.append(found)
        return every

    def subscription_count(self, topic: Topic) -> int:
        """How many have to be looked at for its backlog."""
        return sum(len(coverage.lags) for coverage in self._lags.covering(topic))

    def of(self, topic: Topic) -> Backlog:
        """What is not settled in it."""
        count, left_count, is_whole = 0, LAGS_MAX_COUNT, True
        for coverage in self._lags.covering(topic):
            left_count -= len(coverage.lags)
            if left_count < 0:
                return Backlog(count, is_whole=False)
            for subscription_id, lag in coverage.lags.items():
                here = self._in(topic, subscription_id, lag)
                if here is None:
                    is_whole = False
                else:
                    count += here
        return Backlog(count, is_whole)

    async def counted(self, topics: Sequence[Topic], max_count: int) -> list[int | None]:
        """All that is not settled in each, what only the store knows and what is other nodes' included: the
        store is asked once for all of them. None: to find out, more than `max_count` subscriptions would have
        to be looked at in all, or too many of this topic, or the store does not answer."""
        counts = [self._counted_lately(topic) for topic in topics]
        unsure: dict[int, list[int]] = {}
        for number, topic in enumerate(topics):
            subscription_count = self.subscription_count(topic)
            if counts[number] is None and subscription_count <= min(LAGS_MAX_COUNT, max_count):
                max_count -= subscription_count
                unsure[number] = self._unsure(topic)
        places = [(id_, topics[number].topic_id) for number, ids in unsure.items() for id_ in ids]
        try:
            rows = await self._store.progress_at(places) if places else []
        except StoreUnavailable:
            return counts
        stored = {(row.subscription_id, row.topic_id): row for row in rows}
        for number, ids in unsure.items():
            counts[number] = self._count(topics[number], set(ids), stored)
        return counts

    def _counted_lately(self, topic: Topic) -> int | None:
        """What was counted, if that was dear and is not long ago."""
        found = self._counted.get(topic)
        return None if found is None else found.message_count

    def _unsure(self, topic: Topic) -> list[int]:
        """Of which subscriptions `of` says nothing, also those of other nodes."""
        return [
            subscription_id
            for coverage in self._lags.covering(topic)
            for subscription_id, lag in coverage.lags.items()
            if not lag.is_here or self._in(topic, subscription_id, lag) is None
        ]

    def _count(
        self, topic: Topic, asked: set[int], stored: Mapping[tuple[int, int], Progress]
    ) -> int:
        """What is not settled in it; of those that the store was asked for as the store has it, also where it
        has become known meanwhile: nothing counts twice."""
        removed_count, count = topic.first_seq - 1, 0
        for coverage in self._lags.covering(topic):
            for subscription_id, lag in coverage.lags.items():
                if subscription_id not in asked:
                    count += self._in(topic, subscription_id, lag) or 0
                    continue
                row = stored.get((subscription_id, topic.topic_id))
                taken = max(removed_count, 0 if row is None else row.cursor)
                open_count = 0 if row is None else open_in(row, topic.first_seq)
                count += max(0, topic.last_seq - taken) + open_count
        if self.subscription_count(topic) > CHEAP_LAGS_MAX_COUNT:
            self._counted.keep(topic, Backlog(count, is_whole=True))
        return count

    def _in(self, topic: Topic, subscription_id: int, lag: Lag) -> int | None:
        """What one subscription has not settled in one of its topics; None: that is not in memory."""
        if not lag.is_here:
            # Another node says it.
            return 0
        place = lag.places.get(topic.topic_id)
        if place is not None:
            return max(0, topic.last_seq - place.taken + place.open_count)
        if not lag.is_known:
            return None
        if lag.count == 0:
            return 0
        if lag.coverage.reached is None and lag.coverage.topic_count == 1:
            return lag.count
        # While it runs it has taken all of a topic in which it has nothing to do.
        return 0 if self._owned.is_here(subscription_id) else None
