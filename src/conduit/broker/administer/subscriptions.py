"""Durable subscriptions, looked at and changed from outside."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence

import msgspec

from conduit.broker.administer.altering import Altering
from conduit.broker.administer.counting import Counting
from conduit.broker.administer.moving import Move
from conduit.broker.administer.reopening import count_reopened
from conduit.broker.administer.viewing import TOPICS_SHOWN_COUNT, Viewing
from conduit.broker.administer.views import (
    Attached,
    DeliveryState,
    SubscriptionPage,
    SubscriptionView,
    attached_to,
    missing,
)
from conduit.broker.catalog import Catalog, Topic
from conduit.broker.changes import Change, after_change
from conduit.broker.deliver.engine import Engine
from conduit.broker.deliver.owned import Owned
from conduit.broker.deliver.settings import RANGES, check_settings
from conduit.broker.deliver.starts import Starts
from conduit.core.message import (
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
from conduit.storage.slices import in_slices

# Topics that are looked at in one turn of the loop.
VIEW_STEP_COUNT = 500
START_LOGGED_CHARS = 100

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
        self._viewing = Viewing(store, catalog, owned, engine, self._counting)
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
        return await self._viewing.one(self._owned.get(tenant, name))

    # With `pattern`, what changes one is only for one that is to these topics: another one of its name is not
    # found.

    async def update(
        self, tenant: str, name: str, changes: dict[str, object], *, pattern: str | None = None
    ) -> SubscriptionView:
        """Change settings, from the next delivery on. `ack` and `order` cannot change."""
        for field in changes:
            if field not in RANGES:
                raise InvalidRequest(f"{field} cannot be changed", field=field)

        def changed(record: SubscriptionRecord) -> tuple[SubscriptionSettings, bool]:
            settings = msgspec.structs.replace(record.settings, **changes)
            return check_settings(settings), record.paused

        async def update(change: Change, record: SubscriptionRecord) -> None:
            await self._altering.configure(change, record, changed)

        return await self._changed(await self._altering.make(tenant, name, update, pattern))

    async def pause(
        self, tenant: str, name: str, *, pattern: str | None = None
    ) -> SubscriptionView:
        """Hand out nothing until `resume`; what is out may still be settled."""
        return await self._pause(tenant, name, pattern, paused=True)

    async def resume(
        self, tenant: str, name: str, *, pattern: str | None = None
    ) -> SubscriptionView:
        """Go on where it was paused."""
        return await self._pause(tenant, name, pattern, paused=False)

    async def _pause(
        self, tenant: str, name: str, pattern: str | None, *, paused: bool
    ) -> SubscriptionView:
        async def pause(change: Change, record: SubscriptionRecord) -> None:
            await self._altering.configure(change, record, lambda known: (known.settings, paused))

        record = await self._altering.make(tenant, name, pause, pattern)
        state = "paused" if paused else "resumed"
        logger.info("subscription %s is %s", named(name, tenant), state)
        return await self._changed(record)

    async def delete(self, tenant: str, name: str, *, pattern: str | None = None) -> None:
        """Forget it; its subscribers are unsubscribed. Its dead letters stay."""
        await self._altering.make(tenant, name, self._altering.delete, pattern)

    async def seek(
        self,
        tenant: str,
        name: str,
        start: StartSpec,
        *,
        dry_run: bool,
        pattern: str | None = None,
    ) -> Moved:
        """Move to `start` in every topic, up or down; what is open is forgotten. Returns the new places, and
        what `start` asks for and is not there. With `dry_run` nothing changes.

        Raises InvalidRequest, NotFound `subscription_not_found`.
        """
        record = self._owned.meant(tenant, name, pattern)
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
        moved = Moved([], False, 0, dry_run, *missing(beginning))
        if dry_run:
            moved.dead_again_count = await count_reopened(
                self._store, self._catalog, record, dict(positions)
            )
        move = Move(record, moved, TOPICS_SHOWN_COUNT)
        async for places in self._topics_of(positions):
            if dry_run:
                now = await self._viewing.deliveries(record, [topic for topic, _ in places])
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
        """See `Viewing.states`."""
        return await self._viewing.states(topic, seq, limit=limit, after=after)

    async def topics(
        self, tenant: str, name: str, *, limit: int, after: str | None
    ) -> list[TopicProgress]:
        """How far a subscription is in the topics that come after `after`, by name."""
        return await self._viewing.topics(self._owned.get(tenant, name), limit=limit, after=after)

    async def _changed(self, record: SubscriptionRecord) -> SubscriptionView:
        """It, after a change. Raises OutcomeUnknown if it cannot be read, and NotFound if it is gone."""
        self._owned.check_known(record)
        with after_change():
            return await self._viewing.one(record)

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

    async def names(
        self,
        tenant: str,
        *,
        q: str | None,
        topic: str | None,
        limit: int,
        after: str | None,
        is_meant: Callable[[str], bool] | None,
    ) -> tuple[Sequence[str], str | None]:
        """Those of a page of `list`, and behind which the list goes on, if it does."""
        found = await self._owned.page(
            tenant, q=q, topic=topic, limit=limit + 1, after=after, is_meant=is_meant
        )
        names = [record.name for record in found[:limit]]
        return names, names[-1] if len(found) > limit else None

    async def some(
        self, tenant: str, names: Sequence[str], topic: str | None
    ) -> Sequence[SubscriptionView]:
        """Those of these names that are there; with `topic`, of the topics of each only that one."""
        found = (self._owned.find(tenant, name) for name in names)
        return await self._viewing.page(tenant, [each for each in found if each], topic)

    # Last, because below it `list` would mean this method.
    async def list(
        self,
        tenant: str,
        *,
        q: str | None,
        topic: str | None = None,
        limit: int,
        after: str | None,
        is_meant: Callable[[str], bool] | None = None,
    ) -> SubscriptionPage:
        """By name: up to `limit` of those that contain `q` and come after `after`, if what they are to is
        meant. With `topic`, a name, those that its messages go to, and where they are in it."""
        names, following = await self.names(
            tenant, q=q, topic=topic, limit=limit, after=after, is_meant=is_meant
        )
        return SubscriptionPage([*await self.some(tenant, names, topic)], following)


def _text(start: StartSpec) -> str:
    """A start for the log, where a long list of positions has no place."""
    return start if isinstance(start, str) else encode_json(start).decode()[:START_LOGGED_CHARS]
