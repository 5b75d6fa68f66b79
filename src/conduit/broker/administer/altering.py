"""Changing durable subscriptions: in the store, and then in memory.

Memory follows the store. When the answer of the store is lost, it is asked what it has; as long as it does
not tell, it is asked again. A subscription of which nobody knows where it is goes on as it is loaded anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial

from conduit.broker.administer.reopening import mark_reopened
from conduit.broker.catalog import Catalog
from conduit.broker.changes import Change, Changes, after_change
from conduit.broker.deliver.claiming import CLAIM_WAIT_MAX_S, when_free
from conduit.broker.deliver.engine import Engine
from conduit.broker.deliver.owned import Owned
from conduit.broker.waiting import Deadline
from conduit.core.message import SubscriptionRecord, SubscriptionSettings
from conduit.errors import MeantElsewhere, OutcomeUnknown, Unavailable
from conduit.storage.base import Store

# Until the store tells what became of a change, it is asked again after this.
LEARN_AGAIN_S = 1.0
# Topics that a running subscription moves in during one turn of the loop.
SEEK_STEP_COUNT = 200


class Altering:
    """Changes of subscriptions that exist, each in the turn of its name."""

    def __init__(self, store: Store, catalog: Catalog, owned: Owned, engine: Engine) -> None:
        self._store = store
        self._catalog = catalog
        self._owned = owned
        self._engine = engine
        self._changes = Changes(owned.turns)
        self._is_learning = False

    async def close(self) -> None:
        """Find out no more; the store is closed by now."""
        await self._changes.close()

    async def make(
        self,
        tenant: str,
        name: str,
        work: Callable[[Change, SubscriptionRecord], Awaitable[None]],
        pattern: str | None = None,
    ) -> SubscriptionRecord:
        """`work(change, record)`, with methods of this, when it is the subscription's turn. `pattern`: only
        if it is to these topics.

        Raises NotFound `subscription_not_found`, and as `Changes.make`: what takes too long goes on.
        """

        async def change_it(change: Change) -> SubscriptionRecord:
            record = self._owned.meant(tenant, name, pattern)
            await work(change, record)
            return record

        return await self._changes.make([(tenant, name)], change_it)

    async def delete(self, change: Change, record: SubscriptionRecord) -> None:
        """Forget it; its subscribers are told. Its dead letters stay. Raises as `_stored`."""
        running = self._owned.find_running(record)
        if running is not None:
            running.group.is_ending = True
        try:
            # While it is there: deaths of what is gone are not stored. What is settled meanwhile is confirmed
            # when it is known whether the deletion happened.
            async with self._stored(record):
                change.is_told = True
                await self._delete(record)
        finally:
            if running is not None:
                running.group.is_ending = False

    async def _delete(self, record: SubscriptionRecord) -> None:
        try:
            await self._store.subscription_delete(record.subscription_id)
        except OutcomeUnknown:
            await self._find_out()
            if self._owned.find(record.tenant, record.name) is record:
                raise
        else:
            self._owned.forget(record)

    async def configure(
        self,
        change: Change,
        record: SubscriptionRecord,
        asked: Callable[[SubscriptionRecord], tuple[SubscriptionSettings, bool]],
    ) -> None:
        """Use these settings, paused or not, from the next delivery on. `asked` makes them of what it has,
        which is read anew if another node may have changed it: all of it is stored."""
        if self._store.nodes is not None or self._store.server_count > 1:
            await self._owned.learn_of([record.subscription_id])
            self._owned.check_known(record)
        settings, paused = asked(record)
        change.is_told = True
        try:
            await self._store.subscription_update(record.subscription_id, settings, paused)
        except OutcomeUnknown:
            await self._find_out()
            if (record.settings, record.paused) != (settings, paused):
                raise
        else:
            self._owned.configure(record, settings, paused=paused)

    async def seek(
        self,
        change: Change,
        record: SubscriptionRecord,
        positions: Sequence[tuple[int, int]],
    ) -> None:
        """Begin anew after these (topic id, floor). Dead letters of what comes again count as redriven.
        Raises as `_stored`."""
        # What died before the seek is a letter by then, and what dies after it is none yet.
        async with self._stored(record) as fence:
            change.is_told = True
            try:
                await self._store.seek(record.subscription_id, positions, fence=fence)
            except OutcomeUnknown:
                self._owned.move_away(record, "the answer to its seek was lost")
                raise
            await self._move(record, positions)
            with after_change():
                at_ms, floors = self._engine.clock.wall_ms(), dict(positions)
                await mark_reopened(self._store, self._catalog, record, floors, at_ms)

    @asynccontextmanager
    async def _stored(self, record: SubscriptionRecord) -> AsyncIterator[int | None]:
        """In the block all that has died of it is stored as dead letters, also by a node that had it before,
        and nothing of it is being stored. Gives the fence with which this node has it; None if nobody has it
        here. Raises OwnedElsewhere if another node has it for CLAIM_WAIT_MAX_S, MeantElsewhere if one is to
        have it, and what the store raises: nothing was changed."""
        progress, running = self._engine.progress, self._owned.find_running(record)
        async with self._claimed(record) as claimed, progress.storing:
            await progress.flush_held()
            if self._has_owners and running is not None and running.group.was_moved:
                # It was given away meanwhile: the next owner may have deaths to store by now.
                raise MeantElsewhere(record.name)
            running = self._owned.find_running(record)
            yield claimed if running is None else running.group.fence

    @asynccontextmanager
    async def _claimed(self, record: SubscriptionRecord) -> AsyncIterator[int | None]:
        """Have it as the owner, unless it runs here, or there are no owners. Gives the fence."""
        if not self._has_owners or self._owned.find_running(record) is not None:
            yield None
            return
        ownership = self._owned.ownership
        claim = await when_free(partial(ownership.claim, record), Deadline(CLAIM_WAIT_MAX_S))
        try:
            yield claim.fence
        finally:
            ownership.give_up(record.subscription_id, claim.fence)

    @property
    def _has_owners(self) -> bool:
        """Whether other nodes leave to this one what is its own. Those without links do not."""
        title = self._owned.ownership.title
        return title.owner is not None and not title.takes_over

    async def _move(self, record: SubscriptionRecord, positions: Sequence[tuple[int, int]]) -> None:
        """As the store has it."""
        running = self._owned.find_running(record)
        if running is None:
            lag = self._engine.lags.by_id.get(record.subscription_id)
            # Others may have deleted it meanwhile.
            if lag is not None:
                lag.unknown()
            return
        for count, (topic_id, floor) in enumerate(positions, 1):
            topic = self._catalog.by_id(topic_id)
            if topic is not None and not running.is_over:
                running.seek(topic, floor)
            if count % SEEK_STEP_COUNT == 0:
                await asyncio.sleep(0)
        lag = self._engine.lags.by_id.get(record.subscription_id)
        if lag is not None:
            lag.jumped()

    # What became of a change ----------------------------------------------------------------------

    async def _find_out(self) -> None:
        """Have what the store has: now, or as soon as it tells."""
        try:
            await self._owned.learn()
        except Unavailable:
            if not self._is_learning:
                self._is_learning = True
                self._changes.later(self._learn_later())

    async def _learn_later(self) -> None:
        while self._is_learning:
            await asyncio.sleep(LEARN_AGAIN_S)
            with suppress(Unavailable):
                await self._owned.learn()
                self._is_learning = False
