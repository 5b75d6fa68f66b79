"""What a subscribe needs to be there: its topic, and its durable subscription as it runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

from conduit.broker.catalog import Catalog
from conduit.broker.changes import after_change
from conduit.broker.deliver.outset import Outset
from conduit.broker.deliver.owned import Owned
from conduit.broker.deliver.running import Running
from conduit.broker.deliver.settings import (
    check_agreement,
    check_prefetch,
    check_settings,
    given_settings,
)
from conduit.broker.deliver.starts import Beginning, Starts, check_start
from conduit.broker.deliver.tails import Tails
from conduit.core.message import SubscriptionSettings
from conduit.errors import Conflict, NotFound
from conduit.names import check_new_subscription, check_pattern, check_subscription, is_pattern
from conduit.protocol.frames import Subscribe

# How often a subscribe makes its topic again that somebody deletes meanwhile.
TRIES_MAX_COUNT = 3


def check_subscribe(frame: Subscribe) -> SubscriptionSettings:
    """The settings that it asks for. Raises InvalidRequest for whatever is wrong with it by itself."""
    check_pattern(frame.topic)
    if frame.subscription is not None:
        check_subscription(frame.subscription)
    check_start(frame.topic, frame.start)
    check_prefetch(frame.prefetch)
    return check_settings(given_settings(frame, durable=frame.subscription is not None))


class Establishing:
    """Of all connections of this node."""

    def __init__(self, catalog: Catalog, tails: Tails, owned: Owned, starts: Starts) -> None:
        self._catalog = catalog
        self._tails = tails
        self._owned = owned
        self._starts = starts

    async def begin(self, tenant: str, frame: Subscribe) -> Beginning:
        """Where it begins; the topic that it names exists then, until the caller next waits. Raises NotFound
        `topic_not_found`."""
        for _ in range(TRIES_MAX_COUNT):
            await self._be_there(tenant, frame)
            await self._tails.begin(tenant, frame.topic)
            beginning = await self._starts.begin(tenant, frame.topic, frame.start)
            if is_pattern(frame.topic) or self._catalog.find(tenant, frame.topic) is not None:
                return beginning
        raise NotFound(f"topic {frame.topic!r} is being deleted", code="topic_not_found")

    def begin_all(self, running: Running, beginning: Beginning) -> None:
        """Begin in the topics that do not begin at their end."""
        catalog, floors = self._catalog, beginning.floors
        if beginning.takes_all:
            outset = Outset(catalog.by_id, floors, {}, lambda _: 0)
            walk = catalog.walk(running.tenant, running.pattern)
            running.begin_all(outset, (step.topics for step in walk))
        elif floors:
            outset = Outset(catalog.by_id, floors, {}, lambda _: None)
            running.begin_all(outset, ([topic] for id_ in floors if (topic := catalog.by_id(id_))))

    @asynccontextmanager
    async def joined(
        self,
        tenant: str,
        frame: Subscribe,
        settings: SubscriptionSettings,
        made: dict[int, Beginning],
    ) -> AsyncIterator[tuple[Running, Beginning | None]]:
        """The durable subscription that it names as it runs, and where it begins if it is new. Attach a
        subscriber before you next wait. Has the turn of its name until the end of the block. `made`: where
        those begin that this `subscribe` has created, by id.

        Raises Conflict if its settings are others, NotFound if something is not there and not to be made,
        LimitReached, InvalidRequest, and OwnedElsewhere if another node has it.
        """
        owned, name = self._owned, frame.subscription or ""
        self._check_there(tenant, frame, name)
        # Nobody else has to wait for what the store says about the topic.
        await self._be_there(tenant, frame)
        async with owned.turns.taken((tenant, name)):
            self._check_there(tenant, frame, name)
            if owned.find(tenant, name) is None:
                established = await self._establish(tenant, frame, name, settings)
                if established is not None:
                    made[owned.get(tenant, name).subscription_id] = established
            record = owned.get(tenant, name)
            beginning = made.get(record.subscription_id)
            with nullcontext() if beginning is None else after_change():
                running = await owned.start(record, create=frame.create)
            yield running, beginning

    async def _be_there(self, tenant: str, frame: Subscribe) -> None:
        """The topic that it names exists then, or NotFound `topic_not_found` is raised."""
        if is_pattern(frame.topic):
            return
        if frame.create:
            await self._catalog.ensure(tenant, frame.topic)
        else:
            self._catalog.get(tenant, frame.topic)

    def _check_there(self, tenant: str, frame: Subscribe, name: str) -> None:
        """Raise Conflict if its settings are others, NotFound if it is neither there nor to be made,
        InvalidRequest if it may not be made."""
        record = self._owned.find(tenant, name)
        if record is not None:
            check_agreement(record, frame)
        elif frame.create:
            check_new_subscription(name)
        else:
            self._owned.get(tenant, name)

    async def _establish(
        self, tenant: str, frame: Subscribe, name: str, settings: SubscriptionSettings
    ) -> Beginning | None:
        """Create it; None if somebody else has just done so, and with the same settings."""
        try:
            return await self._owned.create(tenant, name, frame.topic, settings, frame.start)
        except Conflict:
            if self._owned.find(tenant, name) is None:
                raise
            self._check_there(tenant, frame, name)
            return None
