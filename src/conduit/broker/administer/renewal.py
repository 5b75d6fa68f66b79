"""New epochs for a log that is a copy: what was given since the copy was made is not in it, and its numbers
will be given again. Whoever holds a position is told, and durable subscriptions have a gap in each of their
topics.
"""

from __future__ import annotations

import logging
import secrets
from itertools import islice

import msgspec

from conduit.core.message import SubscriptionRecord, TopicRecord
from conduit.core.topics import TopicIndex
from conduit.names import named
from conduit.storage.base import FORMER_MAX_COUNT, Former, Store

logger = logging.getLogger(__name__)


class Renewed(msgspec.Struct, frozen=True):
    """What was done."""

    topic_count: int
    subscription_count: int
    """Durable ones that are told."""


async def renew(store: Store, now_ms: int) -> Renewed:
    """Give all topics new epochs. Nobody may use the store meanwhile. If it fails, or the process ends, it
    is to be done again, which does no harm. Raises StoreUnavailable."""
    topics = await store.topics()
    indexes: dict[str, TopicIndex[TopicRecord]] = {}
    for topic in topics:
        indexes.setdefault(topic.tenant, TopicIndex()).add(topic.name, topic)
    told_count = 0
    for record in await store.subscriptions():
        if record.tenant in indexes:
            told_count += await _tell(store, record, indexes[record.tenant], now_ms)
    await store.renew({topic.topic_id: secrets.token_hex(8) for topic in topics})
    return Renewed(len(topics), told_count)


async def renew_if_copied(store: Store, now_ms: int) -> None:
    """At start: give new epochs if the store is taken for a copy, and say so."""
    why = store.copied
    if why is None:
        return
    renewed = await renew(store, now_ms)
    logger.warning(
        "the database is taken for a restored copy: %s. What was stored after the copy was made is not in "
        "it. Topics that have new epochs: %d; told by a gap (epoch_changed): %d durable subscriptions, and "
        "clients that resume. That is done and stays so. Next time, if a database was only moved and lacks "
        "nothing, run `conduit store trust` before the server starts: epochs stay then",
        why,
        renewed.topic_count,
        renewed.subscription_count,
    )


async def _tell(
    store: Store, record: SubscriptionRecord, index: TopicIndex[TopicRecord], now_ms: int
) -> bool:
    """Have the subscription told of its topics; whether it has any."""
    # It is all of the numbering that may be others: which messages it had is not known.
    topics = list(islice(index.match(record.pattern), FORMER_MAX_COUNT + 1))
    if len(topics) > FORMER_MAX_COUNT:
        name = named(record.name, record.tenant)
        logger.warning("subscription %s is told of %d topics only", name, FORMER_MAX_COUNT)
    progress = await store.progress(record.subscription_id)
    floors = {row.topic_id: row.floor for row in progress}
    gaps = [
        Former(topic.name, topic.epoch, floors.get(topic.topic_id, 0), None)
        for topic in topics[:FORMER_MAX_COUNT]
    ]
    if gaps:
        await store.former_add(record.subscription_id, gaps, now_ms)
    return bool(gaps)
