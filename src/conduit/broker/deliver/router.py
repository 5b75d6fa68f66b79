"""Who follows what: topics and the subscriptions that run on this node.

A topic's route knows its followers: those that name it, and those whose pattern matches. The first are
kept as they come and go; the second are matched again when the tenant's patterns have changed since.
Cursors are opened when a message comes that they have to hand out, and dissolved when they had nothing
to do for a while.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any

from conduit.broker.catalog import Catalog, Topic
from conduit.broker.deliver.engine import Engine
from conduit.broker.deliver.feed import Feed
from conduit.broker.deliver.lags import Coverage
from conduit.broker.deliver.reads import Reads
from conduit.broker.deliver.running import Running
from conduit.broker.deliver.subscriber import Outlet, Removal, Subscriber
from conduit.broker.turn import each, guarded
from conduit.core.message import Committed, SubscriptionRecord
from conduit.core.topics import PatternTrie
from conduit.names import is_pattern

# Cursors that are opened in one turn of the loop for what was published.
OPENED_MAX_COUNT = 200
# Cursors of a subscription that is removed that are closed at once.
CLOSED_MAX_COUNT = 200
# A feed that had no message between two looks at it loses the cursors that have nothing to do. Each is
# looked at once in so many calls of `tidy`, if there are not more than so many for each.
TIDY_ROUND_COUNT = 5
TIDY_MAX_COUNT = 1_000


class _Patterns:
    """The running subscriptions of one tenant that have a pattern. `version` changes with them, and with the
    patterns of durable subscriptions, also of those that do not run."""

    __slots__ = ("counts", "trie", "version")

    def __init__(self) -> None:
        self.trie: PatternTrie[Running] = PatternTrie()
        # How many have each of the patterns.
        self.counts: Counter[str] = Counter()
        self.version = 1


class _Route:
    """The followers of one topic."""

    __slots__ = ("by_name", "by_pattern", "coverages", "patterns", "subscriber_count", "version")

    def __init__(self, patterns: _Patterns) -> None:
        self.patterns = patterns
        self.by_name: dict[Running, None] = {}
        self.by_pattern: list[Running] = []
        # Of durable subscriptions: what is published counts for their lag.
        self.coverages: Sequence[Coverage] = ()
        self.subscriber_count = 0
        # That of the patterns which `by_pattern` and the count agree with; 0 for none.
        self.version = 0

    @property
    def follower_count(self) -> int:
        return len(self.by_name) + len(self.by_pattern)

    def followers(self) -> tuple[Running, ...]:
        return (*self.by_name, *self.by_pattern)


class Router:
    """Connects topics with the subscriptions that run on this node."""

    def __init__(self, catalog: Catalog, engine: Engine) -> None:
        self._catalog = catalog
        self._engine = engine
        self._feeds = engine.feeds.by_id
        # By topic id. Only of topics that were published to or named since the start.
        self._routes: dict[int, _Route] = {}
        self._patterns: dict[str, _Patterns] = {}
        # Those that name a topic, as long as it is there.
        self._named: dict[Running, _Route] = {}
        self.subscriber_count = 0
        """Subscribers of all subscriptions."""
        self.on_count: Callable[[Running, int], None] | None = None
        """Told of subscribers that come and go, and how many."""
        self.on_durable: Callable[[SubscriptionRecord, int], None] | None = None
        """Told of durable subscriptions that come (1) and go (-1), whether they run or not."""
        # Topics that are still to be looked at in this round of `tidy`, and how many at a time.
        self._to_tidy: list[int] = []
        self._tidy_count = 1
        self._is_tidying = False
        # Subscriptions that were removed, and whose cursors are being given up.
        self._closing_count = 0

    # The way of a message -------------------------------------------------------------------------

    def committed(self, topic: Topic, messages: Sequence[Committed], first_seq: int) -> int:
        """Messages of one topic are in the log, from `first_seq` on without a hole, whoever wrote them, and
        all before them has gone this way or was `learned`; returns how many subscribers they go to."""
        route = self._routes.get(topic.topic_id)
        if route is None or route.version != route.patterns.version:
            route = self._routed(topic)
        last_seq = first_seq + len(messages) - 1
        if route.coverages and last_seq > topic.last_seq:
            grown_count = last_seq - topic.last_seq
            self._engine.lags.published(topic, route.coverages, grown_count)
        if not route.by_name and not route.by_pattern:
            if last_seq > topic.last_seq:
                topic.last_seq = last_seq
            return 0
        feed = self._feeds.get(topic.topic_id)
        if (
            feed is None
            or feed.follower_count < len(route.by_name) + len(route.by_pattern)
            # Some that are counted there do not follow any more.
            or self._closing_count
        ):
            feed = self._open_missing(route, topic)
        if last_seq > topic.last_seq:
            topic.last_seq = last_seq
        feed.extend(messages, first_seq)
        return route.subscriber_count

    def opening(self, topic_ids: Collection[int]) -> Coroutine[Any, Any, None] | None:
        """Have cursors for what was published to these topics, over some turns of the loop: wait for it
        before `committed`. None if they are few, and `committed` opens them."""
        topics = [*filter(None, map(self._catalog.by_id, topic_ids))]
        if sum(self._missing_count(topic) for topic in topics) <= OPENED_MAX_COUNT:
            return None
        return self._engine.turn.take(self._open_all(topics))

    def _missing_count(self, topic: Topic) -> int:
        """Of those who follow the topic, how many have no cursor there."""
        route, feed = self._routed(topic), self._feeds.get(topic.topic_id)
        if feed is not None and not self._closing_count:
            return route.follower_count - feed.follower_count
        return sum(topic.topic_id not in running.cursors for running in route.followers())

    def _open_all(self, topics: Iterable[Topic]) -> Iterator[None]:
        for topic in topics:
            if topic.is_deleted:
                continue
            for running in self._routed(topic).followers():
                is_there = topic.topic_id in running.cursors or topic.is_deleted
                if not is_there and not running.is_over:
                    guarded(running.open(topic).run)
                    yield

    def learned(self, topic: Topic, last_seq: int) -> None:
        """Others have written to the topic, up to `last_seq` at least."""
        if last_seq <= topic.last_seq:
            return
        route = self._routed(topic)
        if route.follower_count:
            self._open_missing(route, topic)
        self._engine.lags.published(topic, route.coverages, last_seq - topic.last_seq)
        topic.last_seq = last_seq
        feed = self._engine.feeds.find(topic.topic_id)
        if feed is not None:
            feed.skip_to(last_seq)

    def followed(self) -> Iterator[tuple[str, str]]:
        """(tenant, pattern or topic) of what runs here; a topic may come several times. What comes and goes
        meanwhile may be among them or not."""
        for tenant, patterns in tuple(self._patterns.items()):
            yield from ((tenant, pattern) for pattern in tuple(patterns.counts))
        yield from ((running.tenant, running.pattern) for running in tuple(self._named))

    def is_followed(self, topic: Topic) -> bool:
        """Whether anything that runs here follows the topic."""
        return self._routed(topic).follower_count > 0

    def subscribers_of(self, topic: Topic) -> int:
        """How many subscribers the next message of the topic goes to."""
        if topic.topic_id in self._routes:
            return self._routed(topic).subscriber_count
        return self.subscribers_by_pattern(topic.tenant, topic.name)

    def subscribers_by_pattern(self, tenant: str, topic: str) -> int:
        """The same of a topic that nobody names here, or that is not known here."""
        patterns = self._patterns.get(tenant)
        # Nothing is kept for who only looks.
        followers = () if patterns is None else patterns.trie.match(topic)
        return sum(len(running.group.subscribers) for running in followers)

    def _open_missing(self, route: _Route, topic: Topic) -> Feed:
        """Whoever has no cursor gets one: it is settled up to `topic.last_seq`, or has its own floor."""
        for running in route.followers():
            if topic.topic_id not in running.cursors:
                self._engine.turn.add(running.open(topic))
        feed = self._engine.feeds.find(topic.topic_id)
        assert feed is not None
        return feed

    def _routed(self, topic: Topic) -> _Route:
        """The topic's route, up to date."""
        route = self._routes.get(topic.topic_id)
        if route is None:
            route = self._routes[topic.topic_id] = _Route(self._patterns_of(topic.tenant))
        if route.version != route.patterns.version:
            route.version = route.patterns.version
            route.by_pattern = route.patterns.trie.match(topic.name)
            route.coverages = self._engine.lags.covering(topic)
            route.subscriber_count = sum(
                len(running.group.subscribers) for running in route.followers()
            )
        return route

    def _patterns_of(self, tenant: str) -> _Patterns:
        patterns = self._patterns.get(tenant)
        if patterns is None:
            patterns = self._patterns[tenant] = _Patterns()
        return patterns

    # Who follows ----------------------------------------------------------------------------------

    def add(self, running: Running) -> None:
        """From now on every message of its pattern reaches the subscription. The topic that it names must
        exist."""
        if is_pattern(running.pattern):
            patterns = self._patterns_of(running.tenant)
            patterns.trie.add(running.pattern, running)
            patterns.counts[running.pattern] += 1
            patterns.version += 1
            return
        topic = self._catalog.find(running.tenant, running.pattern)
        assert topic is not None
        route = self._named[running] = self._routed(topic)
        route.by_name[running] = None

    def covered(self, record: SubscriptionRecord, change: int) -> None:
        """A durable subscription has come (1), or gone (-1)."""
        self._patterns_of(record.tenant).version += 1
        if self.on_durable is not None:
            self.on_durable(record, change)

    def remove(self, running: Running) -> None:
        """The end of `add`, and of all that the subscription does here. It has no subscribers any more."""
        if is_pattern(running.pattern):
            patterns = self._patterns_of(running.tenant)
            patterns.trie.remove(running.pattern, running)
            patterns.counts[running.pattern] -= 1
            if not patterns.counts[running.pattern]:
                del patterns.counts[running.pattern]
            patterns.version += 1
        elif (route := self._named.pop(running, None)) is not None:
            del route.by_name[running]
        running.stop()
        steps = running.close()
        if sum(1 for _ in islice(steps, CLOSED_MAX_COUNT)) == CLOSED_MAX_COUNT:
            self._closing_count += 1
            self._engine.turn.spread(self._close(steps), running.group.allowance)

    def _close(self, steps: Iterator[None]) -> Iterator[None]:
        yield from steps
        self._closing_count -= 1

    def attach(
        self,
        running: Running,
        outlet: Outlet,
        reads: Reads,
        on_removed: Callable[[Removal], None],
    ) -> Subscriber:
        """A new subscriber of a subscription that was added."""
        subscriber = running.add(outlet, reads, on_removed)
        self._count(running, 1)
        return subscriber

    def detach(self, running: Running, subscriber: Subscriber, *, lost: bool) -> None:
        """The subscriber is gone; see `Running.remove`."""
        running.remove(subscriber, lost=lost)
        self._engine.progress.soon(running.group)
        self._count(running, -1)

    def _count(self, running: Running, change: int) -> None:
        self.subscriber_count += change
        running.group.allowance.counts.subscriber_count += change
        if self.on_count is not None:
            self.on_count(running, change)
        if is_pattern(running.pattern):
            self._patterns_of(running.tenant).version += 1
            return
        route = self._named.get(running)
        # Where patterns have changed since, all are counted again, with this one as it is by then.
        if route is not None and route.version == route.patterns.version:
            route.subscriber_count += change

    # Topics ---------------------------------------------------------------------------------------

    def topic_created(self, topic: Topic) -> None:
        """Give it to those whose pattern it is, and tell those who followed another one of that name."""
        for running in self._patterns_of(topic.tenant).trie.match(topic.name):
            # All that was published to it where it was made, perhaps before this one began: that cannot be
            # told from here, and rather too much comes than too little.
            running.begin(topic, 0)
            running.former.topic_created(topic)

    def topic_deleted(self, topic: Topic) -> list[Running]:
        """It ends for everybody who follows it; returns those that named it, and follow nothing now."""
        route = self._routed(topic)
        for running in route.followers():
            running.topic_deleted(topic)
        del self._routes[topic.topic_id]
        for running in route.by_name:
            del self._named[running]
        return list(route.by_name)

    def tidy(self) -> None:
        """Dissolve some of the cursors that had nothing to do lately, over some turns of the loop. Call it
        about once a second."""
        if self._is_tidying:
            return
        if not self._to_tidy:
            self._to_tidy = [feed.topic.topic_id for feed in self._engine.feeds.all()]
            self._tidy_count = min(TIDY_MAX_COUNT, len(self._to_tidy) // TIDY_ROUND_COUNT + 1)
        some = self._to_tidy[-self._tidy_count :]
        del self._to_tidy[-self._tidy_count :]
        if some:
            self._is_tidying = True
            self._engine.turn.spread(self._tidy(some))

    def _tidy(self, topic_ids: Iterable[int]) -> Iterator[None]:
        try:
            for topic_id in topic_ids:
                feed = self._engine.feeds.find(topic_id)
                if feed is not None and not feed.is_used:
                    # Who names a topic has one cursor; only a pattern can have many.
                    yield from each(self._routed(feed.topic).by_pattern, partial(_dissolve, feed))
                    self._forget_route(feed)
                elif feed is not None:
                    feed.is_used = False
                yield
        finally:
            self._is_tidying = False

    def _forget_route(self, feed: Feed) -> None:
        """Of a topic that nobody has a cursor in: it is found again when there is a message."""
        topic_id = feed.topic.topic_id
        route = self._routes.get(topic_id)
        if route is not None and not feed.follower_count and not route.by_name:
            del self._routes[topic_id]


def _dissolve(feed: Feed, running: Running) -> None:
    cursor = running.cursors.get(feed.topic.topic_id)
    if cursor is not None and not feed.is_used and cursor.is_spare:
        running.dissolve(feed.topic.topic_id)
