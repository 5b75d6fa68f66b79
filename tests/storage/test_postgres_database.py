"""Calls whose connection goes while they run."""

import asyncpg
import pytest

from conduit.errors import StoreUnavailable
from conduit.storage.postgres.database import Database


async def end_own_session(connection: asyncpg.Connection) -> None:
    await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")


async def test_a_call_whose_session_ends_finds_the_store_unavailable_and_the_next_one_works(
    database_url,
):
    database = Database(database_url)
    await database.probe()
    await database.open_pools()
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await database.ask(end_own_session)
    assert await database.ask(lambda connection: connection.fetchval("SELECT 1")) == 1
    await database.close()
