"""What tests put into a store, in one line each."""

from __future__ import annotations

import uuid_utils

from conduit.core.message import (
    Death,
    Message,
    NewMessage,
    Progress,
    Retention,
    SubscriptionRecord,
    SubscriptionSettings,
    TopicRecord,
)
from conduit.storage.base import Start, Store
from conduit.storage.dead_letters import DEAD, REDRIVEN, DeadFilter
from conduit.storage.memory import MemoryStore
from conduit.storage.sqlite import SqliteStore
from conduit.storage.sqlite.bulk import rows

NOW_MS = 1_763_000_000_000
TENANT = "default"
KEEP_ALL = Retention()


async def topic(store: Store, name: str = "orders", tenant: str = TENANT) -> TopicRecord:
    return await store.topic_create(tenant, name, KEEP_ALL, NOW_MS)


async def topic_now(store: Store, topic_id: int) -> TopicRecord:
    """The topic as the store has it now."""
    return next(record for record in await store.topics() if record.topic_id == topic_id)


def message(topic_id: int, payload: bytes = b"{}", at_ms: int = NOW_MS, **more) -> NewMessage:
    return NewMessage(topic_id, str(uuid_utils.uuid7()), payload, published_at_ms=at_ms, **more)


async def messages(store: Store, topic_id: int, count: int, *, first_ms: int = NOW_MS) -> list[str]:
    """Append `count` messages one millisecond apart; their ids."""
    batch = [message(topic_id, b"%d" % n, first_ms + n) for n in range(count)]
    await store.append(batch)
    return [new.message_id for new in batch]


async def subscription(
    store: Store, name: str = "billing", pattern: str = "orders", *, tenant: str = TENANT, **start
) -> SubscriptionRecord:
    return await store.subscription_create(
        tenant, name, pattern, SubscriptionSettings(), Start(**start), NOW_MS
    )


def death(topic_id: int, seq: int, dead_id: str, **more) -> Death:
    values = {
        "tenant": TENANT,
        "subscription": "",
        "attempts": 5,
        "reason": "ack_timeout",
        "died_at_ms": NOW_MS,
    }
    return Death(dead_id=dead_id, topic_id=topic_id, seq=seq, **{**values, **more})


def stored(new: NewMessage, seq: int) -> Message:
    """The message that `new` becomes under this number."""
    return Message(new.message_id, seq, new.published_at_ms, new.payload, new.key, new.headers)


async def floors(store: Store, subscription_id: int) -> dict[int, int]:
    """topic id → floor, of the topics that have progress."""
    return {row.topic_id: row.floor for row in await store.progress(subscription_id)}


async def recorded_count(store: Store) -> int:
    """How many rows of progress it has: of one subscription and topic each."""
    if isinstance(store, MemoryStore):
        return sum(len(recorded) for recorded in store._subscriptions._progress.values())
    if isinstance(store, SqliteStore):
        ((count,),) = await store._db.readers.call(rows, "SELECT count(*) FROM progress")
        return count
    database = store._home.database
    return await database.ask(lambda c: c.fetchval("SELECT count(*) FROM conduit.progress"))


async def listed(
    store: Store, tenant: str = TENANT, limit: int = 100, before_id: str | None = None, **which
) -> list[str]:
    """The ids of dead letters, newest first."""
    found = await store.dead_list(tenant, DeadFilter(**which), limit=limit, before_id=before_id)
    return [letter.dead_id for letter in found]


def by_topic(row: Progress) -> int:
    """For sorting."""
    return row.topic_id


def paged(place: tuple[int, int], pages: dict[int, bytes], fence: int | None = None) -> Progress:
    """Progress with nothing but these pages."""
    return Progress(*place, 1, 9, b"open", fence, pages)


async def letters_count(store: Store, tenant: str, which: DeadFilter) -> int:
    """How many dead letters match."""
    count, before_id, is_over = 0, None, False
    while not is_over:
        page = await store.dead_places(tenant, which, limit=1_000, before_id=before_id)
        count, before_id = count + len(page), page.reached_id
        is_over = before_id is None
    return count


async def fate(store, subscription, topic_id, seq):
    """What became of the dead letter of a delivery that has none any more."""
    found = (await store.dead_fates(topic_id, seq, [subscription])).get(subscription)
    return None if found is None or found.name in (DEAD, REDRIVEN) else found.name
