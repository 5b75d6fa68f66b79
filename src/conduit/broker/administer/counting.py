"""Counts what durable subscriptions lack, where that is not kept up by what happens (deliver/lags.py): once
after the start, and again where retention may have removed what a subscription has not seen.

In the background, some with one question to the store, with pauses that grow with what a count takes.

Where several nodes share the log each counts the subscriptions that the ring gives to it, and those that run
there. So all nodes together count each once, and the sum is what there is. What another node has is not
known here: here nobody hears what is settled there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from conduit.broker.catalog import Catalog
from conduit.broker.changes import Changes
from conduit.broker.deliver.lags import Lag, Lags
from conduit.broker.deliver.owned import Owned
from conduit.broker.deliver.stored import open_in
from conduit.core.message import Progress, SubscriptionRecord
from conduit.core.ring import Ring, subscription_key
from conduit.errors import Unavailable
from conduit.storage.base import Settled, Store

# Lags that are looked at in one turn of the loop.
LOOK_STEP_COUNT = 1_000
# Subscriptions that the store is asked for at once, and how many topics they may have together, unless it is
# one alone: what one question reads is bounded.
ASKED_MAX_COUNT = 100
ASKED_TOPICS_MAX_COUNT = 5_000
# After a count so many times as long as it took; more for one that was counted before.
FIRST_PAUSE_FACTOR = 1
PAUSE_FACTOR = 9


class _Asked(NamedTuple):
    """What was known of a subscription before the store was asked for it."""

    record: SubscriptionRecord
    lag: Lag
    trims: int
    """Of its coverage."""
    removed: int
    changes: int


class _Batch:
    """Subscriptions that are counted with one question."""

    def __init__(self) -> None:
        self.some: list[tuple[SubscriptionRecord, Lag]] = []
        self._topics_count = 0

    def has_room(self, lag: Lag) -> bool:
        """Whether this one may come to it; its coverage is counted."""
        topics_count = self._topics_count + lag.coverage.topic_count
        is_small = len(self.some) < ASKED_MAX_COUNT and topics_count <= ASKED_TOPICS_MAX_COUNT
        return not self.some or is_small

    def add(self, record: SubscriptionRecord, lag: Lag) -> None:
        """Take it in."""
        self.some.append((record, lag))
        self._topics_count += lag.coverage.topic_count


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
        batch = _Batch()
        for number, record in enumerate(self._owned.everything(), 1):
            lag = self._lags.by_id.get(record.subscription_id)
            if lag is not None and not self._is_here(record, lag):
                if lag.is_known:
                    lag.unknown()
            elif lag is not None and lag.is_stale:
                await self._cover(record, lag)
                if not batch.has_room(lag):
                    await self._count_and_rest(batch)
                    batch = _Batch()
                batch.add(record, lag)
            if number % LOOK_STEP_COUNT == 0:
                await asyncio.sleep(0)
        if batch.some:
            await self._count_and_rest(batch)

    async def _count_and_rest(self, batch: _Batch) -> None:
        loop = asyncio.get_running_loop()
        began, has_new = loop.time(), any(not lag.is_known for _, lag in batch.some)
        await self._count(batch.some)
        factor = FIRST_PAUSE_FACTOR if has_new else PAUSE_FACTOR
        await asyncio.sleep((loop.time() - began) * factor)

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
        now. Raises NotFound `subscription_not_found` if it is gone, StoreUnavailable."""
        self._owned.check_known(record)
        lag = self._lags.by_id[record.subscription_id]
        if not self._is_here(record, lag):
            return await self._look(record, lag)
        if not lag.is_known:
            await self._count([(record, lag)])
        if not lag.is_known:
            # It is about to run, or has changed meanwhile.
            return await self._look(record, lag)
        return lag

    async def _cover(self, record: SubscriptionRecord, lag: Lag) -> None:
        walk = self._catalog.walk(record.tenant, record.pattern)
        await self._lags.cover(lag.coverage, walk)

    async def _look(self, record: SubscriptionRecord, lag: Lag) -> Lag:
        """The same as it is now, kept nowhere."""
        await self._cover(record, lag)
        removed = lag.coverage.removed
        (settled,) = (await self._store.settled([record.subscription_id])).values()
        found = Lag(self._lags, lag.coverage)
        found.taken = removed + settled.passed_count
        found.open_count = sum(map(self._open_count, settled.open))
        return found

    async def _count(self, some: Sequence[tuple[SubscriptionRecord, Lag]]) -> None:
        """Count these, unless somebody else does meanwhile."""
        async with self._lock:
            for record, lag in some:
                await self._cover(record, lag)
            every = [self._asked(record, lag) for record, lag in some]
            asked = {one.record.subscription_id: one for one in every if one is not None}
            found = await self._store.settled([*asked]) if asked else {}
            for subscription_id, settled in found.items():
                if settled.open:
                    # It may be much to read.
                    await asyncio.sleep(0)
                self._learn(asked[subscription_id], settled)

    def _asked(self, record: SubscriptionRecord, lag: Lag) -> _Asked | None:
        """What is known of it now, if the store has to be asked for it."""
        if not lag.is_stale:
            # Somebody else has counted it meanwhile.
            return None
        running = self._owned.find_running(record)
        if running is not None:
            # It knows by itself, once it has looked at all its topics.
            running.look_again()
            return None
        # Not after the answer: what retention has removed meanwhile may be in it, or not. So it may count as
        # lacking, which is counted again, and never as taken twice.
        lag.rests()
        coverage = lag.coverage
        return _Asked(record, lag, coverage.trims, coverage.removed, lag.changes)

    def _learn(self, asked: _Asked, settled: Settled) -> None:
        record, lag, trims, removed, changes = asked
        # Meanwhile it may have been deleted, or loaded, and unloaded again.
        is_there = self._lags.by_id.get(record.subscription_id) is lag
        if is_there and lag.changes == changes and self._owned.find_running(record) is None:
            open_count = sum(map(self._open_count, settled.open))
            lag.know(removed + settled.passed_count, open_count, trims)

    def _open_count(self, row: Progress) -> int:
        topic = self._catalog.by_id(row.topic_id)
        return 0 if topic is None else open_in(row, topic.first_seq)
