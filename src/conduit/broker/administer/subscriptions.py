"""Durable subscriptions, looked at and changed from outside."""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TypeAlias

import msgspec

from conduit.broker.administer.altering import Altering
from conduit.broker.administer.counting import Counting
from conduit.broker.administer.moving import Move
from conduit.broker.administer.views import (
    Attached,
    DeliveryState,
    SubscriptionView,
    attached_to,
    missing,
    place_of,
    state_of,
)
from conduit.broker.catalog import Catalog, Topic
from conduit.broker.changes import Change, after_change
from conduit.broker.deliver.engine import Engine
from conduit.broker.deliver.group import policy_of
from conduit.broker.deliver.owned import Owned
from conduit.broker.deliver.settings import RANGES, check_settings
from conduit.broker.deliver.starts import Starts
from conduit.broker.deliver.stored import restored
from conduit.core.delivery import Delivery
from conduit.core.message import (
    Progress,
    SubscriptionRecord,
    SubscriptionSettings,
)
from conduit.core.ring import Ring
from conduit.errors import InvalidRequest
from conduit.names import named
from conduit.protocol.codec import encode_json
from conduit.protocol.frames import StartSpec
from conduit.protocol.records import Moved, TopicProgress
from conduit.storage.base import Store
from conduit.storage.dead_letters import DeadTally
from conduit.storage.slices import in_slices

# A subscription on more topics is shown without them; they are asked for, page by page.
TOPICS_SHOWN_COUNT = 20
# Topics that are looked at in one turn of the loop.
VIEW_STEP_COUNT = 500
# Subscriptions of which it is seen in one turn of the loop what they have done with a message.
STATES_STEP_COUNT = 200
# Places of progress that a list asks for in one question.
PLACES_AT_ONCE_COUNT = 2_000
START_LOGGED_CHARS = 100
NO_LETTERS = DeadTally(0, 0, 0)


Stored: TypeAlias = dict[int, Progress]
"""How far one subscription is, by the ids of topics."""

logger = logging.getLogger(__name__)


class Subscriptions:
    """Creates, changes, moves and deletes durable subscriptions; every call names the tenant."""

    def __init__(
        self, store: Store, catalog: Catalog, owned: Owned, engine: Engine, starts: Starts
    ) -> None:
        self._store = store
        self._counting = Counting(store, catalog, owned, engine.lags)
        self._catalog = catalog
        self._owned = owned
        self._engine = engine
        self._starts = starts
        self._altering = Altering(store, catalog, owned, engine)

    async def close(self) -> None:
        """End what goes on in the background; the store is closed by now."""
        await self._counting.close()
        await self._altering.close()

    @property
    def count(self) -> int:
        """How many there are, of all tenants."""
        return self._owned.count

    def share(self, ring: Ring, own_name: str) -> None:
        """See `Counting.share`."""
        self._counting.share(ring, own_name)

    def tick(self) -> None:
        """See `Counting.tick`."""
        self._counting.tick()

    async def create(
        self,
        tenant: str,
        name: str,
        pattern: str,
        settings: SubscriptionSettings,
        start: StartSpec | None,
    ) -> SubscriptionView:
        """A new subscription, which misses nothing from now on but what its `gaps` say. A literal topic is
        created with it.

        Raises InvalidRequest, Conflict `subscription_exists`, LimitReached.
        """
        check_settings(settings)
        async with self._starts.line.unpacked(tenant, pattern, start):
            async with self._owned.turns.taken((tenant, name)):
                beginning = await self._owned.create(tenant, name, pattern, settings, start)
                record = self._owned.get(tenant, name)
            gaps, more_gaps = missing(beginning)
        view = await self._changed(record)
        view.gaps, view.more_gaps = gaps, more_gaps
        return view

    async def get(self, tenant: str, name: str) -> SubscriptionView:
        """One of them. Raises NotFound `subscription_not_found`."""
        return await self._view(self._owned.get(tenant, name))

    async def update(self, tenant: str, name: str, changes: dict[str, object]) -> SubscriptionView:
        """Change settings, from the next delivery on. `ack` and `order` cannot change."""
        for field in changes:
            if field not in RANGES:
                raise InvalidRequest(f"{field} cannot be changed", field=field)

        def changed(record: SubscriptionRecord) -> tuple[SubscriptionSettings, bool]:
            settings = msgspec.structs.replace(record.settings, **changes)
            return check_settings(settings), record.paused

        async def update(change: Change, record: SubscriptionRecord) -> None:
            await self._altering.configure(change, record, changed)

        return await self._changed(await self._altering.make(tenant, name, update))

    async def pause(self, tenant: str, name: str) -> SubscriptionView:
        """Hand out nothing until `resume`; what is out may still be settled."""
        return await self._pause(tenant, name, paused=True)

    async def resume(self, tenant: str, name: str) -> SubscriptionView:
        """Go on where it was paused."""
        return await self._pause(tenant, name, paused=False)

    async def _pause(self, tenant: str, name: str, *, paused: bool) -> SubscriptionView:
        async def pause(change: Change, record: SubscriptionRecord) -> None:
            await self._altering.configure(change, record, lambda known: (known.settings, paused))

        record = await self._altering.make(tenant, name, pause)
        state = "paused" if paused else "resumed"
        logger.info("subscription %s is %s", named(name, tenant), state)
        return await self._changed(record)

    async def delete(self, tenant: str, name: str) -> None:
        """Forget it; its subscribers are unsubscribed. Its dead letters stay."""
        await self._altering.make(tenant, name, self._altering.delete)

    async def seek(self, tenant: str, name: str, start: StartSpec, *, dry_run: bool) -> Moved:
        """Move to `start` in every topic, up or down; what is open is forgotten. Returns the new places, and
        what `start` asks for and is not there. With `dry_run` nothing changes.

        Raises InvalidRequest, NotFound `subscription_not_found`.
        """
        record = self._owned.get(tenant, name)
        async with self._starts.line.unpacked(tenant, record.pattern, start):
            return await self._seek_to(record, start, dry_run=dry_run)

    async def _seek_to(
        self, record: SubscriptionRecord, start: StartSpec, *, dry_run: bool
    ) -> Moved:
        beginning = await self._starts.begin(record.tenant, record.pattern, start)
        positions = await self._starts.floors(record.tenant, record.pattern, beginning)
        if not dry_run:
            # Nobody waits for what only looks.
            await self._seek(record, positions)
            logger.info(
                "subscription %s was moved by a seek to %s; topics: %d",
                named(record.name, record.tenant),
                _text(start),
                len(positions),
            )
        # Also while it waited for its turn. What goes after it is told to its subscribers as well.
        await self._starts.look_for_gone(record.tenant, beginning)
        move = Move(record, Moved([], False, 0, dry_run, *missing(beginning)), TOPICS_SHOWN_COUNT)
        async for places in self._topics_of(positions):
            if dry_run:
                now = await self._deliveries(record, [topic for topic, _ in places])
                for (topic, floor), (_, delivery) in zip(places, now, strict=True):
                    move.add(topic, floor, delivery)
            else:
                for topic, floor in places:
                    move.add(topic, floor)
        return await move.told(self._store)

    async def _seek(self, record: SubscriptionRecord, positions: Sequence[tuple[int, int]]) -> None:
        async def seek(change: Change, _: SubscriptionRecord) -> None:
            # One of that name may have been made anew.
            self._owned.check_known(record)
            await self._altering.seek(change, record, positions)

        await self._altering.make(record.tenant, record.name, seek)

    async def _topics_of(
        self, positions: Sequence[tuple[int, int]]
    ) -> AsyncIterator[list[tuple[Topic, int]]]:
        """The topics that are there, each with its floor; others have their turns in between."""
        async for some in in_slices(positions, VIEW_STEP_COUNT):
            found = [(self._catalog.by_id(topic_id), floor) for topic_id, floor in some]
            yield [(topic, floor) for topic, floor in found if topic is not None]

    # Views ----------------------------------------------------------------------------------------

    async def delivery_states(
        self, topic: Topic, seq: int, *, limit: int, after: str | None = None
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

    async def topics(
        self, tenant: str, name: str, *, limit: int, after: str | None
    ) -> list[TopicProgress]:
        """How far a subscription is in the topics that come after `after`, by name."""
        record = self._owned.get(tenant, name)
        found: list[Topic] = []
        for step in self._catalog.walk(tenant, record.pattern, after):
            found += step.topics
            if len(found) >= limit:
                break
            await asyncio.sleep(0)
        deliveries = await self._deliveries(record, found[:limit])
        return [place_of(topic, delivery) for topic, delivery in deliveries]

    async def _changed(self, record: SubscriptionRecord) -> SubscriptionView:
        """It, after a change. Raises OutcomeUnknown if it cannot be read, and NotFound if it is gone."""
        self._owned.check_known(record)
        with after_change():
            return await self._view(record)

    async def _view(
        self,
        record: SubscriptionRecord,
        tally: DeadTally | None = None,
        stored: Stored | None = None,
    ) -> SubscriptionView:
        """`stored`: its progress, if that was read already."""
        view = SubscriptionView(record)
        lag = await self._counting.known(record)
        if lag.coverage.topic_count <= TOPICS_SHOWN_COUNT:
            topics = self._catalog.matching(record.tenant, record.pattern)
            topics.sort(key=lambda topic: topic.name)
            for topic, delivery in await self._deliveries(record, topics, stored):
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
        if tally is None:
            tally = await self._store.dead_tally(record.tenant, record.name)
        view.dead_count, view.redriven_count = tally.open_count, tally.redriven_count
        return view

    async def _deliveries(
        self, record: SubscriptionRecord, topics: Sequence[Topic], stored: Stored | None = None
    ) -> list[tuple[Topic, Delivery]]:
        """Its machine in each of the topics."""
        if stored is None:
            stored = {}
            if topics and self._owned.find_running(record) is None:
                ids = [topic.topic_id for topic in topics]
                rows = await self._store.progress(record.subscription_id, ids)
                stored = {row.topic_id: row for row in rows}
        return [
            (topic, self._delivery(record, topic, stored.get(topic.topic_id))) for topic in topics
        ]

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

    async def attached(self, tenant: str, name: str) -> list[Attached]:
        """Its subscribers here, those at other nodes included if it runs here. Raises NotFound
        `subscription_not_found`."""
        running = self._owned.find_running(self._owned.get(tenant, name))
        return [] if running is None else attached_to(running.group)

    def has(self, tenant: str, name: str) -> bool:
        """Whether there is one of this name."""
        return self._owned.find(tenant, name) is not None

    def pattern_of(self, tenant: str, name: str) -> str:
        """What it is to. Raises NotFound `subscription_not_found`, InvalidRequest."""
        return self._owned.get(tenant, name).pattern

    # Last, because below it `list` would mean this method.
    async def list(
        self,
        tenant: str,
        *,
        q: str | None,
        limit: int,
        after: str | None,
        is_meant: Callable[[str], bool] | None = None,
    ) -> list[SubscriptionView]:
        """By name: those that contain `q` and come after `after`, if what they are to is meant."""
        page = await self._owned.page(tenant, q=q, limit=limit, after=after, is_meant=is_meant)
        tallies = await self._store.dead_tallies(tenant, [record.name for record in page])
        stored = await self._stored(page)
        # Some may be deleted while others are looked at.
        return [
            await self._view(
                record, tallies.get(record.name, NO_LETTERS), stored.get(record.subscription_id)
            )
            for record in page
            if self._owned.find(tenant, record.name) is record
        ]


def _text(start: StartSpec) -> str:
    """A start for the log, where a long list of positions has no place."""
    return start if isinstance(start, str) else encode_json(start).decode()[:START_LOGGED_CHARS]
