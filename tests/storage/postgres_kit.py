"""What tests of the PostgreSQL store share."""

from __future__ import annotations

from contextlib import asynccontextmanager

from conduit.storage.postgres import PostgresStore
from conduit.storage.postgres.segments import Rules

# A new segment whenever the store looks after them, and no mercy for the old ones.
EAGER = Rules(max_bytes=0, retired_for_s=0.0)


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
