"""A process as a node, alone and among others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from conduit import __version__
from conduit.cluster.this_node import ThisNode
from conduit.errors import ConfigError
from conduit.storage.postgres.database import Database
from conduit.storage.postgres.nodes import PostgresNodes
from tests.cluster.kit import killed, started
from tests.support.wait import DEADLINE_S, until


@pytest.fixture
async def store(url):
    database = Database(url)
    await database.probe()
    store = PostgresNodes(database)
    yield store
    await store.close()


@asynccontextmanager
async def joined(node: ThisNode, store: PostgresNodes) -> AsyncIterator[asyncio.Task[None]]:
    """It has its name; the task that joins and stays."""
    node.share(store)
    task = asyncio.get_running_loop().create_task(node.join())
    try:
        await asyncio.to_thread(until, lambda: node.is_settled)
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})
        await node.close()


async def test_a_node_that_has_its_log_for_itself_is_up_and_has_no_lease():
    node = ThisNode("a", "a.example:8080", 1_000)
    (view,) = node.views()
    assert (view.id, view.address, view.version) == ("a", "a.example:8080", __version__)
    assert (view.state, view.lease_age_s, view.started_at_ms) == ("up", None, 1_000)
    assert node.is_settled
    assert ThisNode("a", "a.example:8080", 1_000).view().incarnation != view.incarnation
    await node.close()


async def test_a_node_that_joins_is_one_of_those_it_knows(url, store):
    async with started(url, "a"):
        node = ThisNode("b", "b.example:8080", 1_000)
        assert [(view.id, view.state) for view in node.views()] == [("b", "up")]
        async with joined(node, store):
            assert [(view.id, view.state) for view in node.views()] == [("a", "up"), ("b", "up")]
            # By the store's clock.
            assert node.view().started_at_ms > 1_000


async def test_until_it_has_a_lease_it_is_down_in_its_own_list(url, store):
    node = ThisNode("b", "b.example:8080", 1_000)
    async with killed(url, "b"), joined(node, store):
        view = node.view()
        assert (view.state, view.lease_age_s, view.address) == ("down", None, "b.example:8080")


async def test_a_node_whose_name_is_taken_is_called_otherwise_from_then_on(url, store):
    node = ThisNode("host", "host:8081", 1_000, other_name="host-8081")
    async with started(url, "host"), joined(node, store):
        assert (node.name, node.view().id) == ("host-8081", "host-8081")
        assert [view.id for view in node.views()] == ["host", "host-8081"]


async def test_a_node_that_may_not_have_its_name_ends_and_was_never_settled(url, store):
    node = ThisNode("a", "other.example:8080", 1_000)
    async with started(url, "a"):
        node.share(store)
        assert not node.is_settled
        with pytest.raises(ConfigError, match="a is the name of another node"):
            await node.join()
        assert not node.is_settled
        await node.close()


async def test_a_node_that_has_begun_ends_when_somebody_alive_has_its_name_after_all(
    url, store, cluster
):
    node = ThisNode("a", "a.example:8080", 1_000)
    async with killed(url, "a") as before, joined(node, store) as task:
        cluster.sql("UPDATE conduit.nodes SET lease_until = now() + interval '3 s'")
        with pytest.raises(ConfigError, match=f"another node, at {before.address}"):
            await asyncio.wait_for(asyncio.shield(task), DEADLINE_S)
