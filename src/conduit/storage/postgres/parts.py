"""Answers of very many rows, read in parts: what is done with one keeps the loop for milliseconds only."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from conduit.storage.postgres import scope

if TYPE_CHECKING:
    import asyncpg

    from conduit.storage.postgres.database import Connection

PART_COUNT = 2_000


async def in_parts(
    connection: Connection, tenant: str, query: str, *values: object
) -> AsyncGenerator[list[asyncpg.Record], None]:
    """The rows of one statement, all of one state of the database, some at a time; `tenant` as scope.py has
    it. Who does not read them all has to close it."""
    async with connection.transaction():
        await connection.execute(scope.said(tenant))
        cursor = await connection.cursor(query, *values)
        while rows := await cursor.fetch(PART_COUNT):
            yield rows
