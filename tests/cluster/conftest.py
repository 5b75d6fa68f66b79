from collections.abc import AsyncIterator

import asyncpg
import pytest

from conduit.storage.postgres import migrations
from tests.broker.stores import SharedStore
from tests.cluster.company import Scene, a_scene


@pytest.fixture
async def url(cluster):
    """A database with our schema, and no node."""
    made = cluster.empty_database()
    connection = await asyncpg.connect(made)
    await migrations.migrate(connection, contract=True)
    await connection.close()
    return made


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with a_scene(SharedStore()) as scene:
        yield scene
