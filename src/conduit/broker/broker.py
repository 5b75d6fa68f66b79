"""What the edges call. One broker per process; all of it runs on one event loop."""

from __future__ import annotations

import asyncio

import msgspec

from conduit.broker.administer.browse import Browser
from conduit.broker.administer.dead_letters import DeadLetters
from conduit.broker.administer.retention import Housekeeper, RetentionRules
from conduit.broker.administer.subscriptions import Subscriptions
from conduit.broker.attach.connection import Connection, Peer
from conduit.broker.catalog import Catalog, Topic
from conduit.broker.clock import Clock
from conduit.broker.deliver.router import Hub
from conduit.broker.deliver.running import Removal
from conduit.broker.publish.keys import Keys
from conduit.broker.publish.publisher import Publisher, PublishLimits
from conduit.broker.stats import Gauges, Stats
from conduit.core.message import Retention
from conduit.storage.base import Store

TICK_INTERVAL_S = 1.0


class BrokerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The broker's bounds and rules, as plain values."""

    publish: PublishLimits = PublishLimits()
    retention: Retention = Retention()
    """Of topics that are created without one."""
    housekeeping: RetentionRules = RetentionRules()
    max_topics: int = 100_000
    max_subscriptions_per_connection: int = 128
    idempotency_window_s: float = 600.0
    idempotency_max_count: int = 250_000


class Broker:
    """Publishing, subscribing and administration over one store."""

    def __init__(self, store: Store, clock: Clock, options: BrokerOptions) -> None:
        self.store = store
        self.clock = clock
        self._options = options
        self.stats = Stats(clock.now())
        self.topics = Catalog(store, clock, options.retention, options.max_topics)
        self._hub = Hub(store, self.topics, clock, self.stats)
        self._keys = Keys(self._hub, options.idempotency_window_s, options.idempotency_max_count)
        self._publisher = Publisher(self._hub, options.publish, self._keys)
        # The publisher's own methods: a call less on the way of every publish.
        self.publish = self._publisher.publish
        self.publish_batch = self._publisher.publish_batch
        self.subscriptions = Subscriptions(self._hub)
        self.dead_letters = DeadLetters(store, clock, self.subscriptions.redrive, self.publish)
        self.messages = Browser(store, self.topics, self.subscriptions)
        self._housekeeper = Housekeeper(store, self.topics, clock, options.housekeeping)
        self.topics.on_deleting = self._topic_deleting
        self._is_stopping = False
        self._flushing: asyncio.Task[None] | None = None
        self._tick: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Open the store, load what it has and begin. Raises StoreUnavailable."""
        await self.store.open()
        self._publisher.is_durable = self._keys.is_durable = self.store.durable
        await self.topics.load()
        await self.subscriptions.load()
        since_ms = int((self.clock.now() - self._options.idempotency_window_s) * 1000)
        max_count = self._options.idempotency_max_count
        self._keys.restore(await self.store.known_keys(since_ms, max_count))
        loop = asyncio.get_running_loop()
        self._publisher.committers.start()
        self._flushing = loop.create_task(self._hub.ledger.run(), name="ledger")
        self._hub.start_sweep()
        self._tick = loop.call_later(TICK_INTERVAL_S, self._ticked)
        self._housekeeper.start()

    async def stop(self) -> None:
        """Answer what was published, store all progress, and close the store. Idempotent.

        Connections should be closed before, so that what they had out is recorded as given back.
        """
        if self._is_stopping:
            return
        self._is_stopping = True
        self._hub.stop_sweep()
        if self._tick is not None:
            self._tick.cancel()
        await self._housekeeper.stop()
        await self.dead_letters.stop()
        await self._publisher.close()
        if self._flushing is not None:
            self._hub.ledger.stop()
            await asyncio.gather(self._flushing, return_exceptions=True)
        await self._hub.reader.close()
        await self.store.close()

    # Subscribing ----------------------------------------------------------------------------------

    def connect(self, tenant: str, peer: Peer) -> Connection:
        """The subscriptions of a new connection; call its `close` when the connection is gone."""
        limit = self._options.max_subscriptions_per_connection
        return Connection(self._hub, self.subscriptions, tenant, peer, limit)

    async def _topic_deleting(self, topic: Topic) -> None:
        """Finish what is under way for a topic that takes no more, and disconnect who named it."""
        await self._publisher.committers.drain()
        self._keys.forget_topic(topic)
        for dispatch in self._hub.topic_deleted(topic):
            for subscriber in tuple(dispatch.subscribers):
                subscriber.on_removed(Removal.TOPIC_DELETED)

    # Time -----------------------------------------------------------------------------------------

    def _ticked(self) -> None:
        loop = asyncio.get_running_loop()
        self._tick = loop.call_later(TICK_INTERVAL_S, self._ticked)
        now = self.clock.now()
        self._keys.tick(now)
        self._publisher.committers.check(loop.time())
        if self.stats.tick(now):
            self.stats.sample(now, self.gauges())

    def gauges(self) -> Gauges:
        """What there is now."""
        return Gauges(
            topic_count=len(self.topics),
            subscriber_count=self._hub.subscriber_count,
            backlog_count=self.subscriptions.backlog_count(),
        )
