"""Calls whose connection goes while they run."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg
import pytest

from conduit.errors import OutcomeUnknown, StoreUnavailable
from conduit.storage.postgres.database import Database, within


async def end_own_session(connection: asyncpg.Connection) -> None:
    await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")


async def hang(connection: asyncpg.Connection) -> None:
    await connection.execute("SELECT pg_sleep(60)")


async def be_refused(connection: asyncpg.Connection) -> None:
    await connection.execute("BEGIN READ ONLY; CREATE TABLE t (n int)")


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    database = Database(url)
    await database.probe()
    await database.open_pools()
    try:
        yield database
    finally:
        await database.close()


async def test_a_call_whose_session_ends_finds_the_store_unavailable_and_the_next_one_works(
    database_url,
):
    async with opened(database_url) as database:
        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                await database.ask(end_own_session)
        assert await database.ask(lambda connection: connection.fetchval("SELECT 1")) == 1


async def test_nobody_knows_what_became_of_a_change_whose_connection_ended(database_url):
    async with opened(database_url) as database:
        with pytest.raises(OutcomeUnknown):
            await database.write(end_own_session)
        connection = await database.connect()
        with pytest.raises(OutcomeUnknown):
            await within(0.01, connection, hang(connection), changes=True)


async def test_a_change_that_was_refused_or_found_no_connection_was_not_made(database_url, cluster):
    async with opened(database_url) as database:
        with pytest.raises(StoreUnavailable, match="read-only"):
            await database.write(be_refused)
        cluster.stop()
        try:
            with pytest.raises(StoreUnavailable):
                await database.write(end_own_session)
        finally:
            cluster.start()


@pytest.mark.parametrize("turns", range(12))
async def test_a_connection_that_ends_as_it_is_given_back_costs_nobody_the_answer(
    database_url, turns
):
    def end(connection: asyncpg.Connection, count: int) -> None:
        # In one of these turns of the loop the pool has it back, and does not know yet that it has ended.
        if count:
            asyncio.get_running_loop().call_soon(end, connection, count - 1)
        else:
            with suppress(asyncpg.InterfaceError):
                connection.terminate()

    async def answered(connection: asyncpg.Connection) -> int:
        end(connection, turns)
        return 7

    async with opened(database_url) as database:
        assert await database.change(answered) == 7
