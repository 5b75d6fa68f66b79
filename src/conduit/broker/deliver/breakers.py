"""Reads of a log that cannot be read: one of all cursors tries, for each shard of it."""

from __future__ import annotations

import random

from conduit.broker.catalog import Topic
from conduit.broker.clock import Clock
from conduit.core.breaker import Breaker
from conduit.errors import Unavailable
from conduit.storage.base import SHARDS_MAX_COUNT, Store

# Not for secrets: it spreads the tries of several servers in time.
_dice = random.Random()


class Breakers:
    """Told of every read of the log, and asked before each."""

    __slots__ = ("_by_shard", "_clock", "_store")

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._by_shard: dict[int, Breaker] = {}

    def opens_at(self, topic: Topic) -> float:
        """The time before which the topic's log is not read."""
        return self._of(topic).opens_at

    def ask(self, topic: Topic) -> None:
        """It is being read."""
        self._of(topic).ask(self._clock.now())

    def heard(self, topic: Topic, answer: object) -> None:
        """What came of that: something of the log, or an error."""
        if isinstance(answer, Unavailable):
            self._of(topic).failed(self._clock.now(), _dice.random())
        else:
            self._of(topic).succeeded()

    def _of(self, topic: Topic) -> Breaker:
        number = topic.topic_id % SHARDS_MAX_COUNT if self._store.shards else 0
        breaker = self._by_shard.get(number)
        if breaker is None:
            breaker = self._by_shard[number] = Breaker()
        return breaker
