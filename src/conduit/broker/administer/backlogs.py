"""What durable subscriptions have not settled in single topics, as far as this node has it in memory."""

from __future__ import annotations

from typing import NamedTuple

from conduit.broker.catalog import Topic
from conduit.broker.deliver.lags import Lag, Lags
from conduit.broker.deliver.owned import Owned

# Subscriptions of one topic that are looked at; of one with more it is not known.
LAGS_MAX_COUNT = 1_000


class Backlog(NamedTuple):
    """Of one topic, in all subscriptions of this node together."""

    message_count: int
    is_whole: bool
    """False: there may be more. Nobody is attached to a subscription on several topics, and which of them its
    lag is in is in the store; or there are too many subscriptions."""


class Backlogs:
    """Asks nobody, and waits for nothing."""

    def __init__(self, owned: Owned, lags: Lags) -> None:
        self._owned = owned
        self._lags = lags

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
