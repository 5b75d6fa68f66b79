"""What a proof leaves behind in PostgreSQL."""

import pytest

from conduit.broker.publish.proof import ROW_MAX_BYTES
from conduit.errors import StoreUnavailable
from conduit.storage.postgres import PostgresStore


@pytest.fixture
async def store(database_url):
    store = PostgresStore(database_url)
    await store.open()
    yield store
    await store.close()


async def test_a_proof_that_is_refused_leaves_a_short_line_in_the_log_of_the_server(store, cluster):
    other = await store._home.database.connect()
    try:
        await store.prove(16)
        transaction = other.transaction()
        await transaction.start()
        await other.execute("SELECT FROM conduit.facts WHERE name = 'proof' FOR UPDATE")
        before = len(cluster.log())
        with pytest.raises(StoreUnavailable):
            await store.prove(ROW_MAX_BYTES)
        assert len(cluster.log()) - before < 10_000
        await transaction.rollback()
    finally:
        other.terminate()
