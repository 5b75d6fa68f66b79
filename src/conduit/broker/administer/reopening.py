"""Dead letters whose deliveries come again because their subscription was moved: they count as redriven."""

from __future__ import annotations

import asyncio

from conduit.broker.catalog import Catalog
from conduit.core.message import DeadPlace, Redriven, SubscriptionRecord
from conduit.core.topics import matches
from conduit.storage.base import Store
from conduit.storage.dead_letters import DeadFilter

# Letters that are looked at, and marked, at a time.
PAGE_COUNT = 300


async def mark_reopened(
    store: Store, catalog: Catalog, record: SubscriptionRecord, at_ms: int
) -> None:
    """Mark the dead letters of deliveries that are before the subscription again, as it is stored now. What
    the log does not have any more does not come again: such a letter stays what it is.

    Nothing of it may be stored meanwhile. Raises StoreUnavailable.
    """
    which = DeadFilter(subscription=record.name, is_redriven=False)
    tally = await store.dead_tally(record.tenant, record.name)
    before_id, is_over = None, not tally.open_count
    while not is_over:
        page = await store.dead_places(record.tenant, which, limit=PAGE_COUNT, before_id=before_id)
        reopened = await _reopened(store, catalog, record, page)
        if reopened:
            await store.settle([], [], [_mark(place, at_ms) for place in reopened])
        is_over = len(page) < PAGE_COUNT
        if not is_over:
            before_id = page[-1].dead_id
            # A store in memory does not wait.
            await asyncio.sleep(0)


async def _reopened(
    store: Store, catalog: Catalog, record: SubscriptionRecord, page: list[DeadPlace]
) -> list[DeadPlace]:
    topics = {
        topic_id: topic
        for topic_id in {place.topic_id for place in page if not place.is_lost}
        if (topic := catalog.by_id(topic_id)) is not None and matches(record.pattern, topic.name)
    }
    if not topics:
        return []
    rows = await store.progress(record.subscription_id, list(topics))
    floors = {row.topic_id: row.floor for row in rows}
    return [
        place
        for place in page
        if (topic := topics.get(place.topic_id)) is not None
        and place.seq >= max(topic.first_seq, floors.get(place.topic_id, 0) + 1)
    ]


def _mark(place: DeadPlace, at_ms: int) -> Redriven:
    return Redriven(
        place.dead_id,
        at_ms,
        subscription=place.subscription,
        topic_id=place.topic_id,
        seq=place.seq,
    )
