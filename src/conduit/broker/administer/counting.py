"""Counts what durable subscriptions lack, where that is not kept up by what happens (deliver/lags.py): once
after the start, and again where retention may have removed what a subscription has not seen.

In the background, one after the other, with pauses that grow with what a count takes.

Where several nodes share the log each counts the subscriptions that the ring gives to it, and those that run
there. So all nodes together count each once, and the sum is what there is. What another node has is not
known here: here nobody hears what is settled there.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from conduit.broker.catalog import Catalog
from conduit.broker.changes import Changes
from conduit.broker.deliver.lags import Lag, Lags
from conduit.broker.deliver.owned import Owned
from conduit.broker.deliver.stored import open_in
from conduit.core.message import Progress, SubscriptionRecord
from conduit.core.ring import Ring, subscription_key
from conduit.errors import Unavailable
from conduit.storage.base import Store

# Lags that are looked at in one turn of the loop.
LOOK_STEP_COUNT = 1_000
# After a count so many times as long as it took; more for one that was counted before.
FIRST_PAUSE_FACTOR = 1
PAUSE_FACTOR = 9


class Counting:
    """Brings lags up to date."""

    def __init__(self, store: Store, catalog: Catalog, owned: Owned, lags: Lags) -> None:
        self._store = store
        self._catalog = catalog
        self._owned = owned
        self._lags = lags
        # One at a time.
        self._lock = asyncio.Lock()
        self._is_counting = False
        self._changes = Changes()
        self._ring: Ring | None = None
        self._own_name = ""

    def share(self, ring: Ring, own_name: str) -> None:
        """From now on these nodes share the subscriptions, this one, which is called so, among them. Takes
        effect with the next round."""
        self._ring, self._own_name = ring, own_name

    def tick(self) -> None:
        """Begin a round, unless one is under way. Call it about once a second."""
        if not self._is_counting:
            self._is_counting = True
            self._changes.later(self._go_round())

    async def close(self) -> None:
        """End the round that is under way."""
        await self._changes.close()

    async def _go_round(self) -> None:
        try:
            with suppress(Unavailable):
                await self.round()
        finally:
            self._is_counting = False

    async def round(self) -> None:
        """Count what has to be counted. Raises StoreUnavailable."""
        loop = asyncio.get_running_loop()
        for number, record in enumerate(self._owned.everything(), 1):
            lag = self._lags.by_id.get(record.subscription_id)
            if lag is not None and not self._is_here(record, lag):
                if lag.is_known:
                    lag.unknown()
            elif lag is not None and lag.is_stale:
                began, is_first = loop.time(), not lag.is_known
                await self._count(record, lag)
                factor = FIRST_PAUSE_FACTOR if is_first else PAUSE_FACTOR
                await asyncio.sleep((loop.time() - began) * factor)
            if number % LOOK_STEP_COUNT == 0:
                await asyncio.sleep(0)

    def _is_here(self, record: SubscriptionRecord, lag: Lag) -> bool:
        """Whether it is this node's to count."""
        ring = self._ring
        if ring is None:
            return True
        if lag.ring is not ring:
            # Asked once for each ring: a round looks at all subscriptions every second.
            owner = ring.owner(subscription_key(record.tenant, record.name))
            lag.ring, lag.is_here = ring, owner in (None, self._own_name)
        return lag.is_here or self._owned.find_running(record) is not None

    async def known(self, record: SubscriptionRecord) -> Lag:
        """What the subscription lacks, counted if it never was; of another node's it is what the store has
        now. Raises StoreUnavailable."""
        lag = self._lags.by_id[record.subscription_id]
        if not self._is_here(record, lag):
            return await self._look(record, lag)
        if not lag.is_known:
            await self._count(record, lag)
        return lag

    async def _look(self, record: SubscriptionRecord, lag: Lag) -> Lag:
        """The same as it is now, kept nowhere."""
        walk = self._catalog.walk(record.tenant, record.pattern)
        await self._lags.cover(lag.coverage, walk)
        removed = lag.coverage.removed
        settled = await self._store.settled(record.subscription_id)
        found = Lag(self._lags, lag.coverage)
        found.taken = removed + settled.passed_count
        found.open_count = sum(map(self._open_count, settled.open))
        return found

    async def _count(self, record: SubscriptionRecord, lag: Lag) -> None:
        async with self._lock:
            if not lag.is_stale:
                # Somebody else has counted it meanwhile.
                return
            walk = self._catalog.walk(record.tenant, record.pattern)
            await self._lags.cover(lag.coverage, walk)
            running = self._owned.find_running(record)
            if running is not None:
                # It knows by itself, once it has looked at all its topics.
                running.look_again()
                return
            trims, changes = lag.coverage.trims, lag.changes
            # Not after the answer: what retention has removed meanwhile may be in it, or not. So it may count
            # as lacking, which is counted again, and never as taken twice.
            removed = lag.coverage.removed
            settled = await self._store.settled(record.subscription_id)
            # Meanwhile it may have been deleted, or loaded, and unloaded again.
            is_there = self._lags.by_id.get(record.subscription_id) is lag
            if is_there and lag.changes == changes and self._owned.find_running(record) is None:
                open_count = sum(map(self._open_count, settled.open))
                taken = removed + settled.passed_count
                lag.know(taken, open_count, trims)

    def _open_count(self, row: Progress) -> int:
        topic = self._catalog.by_id(row.topic_id)
        return 0 if topic is None else open_in(row, topic.first_seq)
