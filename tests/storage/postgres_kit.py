"""What tests of the PostgreSQL store share."""

from __future__ import annotations

import itertools
from contextlib import asynccontextmanager, contextmanager

from conduit.storage.postgres import PostgresStore
from conduit.storage.postgres.segments import Rules

# A new segment whenever the store looks after them, and no mercy for the old ones.
EAGER = Rules(max_bytes=0, retired_for_s=0.0)

# How long an idempotency key is known.
WINDOW_S = 600.0


@asynccontextmanager
async def opened(*urls: str, **options):
    store = PostgresStore(*urls, **options)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def maintained(store: PostgresStore, limit: int = 1_000) -> int:
    """Have the segments looked after now; how many rows were removed."""
    store._home._maintained_at = float("-inf")
    return await store.purge(limit)


class Lost:
    """A connection that ends after the server has done what it was asked, and before it answers."""

    def __init__(self, connection, fetch) -> None:
        self._connection = connection
        self.fetch = fetch

    def __getattr__(self, name):
        return getattr(self._connection, name)


class Losses:
    """How many answers were lost."""

    count = 0


@contextmanager
def losing_answers(writer):
    """The answer to the first append is lost, and to every second one after it."""
    losses, connected, appends = Losses(), writer._connected, itertools.count()

    async def connected_badly():
        connection = await connected()

        async def fetch(statement, *values):
            rows = await connection.fetch(statement, *values)
            if "INSERT INTO" in statement and next(appends) % 2 == 0:
                losses.count += 1
                connection.terminate()
                raise ConnectionResetError
            return rows

        return Lost(connection, fetch)

    writer._connected = connected_badly
    try:
        yield losses
    finally:
        writer._connected = connected
