"""Each process that shares a log is told which topics and subscriptions were changed, and misses none."""

import asyncio

import asyncpg
import pytest

from conduit.core.message import Retention, SubscriptionSettings
from conduit.storage import base
from conduit.storage.postgres import changes
from tests.storage import given
from tests.storage.postgres_kit import maintained, opened

pytestmark = pytest.mark.process


@pytest.fixture
async def store(database_url):
    async with opened(database_url) as store:
        yield store


@pytest.fixture
async def sql(store, database_url):
    connection = await asyncpg.connect(database_url)
    await connection.execute("SET conduit.tenant = '*'")
    yield connection
    await connection.close()


class Reader:
    """Somebody who follows."""

    def __init__(self, store) -> None:
        self.store = store
        self.position = None

    async def told(self) -> tuple[list[int], list[int]]:
        found = await self.store.changes(self.position)
        assert found.is_all == (self.position is None)
        self.position = found.position
        return sorted(found.topic_ids), sorted(found.subscription_ids)


@pytest.fixture
async def reader(store):
    reader = Reader(store)
    assert await reader.told() == ([], [])
    return reader


async def test_what_is_made_changed_and_deleted_is_told_once(store, reader):
    topic = await given.topic(store)
    assert await reader.told() == ([topic.topic_id], [])
    assert await reader.told() == ([], [])
    made = await store.topics_create("default", ["a", "b"], Retention(), 0)
    subscription = await given.subscription(store)
    told = ([record.topic_id for record in made], [subscription.subscription_id])
    assert await reader.told() == told
    for change in (
        store.topic_update(topic.topic_id, Retention(max_messages=3)),
        store.topic_delete(topic.topic_id, [subscription.subscription_id], 0),
    ):
        await change
        assert await reader.told() == ([topic.topic_id], [])
    for change in (
        store.subscription_update(subscription.subscription_id, SubscriptionSettings(), True),
        store.subscription_delete(subscription.subscription_id),
    ):
        await change
        assert await reader.told() == ([], [subscription.subscription_id])


async def test_what_is_published_claimed_and_trimmed_is_no_change(store, reader):
    topic, subscription = await given.topic(store), await given.subscription(store)
    await reader.told()
    await given.messages(store, topic.topic_id, 5)
    await store.subscription_claim(subscription.subscription_id)
    await store.trim(topic.topic_id, base.Rule(Retention(max_messages=1), 0), 10)
    assert await reader.told() == ([], [])


async def test_a_transaction_that_ends_late_is_told_then_whatever_came_before(store, reader, sql):
    first = await given.topic(store, "first")
    await reader.told()
    late = sql.transaction()
    await late.start()
    await sql.execute("UPDATE conduit.topics SET max_messages = 7")
    # Others begin and end after that.
    others = []
    for n in range(3):
        others.append((await given.topic(store, f"t{n}")).topic_id)
        assert await reader.told() == ([others[-1]], [])
    await late.commit()
    assert await reader.told() == ([first.topic_id], [])
    assert await reader.told() == ([], [])


async def test_a_transaction_of_somebody_else_that_stays_open_holds_nothing_up(store, reader, sql):
    await sql.execute("CREATE TABLE conduit.foreign_rows (n integer)")
    foreign = sql.transaction()
    await foreign.start()
    await sql.execute("INSERT INTO conduit.foreign_rows VALUES (1)")
    for n in range(3):
        topic = await given.topic(store, f"t{n}")
        assert await reader.told() == ([topic.topic_id], [])
    await foreign.rollback()
    assert await reader.told() == ([], [])


async def test_a_change_that_is_undone_is_not_told(reader, sql, store):
    await given.topic(store)
    await reader.told()
    undone = sql.transaction()
    await undone.start()
    await sql.execute("UPDATE conduit.topics SET max_messages = 7")
    await undone.rollback()
    assert await reader.told() == ([], [])


async def test_nothing_is_missed_by_many_who_change_at_once(store, reader):
    told: set[int] = set()

    async def make(n: int) -> int:
        return (await given.topic(store, f"t{n}")).topic_id

    making = asyncio.gather(*(make(n) for n in range(100)))
    while not making.done():
        told |= set((await reader.told())[0])
    told |= set((await reader.told())[0])
    assert told == set(await making)


async def test_who_has_missed_too_many_is_told_to_read_everything(store, reader, monkeypatch):
    monkeypatch.setattr(changes, "CHANGES_MAX_COUNT", 3)
    await store.topics_create("default", [f"t{n}" for n in range(3)], Retention(), 0)
    assert len((await reader.told())[0]) == 3
    await store.topics_create("default", [f"u{n}" for n in range(4)], Retention(), 0)
    found = await store.changes(reader.position)
    assert found.is_all
    assert not (await store.changes(found.position)).is_all


async def test_old_changes_go_and_who_was_away_for_so_long_reads_everything(store, reader, sql):
    away = Reader(store)
    await away.told()
    await given.topic(store)
    await reader.told()
    await sql.execute("UPDATE conduit.changes SET made_at = now() - interval '61 minutes'")
    assert await maintained(store) == 1
    assert await sql.fetchval("SELECT count(*) FROM conduit.changes") == 0
    assert await reader.told() == ([], [])
    assert (await store.changes(away.position)).is_all
    # Again, and with nothing old.
    assert await maintained(store) == 0
    topic = await given.topic(store, "new")
    assert await reader.told() == ([topic.topic_id], [])


async def test_a_snapshot_of_another_database_is_noticed(store):
    assert (await store.changes("9999999:9999999:")).is_all


async def test_several_databases_are_followed_together(database_url, second_database_url):
    urls = database_url, second_database_url
    async with opened(*urls) as ours, opened(*urls) as theirs:
        reader = Reader(ours)
        await reader.told()
        made = [await given.topic(theirs, f"t{n}") for n in range(8)]
        ids = sorted(record.topic_id for record in made)
        assert len({id_ % 64 for id_ in ids}) == 2
        assert await reader.told() == (ids, [])
        assert {record.topic_id for record in await ours.topics_of(ids)} == set(ids)
        for record in made:
            await theirs.topic_update(record.topic_id, Retention(max_messages=2))
        assert await reader.told() == (ids, [])
        for record in made:
            await theirs.topic_delete(record.topic_id)
        assert await reader.told() == (ids, [])
        assert await ours.topics_of(ids) == []
