"""How far durable subscriptions are, and what they have done with a message, as it is shown."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Sequence
from contextlib import suppress
from typing import TypeAlias

from conduit.broker.administer.counting import Counting
from conduit.broker.administer.views import DeliveryState, SubscriptionView, place_of, state_of
from conduit.broker.catalog import Catalog, Topic
from conduit.broker.deliver.engine import Engine
from conduit.broker.deliver.group import policy_of
from conduit.broker.deliver.owned import Owned
from conduit.broker.deliver.stored import restored
from conduit.core.delivery import Delivery
from conduit.core.message import Progress, SubscriptionRecord
from conduit.errors import NotFound
from conduit.protocol.records import TopicProgress
from conduit.storage.base import Store
from conduit.storage.dead_letters import DeadTally
from conduit.storage.slices import in_slices

# A subscription on more topics is shown without them; they are asked for, page by page.
TOPICS_SHOWN_COUNT = 20
# Subscriptions of which it is seen in one turn of the loop what they have done with a message.
STATES_STEP_COUNT = 200
# Places of progress that a list asks for in one question.
PLACES_AT_ONCE_COUNT = 2_000
NO_LETTERS = DeadTally(0, 0, 0)


Stored: TypeAlias = dict[int, Progress]
"""How far one subscription is, by the ids of topics."""


class Viewing:
    """Looks at subscriptions. Those that run say themselves how far they are, the store says it of others."""

    def __init__(
        self, store: Store, catalog: Catalog, owned: Owned, engine: Engine, counting: Counting
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._owned = owned
        self._engine = engine
        self._counting = counting

    async def one(self, record: SubscriptionRecord) -> SubscriptionView:
        """All of one. Raises NotFound `subscription_not_found` if it is gone by now."""
        tally = await self._store.dead_tally(record.tenant, record.name)
        return await self._view(record, tally, None)

    async def page(
        self, tenant: str, records: Sequence[SubscriptionRecord], topic: str | None
    ) -> list[SubscriptionView]:
        """Those of them that are there still. With `topic`, of the topics of each only that one."""
        views: list[SubscriptionView] = []
        tallies = await self._store.dead_tallies(tenant, [record.name for record in records])
        stored = await self._stored(records)
        for record in records:
            tally = tallies.get(record.name, NO_LETTERS)
            # Some may be deleted while others are looked at.
            with suppress(NotFound):
                views.append(await self._view(record, tally, stored.get(record.subscription_id)))
        if topic is not None:
            await self._narrow(views, topic)
        return views

    async def _narrow(self, views: Sequence[SubscriptionView], name: str) -> None:
        """Show of the topics of each only this one, if there is such a topic; also of those that are shown
        without their topics."""
        topic = self._catalog.find(views[0].record.tenant, name) if views else None
        if topic is not None:
            many = [view for view in views if view.more_topics]
            places = [(view.record.subscription_id, topic.topic_id) for view in many]
            rows = await self._store.progress_at(places)
            stored = {row.subscription_id: row for row in rows}
            for view in many:
                row = stored.get(view.record.subscription_id)
                view.topics = [place_of(topic, self._delivery(view.record, topic, row))]
        for view in views:
            view.narrow(name)

    async def topics(
        self, record: SubscriptionRecord, *, limit: int, after: str | None
    ) -> list[TopicProgress]:
        """How far it is in the topics that come after `after`, by name."""
        found: list[Topic] = []
        for step in self._catalog.walk(record.tenant, record.pattern, after):
            found += step.topics
            if len(found) >= limit:
                break
            await asyncio.sleep(0)
        deliveries = await self.deliveries(record, found[:limit])
        return [place_of(topic, delivery) for topic, delivery in deliveries]

    async def states(
        self, topic: Topic, seq: int, *, limit: int, after: str | None
    ) -> list[DeliveryState]:
        """What durable subscriptions of the topic have done with one message, by name: up to `limit` of those
        that come after `after`."""
        followers = self._owned.followers(topic)
        if after is not None:
            followers = [record for record in followers if record.name > after]
        records = heapq.nsmallest(limit, followers, key=lambda record: record.name)
        states: list[DeliveryState] = []
        async for some in in_slices(records, STATES_STEP_COUNT):
            states += await self._states_of(topic, seq, some)
        return states

    async def deliveries(
        self, record: SubscriptionRecord, topics: Sequence[Topic], stored: Stored | None = None
    ) -> list[tuple[Topic, Delivery]]:
        """Its machine in each of the topics. `stored`: its progress there, if that was read already."""
        if stored is None:
            stored = {}
            if topics and self._owned.find_running(record) is None:
                ids = [topic.topic_id for topic in topics]
                rows = await self._store.progress(record.subscription_id, ids)
                stored = {row.topic_id: row for row in rows}
        return [
            (topic, self._delivery(record, topic, stored.get(topic.topic_id))) for topic in topics
        ]

    async def _states_of(
        self, topic: Topic, seq: int, records: Sequence[SubscriptionRecord]
    ) -> list[DeliveryState]:
        places = [(record.subscription_id, topic.topic_id) for record in records]
        rows = await self._store.progress_at(places)
        stored, clock = {row.subscription_id: row for row in rows}, self._engine.clock
        return [
            self._dying(record, topic, seq)
            or state_of(
                record.name,
                self._delivery(record, topic, stored.get(record.subscription_id)),
                seq,
                clock,
            )
            for record in records
        ]

    def _dying(self, record: SubscriptionRecord, topic: Topic, seq: int) -> DeliveryState | None:
        """Its state in a delivery that died, which the store does not know yet."""
        running = self._owned.find_running(record)
        cursor = None if running is None else running.cursors.get(topic.topic_id)
        death = None if cursor is None else self._engine.progress.death_of(cursor, seq)
        if death is None:
            return None
        at_ms = death.died_at_ms
        return DeliveryState(record.name, "dead", death.attempts, death.reason, None, at_ms)

    async def _view(
        self, record: SubscriptionRecord, tally: DeadTally, stored: Stored | None
    ) -> SubscriptionView:
        """`stored`: its progress, if that was read already."""
        view = SubscriptionView(record)
        lag = await self._counting.known(record)
        if lag.coverage.topic_count <= TOPICS_SHOWN_COUNT:
            topics = self._catalog.matching(record.tenant, record.pattern)
            topics.sort(key=lambda topic: topic.name)
            for topic, delivery in await self.deliveries(record, topics, stored):
                view.add(topic, delivery)
        else:
            view.more_topics, view.lag = True, lag.count
        running = self._owned.find_running(record)
        if running is not None:
            view.subscribers = len(running.group.subscribers)
        if view.more_topics:
            view.in_flight_count = 0 if running is None else sum(running.group.in_flight.values())
            view.pending_retry_count = max(0, lag.open_count - view.in_flight_count)
        view.full = view.pending_retry_count >= self._engine.pending_max_count or (
            running is not None and running.group.is_full
        )
        view.dead_count, view.redriven_count = tally.open_count, tally.redriven_count
        return view

    async def _stored(self, page: Sequence[SubscriptionRecord]) -> dict[int, Stored]:
        """The progress of those of a page that do not run and are on few topics, by their ids: of all of them
        in one question. One that begins to run meanwhile says itself how far it is."""
        stored: dict[int, Stored] = {}
        places: list[tuple[int, int]] = []
        for record in page:
            lag = self._engine.lags.by_id.get(record.subscription_id)
            if lag is None or self._owned.find_running(record) is not None:
                continue
            coverage = lag.coverage
            if coverage.reached is None and coverage.topic_count <= TOPICS_SHOWN_COUNT:
                topics = self._catalog.matching(record.tenant, record.pattern)
                places += [(record.subscription_id, topic.topic_id) for topic in topics]
                stored[record.subscription_id] = {}
        async for some in in_slices(places, PLACES_AT_ONCE_COUNT):
            for row in await self._store.progress_at(some):
                stored[row.subscription_id][row.topic_id] = row
        return stored

    def _delivery(self, record: SubscriptionRecord, topic: Topic, row: Progress | None) -> Delivery:
        """Its machine in the topic: that which runs, or else the stored one."""
        running = self._owned.find_running(record)
        if running is not None:
            delivery = running.delivery(topic)
            # Where it has nothing to do, all is settled.
            return delivery or Delivery(running.group.policy, topic.last_seq, {})
        if row is None:
            return Delivery(policy_of(record.settings), 0, {})
        return restored(record.settings, row, self._engine.clock)
