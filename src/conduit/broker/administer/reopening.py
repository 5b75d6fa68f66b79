"""Dead letters whose deliveries come again because their subscription was moved: they count as redriven."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

from conduit.broker.catalog import Catalog
from conduit.core.message import DeadPlace, Redriven, SubscriptionRecord
from conduit.storage.base import Store
from conduit.storage.dead_letters import DeadFilter

# Letters that are looked at, and marked, at a time.
PAGE_COUNT = 500
# A plan counts no further.
COUNTED_MAX_COUNT = 10_000


async def count_reopened(
    store: Store, catalog: Catalog, record: SubscriptionRecord, floors: Mapping[int, int]
) -> int:
    """How many `mark_reopened` would mark; COUNTED_MAX_COUNT may be more. Raises StoreUnavailable."""
    count = 0
    async for page in _open_letters(store, record):
        count += sum(_comes_again(catalog, floors, place) for place in page)
        if count >= COUNTED_MAX_COUNT:
            return COUNTED_MAX_COUNT
    return count


async def mark_reopened(
    store: Store,
    catalog: Catalog,
    record: SubscriptionRecord,
    floors: Mapping[int, int],
    at_ms: int,
) -> None:
    """Mark the dead letters of deliveries above these floors, by topic id: there the subscription was moved.
    What the log does not have any more does not come again: such a letter stays what it is.

    No death may be stored meanwhile. Raises StoreUnavailable.
    """
    async for page in _open_letters(store, record):
        marks = [
            Redriven(
                place.dead_id,
                at_ms,
                subscription=place.subscription,
                topic_id=place.topic_id,
                seq=place.seq,
            )
            for place in page
            if _comes_again(catalog, floors, place)
        ]
        if marks:
            await store.settle([], [], marks)


async def _open_letters(store: Store, record: SubscriptionRecord) -> AsyncIterator[list[DeadPlace]]:
    """Those that were not redriven, in pages; each may be marked before the next one is asked for."""
    which = DeadFilter(subscription=record.name, is_redriven=False)
    tally = await store.dead_tally(record.tenant, record.name)
    before_id, is_over = None, not tally.open_count
    while not is_over:
        page = await store.dead_places(record.tenant, which, limit=PAGE_COUNT, before_id=before_id)
        yield page
        before_id = page.reached_id
        is_over = before_id is None
        if not is_over:
            # A store in memory does not wait.
            await asyncio.sleep(0)


def _comes_again(catalog: Catalog, floors: Mapping[int, int], place: DeadPlace) -> bool:
    topic, floor = catalog.by_id(place.topic_id), floors.get(place.topic_id)
    if topic is None or floor is None or place.is_lost:
        return False
    return place.seq >= max(topic.first_seq, floor + 1)
