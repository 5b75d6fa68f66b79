"""Changes of which nobody knows what became, and those that come after them."""

import asyncio

import asyncpg
import pytest

from conduit.core.message import Progress, SubscriptionSettings
from conduit.errors import StoreUnavailable
from conduit.storage.postgres import PostgresStore, scope, subscriptions
from conduit.storage.postgres.lane import Overtaken, check
from tests.storage import given
from tests.storage.postgres_kit import opened
from tests.support.wait import DEADLINE_S

WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"


@pytest.fixture
async def store(database_url):
    async with opened(database_url) as store:
        yield store


@pytest.fixture
async def sql(database_url):
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture
async def place(store):
    """A subscription and a topic with five messages, of which three are settled."""
    topic = await given.topic(store)
    await given.messages(store, topic.topic_id, 5)
    created = await given.subscription(store)
    await store.settle([Progress(created.subscription_id, topic.topic_id, 3, 3)], [])
    return created.subscription_id, topic.topic_id


async def unanswered(store: PostgresStore):
    """The ticket of a change whose answer was lost."""
    tickets = []

    async def lost(ticket):
        tickets.append(ticket)
        raise StoreUnavailable("the connection broke")

    with pytest.raises(StoreUnavailable):
        await store._home.lane.run(lost)
    return tickets[0]


async def until_waiting(sql: asyncpg.Connection) -> None:
    """Until a session waits for a lock."""
    async with asyncio.timeout(DEADLINE_S):
        while not await sql.fetchval(WAITING):  # noqa: ASYNC110 - the fact is in PostgreSQL
            await asyncio.sleep(0.01)


async def test_a_settle_without_an_answer_that_comes_after_a_seek_changes_nothing(
    store, sql, place
):
    ticket = await unanswered(store)
    await store.seek(place[0], [(place[1], 1)])
    with pytest.raises(Overtaken):
        await subscriptions.put(sql, [Progress(*place, 5, 5, pages={1: b"late"})], ticket)
    assert await store.progress(place[0]) == [Progress(*place, 1, 1)]


async def test_a_seek_waits_for_a_settle_without_an_answer_that_still_runs(store, sql, place):
    ticket = await unanswered(store)
    running = sql.transaction()
    await running.start()
    await subscriptions.put(sql, [Progress(*place, 5, 5)], ticket)
    seeking = asyncio.get_running_loop().create_task(store.seek(place[0], [(place[1], 1)]))
    await until_waiting(sql)
    assert not seeking.done()
    await running.commit()
    await seeking
    assert await store.progress(place[0]) == [Progress(*place, 1, 1)]


async def test_an_older_settle_without_an_answer_does_not_undo_a_newer_one(store, sql, place):
    ticket = await unanswered(store)
    assert await store.settle([Progress(*place, 5, 5)], []) == set()
    with pytest.raises(Overtaken):
        await subscriptions.put(sql, [Progress(*place, 4, 4)], ticket)
    assert await given.floors(store, place[0]) == {place[1]: 5}


async def test_who_asks_after_a_change_without_an_answer_hears_what_became_of_it(store, sql, place):
    ticket = await unanswered(store)
    running = sql.transaction()
    await running.start()
    await sql.execute(scope.said(scope.ALL))
    await check(sql, ticket)
    await subscriptions.update(sql, place[0], SubscriptionSettings(), True)
    asking = asyncio.get_running_loop().create_task(store.subscriptions())
    await until_waiting(sql)
    await running.commit()
    assert [record.paused for record in await asking] == [True]
    with pytest.raises(Overtaken):
        await check(sql, ticket)


@pytest.mark.parametrize("how", ["overtaken", "removed"])
async def test_changes_go_on_when_their_token_was_taken_further_or_removed(store, sql, place, how):
    if how == "removed":
        await sql.execute("DELETE FROM conduit.writers")
    else:
        await sql.execute("UPDATE conduit.writers SET token = token + 1")
    await store.settle([Progress(*place, 4, 4)], [])
    assert await given.floors(store, place[0]) == {place[1]: 4}
    await sql.execute("DELETE FROM conduit.writers")
    await store.seek(place[0], [(place[1], 2)])
    death = given.death(place[1], 4, "d4", subscription="billing", subscription_id=place[0])
    await sql.execute("DELETE FROM conduit.writers")
    await store.settle([Progress(*place, 5, 5)], [death])
    assert await given.floors(store, place[0]) == {place[1]: 5}
    assert await store.dead_of("billing", place[1], 4) is not None
