"""What the streams of a node share: who follows what, the turn, the index, and the sweep."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence

from conduit.broker.catalog import Catalog, Topic
from conduit.broker.clock import Clock
from conduit.broker.deliver.backlog import CatchUp
from conduit.broker.deliver.cursor import Stream
from conduit.broker.deliver.feed import Feed
from conduit.broker.deliver.index import MessageIndex
from conduit.broker.deliver.progress import Ledger
from conduit.broker.deliver.reader import Reader
from conduit.broker.deliver.running import Dispatch
from conduit.broker.stats import Stats
from conduit.broker.turn import Turn, guarded
from conduit.core.message import NewMessage
from conduit.core.topics import PatternTrie, matches
from conduit.names import is_pattern
from conduit.storage.base import Store

# Deadlines are met this late at most, which is a twentieth of the shortest sensible ack wait.
SWEEP_INTERVAL_S = 0.05


class Hub:
    """Connects topics with the subscriptions that run on this node."""

    def __init__(self, store: Store, catalog: Catalog, clock: Clock, stats: Stats) -> None:
        self.store = store
        self.catalog = catalog
        self.clock = clock
        self.stats = stats
        self.turn = Turn()
        self.catch_up = CatchUp()
        self.index = MessageIndex()
        self.reader = Reader(store, self.index)
        self.ledger = Ledger(store, clock, stats)
        # Not for secrets: it spreads redeliveries in time.
        self.rng = random.Random()
        # tenant -> dispatches with a pattern; topics learn of them when they are next published to.
        self._patterns: dict[str, PatternTrie[Dispatch]] = {}
        self._pattern_version = 0
        # When the oldest message was published that no stream has seen yet, or now. Set by the publisher.
        self.oldest_uncommitted_ms: Callable[[], int] = lambda: int(clock.now() * 1000)
        # Subscribers of all dispatches.
        self.subscriber_count = 0
        # Streams with open deliveries, whose deadlines the sweep watches.
        self.open_streams: set[Stream] = set()
        # Streams whose read failed; the next sweep lets them try again.
        self.stalled_streams: set[Stream] = set()
        self._sweep: asyncio.TimerHandle | None = None
        catalog.on_read = self.follow_patterns

    # The way of a message -------------------------------------------------------------------------

    def committed(self, topic: Topic, messages: Sequence[NewMessage], first_seq: int) -> int:
        """Messages of one topic are in the log, from `first_seq` on without a hole; returns how many
        subscribers they go to."""
        self.follow_patterns(topic)
        topic.last_seq = first_seq + len(messages) - 1
        feed = topic.feed
        if feed is None:
            return 0
        if feed.is_followed:
            feed.extend(messages, first_seq)
        return feed.subscriber_count

    def feed_of(self, topic: Topic) -> Feed:
        """The tail of the topic, begun at its end if nobody followed until now."""
        feed = topic.feed
        if feed is None:
            feed = topic.feed = Feed(topic, self, topic.last_seq)
        elif not feed.is_followed:
            feed.skip_to(topic.last_seq)
        return feed

    # Who follows what -----------------------------------------------------------------------------

    def matching(self, tenant: str, pattern: str) -> list[Topic]:
        """The existing topics of a pattern."""
        if not is_pattern(pattern):
            topic = self.catalog.find(tenant, pattern)
            return [] if topic is None else [topic]
        return [topic for topic in self.catalog.all(tenant) if matches(pattern, topic.name)]

    def add_dispatch(self, dispatch: Dispatch) -> None:
        """From now on every message of its pattern reaches the dispatch."""
        if is_pattern(dispatch.pattern):
            trie = self._patterns.setdefault(dispatch.tenant, PatternTrie())
            trie.add(dispatch.pattern, dispatch)
            self._pattern_version += 1

    def remove_dispatch(self, dispatch: Dispatch) -> None:
        """The end of `add_dispatch`, and of all its streams."""
        if is_pattern(dispatch.pattern):
            self._patterns[dispatch.tenant].remove(dispatch.pattern, dispatch)
            self._pattern_version += 1
        for stream in tuple(dispatch.streams.values()):
            stream.close()

    def follow_patterns(self, topic: Topic) -> None:
        """Bring in the patterns that came since this was last done for the topic.

        Their streams begin at `topic.last_seq`: it must not yet count what they are to receive.
        """
        if topic.pattern_version == self._pattern_version:
            return
        topic.pattern_version = self._pattern_version
        trie = self._patterns.get(topic.tenant)
        for dispatch in trie.match(topic.name) if trie is not None else ():
            if topic.topic_id not in dispatch.streams:
                dispatch.follow(topic, topic.last_seq)

    def topic_deleted(self, topic: Topic) -> list[Dispatch]:
        """End the topic's streams; returns the dispatches that named it literally."""
        feed, topic.feed = topic.feed, None
        if feed is None:
            return []
        literal = []
        for stream in (*feed.live, *feed.followers):
            stream.close()
            if stream.dispatch.pattern == topic.name:
                literal.append(stream.dispatch)
        return literal

    # Time -----------------------------------------------------------------------------------------

    def start_sweep(self) -> None:
        """Begin to watch deadlines."""
        loop = asyncio.get_running_loop()
        self._sweep = loop.call_later(SWEEP_INTERVAL_S, self._swept)

    def stop_sweep(self) -> None:
        """No attempt fails any more: what is out stays out."""
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None

    def _swept(self) -> None:
        self.start_sweep()
        self.sweep(self.clock.now())

    def sweep(self, now: float) -> None:
        """Fail what is overdue and hand out what is due."""
        stalled, self.stalled_streams = self.stalled_streams, set()
        for stream in stalled:
            guarded(stream.pump)
        if self.ledger.is_full:
            # Deaths could not be recorded: nothing may die until the store takes them.
            return
        jitter = self.rng.random()
        for stream in tuple(self.open_streams):
            at = stream.delivery.next_deadline()
            if at is None:
                self.open_streams.discard(stream)
            elif at <= now:
                guarded(stream.expire, now, jitter)
