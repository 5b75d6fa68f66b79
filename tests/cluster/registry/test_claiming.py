"""Whether a name is another node's, on a real Redis."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from conduit.cluster.registry import claiming, wire
from conduit.cluster.registry.claiming import holder
from conduit.cluster.registry.connection import Connection
from conduit.cluster.registry.counts import Counts
from conduit.cluster.registry.registry import Registry
from conduit.cluster.registry.wire import Keys, Presence
from conduit.core.members import Member
from tests.support.redis import RedisServer
from tests.support.registries import member
from tests.support.wait import until_true


@pytest.fixture
def cluster_id() -> str:
    return str(uuid.uuid4())


async def left_behind(url: str, cluster_id: str, killed: Member, left_s: float) -> None:
    """What a node has said that was killed since."""
    keys, connection = Keys(cluster_id), Connection(url, Counts().latency)
    said = Presence(
        name=killed.name,
        incarnation=killed.incarnation,
        address=killed.address,
        version=killed.version,
        since_ms=1,
        said=1,
    )
    await connection.open()
    await connection.call(
        ("SADD", keys.nodes, killed.incarnation),
        ("SET", keys.presence(killed.incarnation), wire.encode(said), "PX", round(left_s * 1000)),
    )
    await connection.close()


async def test_a_name_is_that_of_a_node_that_says_again_that_it_is_there(
    redis_server: RedisServer, cluster_id: str
):
    url = redis_server.url
    assert await holder(url, cluster_id, member("a")) is None
    one = Registry(url, cluster_id, member("a"))
    await one.start()
    await until_true(lambda: one.state.is_up)
    found = await holder(url, cluster_id, member("a"))
    assert found is not None
    assert (found.name, found.address) == ("a", "127.0.0.1:1")
    assert await holder(url, cluster_id, member("b")) is None
    assert await holder(url, str(uuid.uuid4()), member("a")) is None
    # In order, it takes its name back.
    await one.close()
    assert await holder(url, cluster_id, member("a")) is None


async def test_the_name_of_one_that_was_killed_is_free_before_it_is_forgotten(
    redis_server: RedisServer, cluster_id: str
):
    url, killed = redis_server.url, member("a")
    loop = asyncio.get_running_loop()
    await left_behind(url, cluster_id, killed, wire.PRESENCE_TTL_S)
    began = loop.time()
    assert await holder(url, cluster_id, member("a")) is None
    assert loop.time() - began >= claiming.WAIT_S - claiming.POLL_S
    # It is known from the first look on that it has said nothing for long.
    await left_behind(url, cluster_id, killed, wire.PRESENCE_TTL_S - claiming.WAIT_S)
    calls = loop.time()
    assert await holder(url, cluster_id, member("a")) is None
    assert loop.time() - calls < claiming.WAIT_S


async def test_without_redis_nobody_is_refused(cluster_id: str):
    assert await holder("redis://127.0.0.1:1", cluster_id, member("a")) is None
