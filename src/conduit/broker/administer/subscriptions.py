"""Durable subscriptions: the ones that exist, and the ones that run because somebody is attached."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import msgspec

from conduit.broker.administer.views import (
    DeliveryState,
    SubscriptionView,
    TopicProgress,
    place_of,
    restored,
    state_of,
)
from conduit.broker.deliver.router import Hub
from conduit.broker.deliver.running import Dispatch, Removal
from conduit.broker.deliver.starts import Beginning, begin
from conduit.core.delivery import Delivery
from conduit.core.message import SubscriptionRecord, SubscriptionSettings
from conduit.core.topics import matches
from conduit.errors import Conflict, InvalidRequest, LimitReached, NotFound
from conduit.names import check_pattern, check_subscription, is_pattern
from conduit.protocol.frames import StartSpec
from conduit.storage.base import DeadFilter

if TYPE_CHECKING:
    from conduit.broker.catalog import Topic

SUBSCRIPTIONS_MAX_COUNT = 100_000
# Ranges of the settings, inclusive.
RANGES = {
    "max_in_flight": (1, 10_000),
    "ack_wait_ms": (10, 3_600_000),
    "max_ack_wait_ms": (10, 3_600_000),
    "max_attempts": (1, 100),
}
CHOICES = {"ack": ("explicit", "auto"), "order": ("publish", "strict")}

logger = logging.getLogger(__name__)


def check_settings(settings: SubscriptionSettings) -> SubscriptionSettings:
    """Return the settings unchanged, or raise InvalidRequest naming the one that is out of range."""
    for field, (low, high) in RANGES.items():
        if not low <= getattr(settings, field) <= high:
            raise InvalidRequest(f"{field} must be {low} to {high}", field=field)
    for field, choices in CHOICES.items():
        if getattr(settings, field) not in choices:
            raise InvalidRequest(f"{field} must be one of {', '.join(choices)}", field=field)
    return settings


class Subscriptions:
    """Creates, runs, changes and deletes durable subscriptions; every call names the tenant."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._store = hub.store
        self._records: dict[tuple[str, str], SubscriptionRecord] = {}
        self._running: dict[tuple[str, str], Dispatch] = {}
        # One change at a time: loading, creating and deleting must not overlap.
        self._changing = asyncio.Lock()
        hub.ledger.on_flushed = self._unload_idle
        hub.ledger.on_refused = self._claimed_elsewhere

    async def load(self) -> None:
        """Take over what the store has."""
        for record in await self._store.subscriptions():
            self._records[record.tenant, record.name] = record

    def find(self, tenant: str, name: str) -> SubscriptionRecord | None:
        """The record, or None; the name need not be valid."""
        return self._records.get((tenant, name))

    def running(self) -> list[Dispatch]:
        """Those with subscribers on this node, or with progress that is not stored yet."""
        return list(self._running.values())

    def _record(self, tenant: str, name: str) -> SubscriptionRecord:
        record = self._records.get((tenant, name))
        if record is None:
            check_subscription(name)
            raise NotFound(f"subscription {name!r} does not exist", code="subscription_not_found")
        return record

    # Running --------------------------------------------------------------------------------------

    async def attach(self, tenant: str, name: str) -> Dispatch:
        """The running dispatch of an existing subscription, loaded if it does not run yet.

        The caller adds a subscriber before it next waits, or the dispatch may be unloaded again.
        """
        async with self._changing:
            return await self._load(self._record(tenant, name))

    async def _load(self, record: SubscriptionRecord) -> Dispatch:
        place = (record.tenant, record.name)
        if not is_pattern(record.pattern):
            # It may have been deleted since.
            await self._hub.catalog.ensure(record.tenant, record.pattern)
        dispatch = self._running.get(place)
        if dispatch is None:
            # First: what the owner before has not stored by then, it never will.
            fence = await self._store.subscription_claim(record.subscription_id)
            saved = await self._store.progress(record.subscription_id)
            dispatch = Dispatch(self._hub, record.tenant, record.pattern, record.settings)
            dispatch.make_durable(record, fence, saved)
            self._running[place] = dispatch
            self._hub.add_dispatch(dispatch)
            # Unloaded after the next flush if its subscriber does not come.
            self._hub.ledger.wake()
        dispatch.follow_backlog()
        return dispatch

    def _unload_idle(self) -> None:
        """Stop those that have no subscriber and no progress left to store."""
        for place, dispatch in tuple(self._running.items()):
            if dispatch.subscribers or any(
                self._hub.ledger.is_pending(stream) for stream in dispatch.streams.values()
            ):
                continue
            if not self._changing.locked():
                self._stop(place)

    def _stop(self, place: tuple[str, str]) -> None:
        dispatch = self._running.pop(place, None)
        if dispatch is not None:
            self._hub.remove_dispatch(dispatch)

    def _claimed_elsewhere(self, subscription_ids: set[int]) -> None:
        """Their progress is another node's: stop them, and send their subscribers away."""
        for place, dispatch in tuple(self._running.items()):
            if dispatch.subscription_id in subscription_ids:
                logger.warning("subscription %r runs on another node now", dispatch.name)
                self._stop(place)
                for subscriber in tuple(dispatch.subscribers):
                    subscriber.on_removed(Removal.MOVED)

    # Administration -------------------------------------------------------------------------------

    async def create(
        self,
        tenant: str,
        name: str,
        pattern: str,
        settings: SubscriptionSettings,
        start: StartSpec | None,
    ) -> SubscriptionView:
        """A new subscription, which misses nothing from now on. A literal topic is created with it.

        Raises InvalidRequest, Conflict `subscription_exists`, LimitReached.
        """
        async with self._changing:
            if (tenant, name) in self._records:
                raise Conflict(
                    f"subscription {name!r} exists already",
                    code="subscription_exists",
                    field="name",
                )
            await self._create(tenant, name, pattern, settings, start)
        return await self._view(self._records[tenant, name])

    async def establish(
        self,
        tenant: str,
        name: str,
        pattern: str,
        settings: SubscriptionSettings,
        start: StartSpec | None,
    ) -> Beginning | None:
        """Create it if it does not exist; then returns where it begins, else None. Raises as `create`."""
        async with self._changing:
            if (tenant, name) in self._records:
                return None
            try:
                return await self._create(tenant, name, pattern, settings, start)
            except Conflict:
                # It is there by now: what was wanted.
                return None

    async def _create(
        self,
        tenant: str,
        name: str,
        pattern: str,
        settings: SubscriptionSettings,
        start: StartSpec | None,
    ) -> Beginning:
        check_subscription(name, "name")
        check_pattern(pattern)
        check_settings(settings)
        if len(self._records) >= SUBSCRIPTIONS_MAX_COUNT:
            raise LimitReached(f"there are {SUBSCRIPTIONS_MAX_COUNT} subscriptions, the limit")
        if not is_pattern(pattern):
            await self._hub.catalog.ensure(tenant, pattern)
        beginning = await begin(self._hub, tenant, pattern, start)
        now_ms = int(self._hub.clock.now() * 1000)
        try:
            self._records[tenant, name] = await self._store.subscription_create(
                tenant, name, pattern, settings, beginning.start, now_ms
            )
        except Conflict:
            # Somebody else's, or ours from a call whose answer was lost.
            await self.load()
            raise
        return beginning

    async def get(self, tenant: str, name: str) -> SubscriptionView:
        """One of them. Raises NotFound `subscription_not_found`."""
        return await self._view(self._record(tenant, name))

    async def update(self, tenant: str, name: str, changes: dict[str, object]) -> SubscriptionView:
        """Change settings, from the next delivery on. `ack` and `order` cannot change."""
        record = self._record(tenant, name)
        for field in changes:
            if field not in RANGES:
                raise InvalidRequest(f"{field} cannot be changed", field=field)
        settings = check_settings(msgspec.structs.replace(record.settings, **changes))
        await self._change(record, settings, record.paused)
        return await self._view(record)

    async def pause(self, tenant: str, name: str) -> SubscriptionView:
        """Hand out nothing until `resume`; what is out may still be settled."""
        record = self._record(tenant, name)
        await self._change(record, record.settings, True)
        return await self._view(record)

    async def resume(self, tenant: str, name: str) -> SubscriptionView:
        """Go on where it was paused."""
        record = self._record(tenant, name)
        await self._change(record, record.settings, False)
        return await self._view(record)

    async def _change(
        self, record: SubscriptionRecord, settings: SubscriptionSettings, paused: bool
    ) -> None:
        async with self._changing:
            await self._store.subscription_update(record.subscription_id, settings, paused)
            record.settings, record.paused = settings, paused
            dispatch = self._running.get((record.tenant, record.name))
            if dispatch is not None:
                dispatch.configure(settings)
                dispatch.is_paused = paused
                self._hub.turn.add(dispatch)

    async def delete(self, tenant: str, name: str) -> None:
        """Forget it; its subscribers are unsubscribed. Its dead letters stay."""
        async with self._changing:
            record = self._record(tenant, name)
            del self._records[tenant, name]
            dispatch = self._running.get((tenant, name))
            for subscriber in tuple(dispatch.subscribers) if dispatch is not None else ():
                subscriber.on_removed(Removal.DELETED)
            self._stop((tenant, name))
            await self._store.subscription_delete(record.subscription_id)

    async def seek(
        self, tenant: str, name: str, start: StartSpec, *, dry_run: bool
    ) -> list[TopicProgress]:
        """Move to `start` in every topic, up or down; what is open is forgotten. Returns the new places.

        With `dry_run` nothing changes.
        """
        async with self._changing:
            record = self._record(tenant, name)
            beginning = await begin(self._hub, tenant, record.pattern, start)
            positions = await self._store.positions(tenant, record.pattern, beginning.start)
            if not dry_run:
                await self._store.seek(record.subscription_id, positions)
                dispatch = self._running.get((tenant, name))
                if dispatch is not None:
                    dispatch.seek(dict(positions))
        return [
            place_of(topic, floor)
            for topic_id, floor in positions
            if (topic := self._hub.catalog.by_id(topic_id)) is not None
        ]

    async def redrive(self, tenant: str, name: str, topic_id: int, seq: int) -> None:
        """Deliver a dead letter's message to its subscription again, from attempt 1.

        Raises NotFound for a subscription or topic that is gone, Conflict if the delivery is open.
        """
        topic = self._hub.catalog.by_id(topic_id)
        if topic is None:
            raise NotFound("the dead letter's topic does not exist", code="topic_not_found")
        async with self._changing:
            dispatch = await self._load(self._record(tenant, name))
        stream = dispatch.streams.get(topic_id) or dispatch.follow(topic, topic.last_seq)
        if not stream.delivery.redrive(seq, self._hub.clock.now()):
            raise Conflict("the message is not settled in its subscription")
        self._hub.open_streams.add(stream)
        stream.changed()
        await self._hub.ledger.stored()

    def backlog_count(self) -> int:
        """Messages that the running subscriptions have not settled, by their floors."""
        return sum(
            max(0, stream.feed.topic.last_seq - stream.delivery.floor)
            for dispatch in self._running.values()
            for stream in dispatch.streams.values()
        )

    # Views ----------------------------------------------------------------------------------------

    async def delivery_states(self, topic: Topic, seq: int) -> list[DeliveryState]:
        """What every durable subscription of the topic has done with one message."""
        records = [
            record
            for record in self._records.values()
            if record.tenant == topic.tenant and matches(record.pattern, topic.name)
        ]
        found = await asyncio.gather(*(self._deliveries(record) for record in records))
        return [
            state_of(record.name, deliveries.get(topic.topic_id), seq)
            for record, deliveries in zip(records, found, strict=True)
        ]

    async def _view(self, record: SubscriptionRecord) -> SubscriptionView:
        deliveries = await self._deliveries(record)
        topics = []
        for topic in self._hub.matching(record.tenant, record.pattern):
            delivery = deliveries.get(topic.topic_id)
            topics.append(place_of(topic, 0 if delivery is None else delivery.floor))
        dispatch = self._running.get((record.tenant, record.name))
        dead = DeadFilter(subscription=record.name)
        return SubscriptionView(
            record=record,
            topics=topics,
            subscribers=0 if dispatch is None else len(dispatch.subscribers),
            in_flight_count=sum(d.open_count - d.waiting_count for d in deliveries.values()),
            pending_retry_count=sum(d.waiting_count for d in deliveries.values()),
            dead_count=await self._store.dead_count(record.tenant, dead),
        )

    async def _deliveries(self, record: SubscriptionRecord) -> dict[int, Delivery]:
        """Its machine in every topic that has one: the running ones, or the stored ones restored."""
        now = self._hub.clock.now()
        dispatch = self._running.get((record.tenant, record.name))
        if dispatch is None:
            saved = await self._store.progress(record.subscription_id)
            return {progress.topic_id: restored(record, progress, now) for progress in saved}
        found = {topic_id: stream.delivery for topic_id, stream in dispatch.streams.items()}
        for topic_id, progress in dispatch.saved.items():
            found[topic_id] = restored(record, progress, now)
        return found

    # Last, because below it `list` would mean this method.
    async def list(
        self, tenant: str, *, q: str | None, limit: int, after: str | None
    ) -> list[SubscriptionView]:
        """By name: those that contain `q` and come after `after`."""
        names = sorted(
            name
            for owner, name in self._records
            if owner == tenant and (after is None or name > after) and (q is None or q in name)
        )
        views = (self._view(self._records[tenant, name]) for name in names[:limit])
        return await asyncio.gather(*views)
