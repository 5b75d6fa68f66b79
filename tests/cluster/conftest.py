import asyncpg
import pytest

from conduit.storage.postgres import migrations


@pytest.fixture
async def url(cluster):
    """A database with our schema, and no node."""
    made = cluster.empty_database()
    connection = await asyncpg.connect(made)
    await migrations.migrate(connection, contract=True)
    await connection.close()
    return made
