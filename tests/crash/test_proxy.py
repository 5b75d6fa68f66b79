"""The proxy hits an append and nothing else, and what becomes of the append is what was asked."""

import asyncio

import asyncpg
import pytest

from tests.crash.proxy import Proxy
from tests.support.postgres import USER, Cluster
from tests.support.wait import DEADLINE_S

# Two rows, so that its answer has more than the one that an append always has.
APPEND = "UPDATE conduit.writers SET last_batch = last_batch + 1 RETURNING 1"
FENCE = "UPDATE conduit.writers SET token = token + 1"
BATCHES = "SELECT max(last_batch) FROM conduit.writers"
TABLE = """
CREATE SCHEMA conduit;
CREATE TABLE conduit.writers AS SELECT 0 AS last_batch, 0 AS token FROM generate_series(1, 2);
"""


@pytest.fixture(scope="module")
def cluster():
    made = Cluster()
    made.start()
    made.create_database()
    made.sql(f"SET ROLE {USER}; {TABLE}")
    yield made
    made.remove()


@pytest.fixture
async def proxy(cluster):
    cluster.sql("UPDATE conduit.writers SET last_batch = 0")
    started = Proxy(cluster.port)
    await started.start()
    yield started
    await started.close()


async def connected(cluster: Cluster, proxy: Proxy) -> asyncpg.Connection:
    return await asyncpg.connect(cluster.url().replace(str(cluster.port), str(proxy.port)))


async def test_only_an_append_is_hit(cluster, proxy):
    client = await connected(cluster, proxy)
    hit = asyncio.get_running_loop().create_task(proxy.reset("dropped"))
    await asyncio.sleep(0)
    assert await client.fetchval(BATCHES) == 0
    assert proxy.hits.total() == 0
    with pytest.raises(asyncpg.ConnectionDoesNotExistError):
        await client.fetch(APPEND)
    await hit
    assert proxy.hits == {"dropped": 1}
    assert proxy.stored.total() == 0
    assert cluster.sql(BATCHES) == "0"


async def test_an_append_whose_answer_is_lost_is_there(cluster, proxy):
    client = await connected(cluster, proxy)
    hit = asyncio.get_running_loop().create_task(proxy.reset("unanswered"))
    with pytest.raises(asyncpg.ConnectionDoesNotExistError):
        await client.fetch(APPEND)
    await hit
    assert proxy.stored == {"unanswered": 1}
    assert cluster.sql(BATCHES) == "1"


@pytest.mark.parametrize(("way", "following"), [("late", APPEND), ("racing", FENCE)])
async def test_a_late_append_arrives_when_the_client_has_gone_on(cluster, proxy, way, following):
    client = await connected(cluster, proxy)
    hit = asyncio.get_running_loop().create_task(proxy.reset(way))
    with pytest.raises(asyncpg.ConnectionDoesNotExistError):
        await client.fetch(APPEND)
    again = await connected(cluster, proxy)
    assert await again.fetchval(BATCHES) == 0
    assert not hit.done()
    await again.fetch(following)
    await asyncio.wait_for(hit, DEADLINE_S)
    assert proxy.stored == {way: 1}
    assert cluster.sql(BATCHES) == str(1 + (following == APPEND))
    await again.close()
