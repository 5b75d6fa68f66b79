"""What a killed process had sent, and the process that comes after it."""

import asyncio

import asyncpg
import pytest

from conduit.storage.postgres import PostgresStore, scope
from tests.storage.given import message, topic, topic_now
from tests.support.wait import DEADLINE_S

WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"
TOKENS = "SELECT token FROM conduit.writers"


@pytest.fixture
async def first(database_url):
    opened = PostgresStore(database_url)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def sql(database_url):
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def until_waiting(sql: asyncpg.Connection, count: int) -> None:
    """Until so many sessions wait for a lock."""
    async with asyncio.timeout(DEADLINE_S):
        while await sql.fetchval(WAITING) != count:  # noqa: ASYNC110 - the fact is in PostgreSQL
            await asyncio.sleep(0.01)


async def test_a_store_opens_when_an_append_of_another_that_runs_has_ended(
    first, sql, database_url
):
    record = await topic(first)
    held = sql.transaction()
    await held.start()
    await sql.execute(f"{scope.said(scope.ALL)}; SELECT FROM conduit.topics FOR UPDATE")
    second = PostgresStore(database_url)
    async with asyncio.TaskGroup() as group:
        appending = group.create_task(first.append([message(record.topic_id)]))
        await until_waiting(sql, 1)
        opening = group.create_task(second.open())
        await until_waiting(sql, 2)
        assert not opening.done()
        await held.rollback()
    assert appending.result() == [1]
    assert (await topic_now(second, record.topic_id)).last_seq == 1
    await second.close()


async def test_what_another_sent_before_and_arrives_later_finds_its_token_changed(
    first, sql, database_url
):
    record = await topic(first)
    await first.append([message(record.topic_id)])
    token = await sql.fetchval(TOKENS)
    second = PostgresStore(database_url)
    await second.open()
    assert await sql.fetchval(TOKENS) > token
    await second.close()


async def test_a_writer_that_is_alive_goes_on_after_another_store_has_opened(first, database_url):
    record = await topic(first)
    assert await first.append([message(record.topic_id)]) == [1]
    second = PostgresStore(database_url)
    await second.open()
    assert await first.append([message(record.topic_id)]) == [2]
    assert await second.append([message(record.topic_id)]) == [3]
    await second.close()
