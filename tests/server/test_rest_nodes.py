"""What is answered about nodes; what becomes of several servers is in tests/e2e/test_nodes.py."""

import re
from urllib.parse import quote

import asyncpg
import pytest

from conduit import __version__
from conduit.cluster.this_node import ThisNode
from conduit.storage.postgres import migrations
from conduit.storage.postgres.database import Database
from conduit.storage.postgres.nodes import PostgresNodes
from tests.cluster.kit import a_node
from tests.server.rest_kit import refused, running_api
from tests.support.wait import DEADLINE_S

# What only a node itself knows.
OWN = ("connections", "owned_subscriptions", "rates", "links")
ODD = "e:1?%#&"


async def test_where_the_log_is_one_servers_there_is_one_node_and_it_is_up():
    async with running_api() as api:
        page = await api.get("/api/nodes")
        (node,) = page["nodes"]
        assert page["next"] is None
        assert await api.get("/api/nodes/node-1") == node
        incarnation = node.pop("incarnation")
        assert incarnation == api.context.node.node.incarnation
        assert node == {
            "id": "node-1",
            "address": "node-1.example:8080",
            "version": __version__,
            "state": "up",
            "lease_age_s": None,
            "started_at": "2023-11-14T22:13:20.000Z",
            "is_this": True,
            "connections": 0,
            "owned_subscriptions": 0,
            "rates": {
                "messages_per_sec": 0.0,
                "deliveries_per_sec": 0.0,
                "acks_per_sec": 0.0,
                "redeliveries_per_sec": 0.0,
                "dead_letters_per_sec": 0.0,
            },
            "links": [],
            "unanswered": None,
            "loop_lag_s": 0.0,
            "phase": None,
        }


async def test_the_node_says_of_itself_what_it_does():
    async with running_api() as api:
        await api.topic("t")
        await api.bench.subscribe("t", subscription="s")
        await api.bench.subscribe("t")
        await api.bench.publish_many("t", 10)
        api.bench.clock.seconds += 1
        stats = api.context.broker.stats
        stats.tick(api.bench.clock.now(), api.bench.clock.wall_ms())
        node = await api.get("/api/nodes/node-1")
        assert node["owned_subscriptions"] == 1
        assert node["rates"]["messages_per_sec"] > 0
        assert node["rates"]["deliveries_per_sec"] == 2 * node["rates"]["messages_per_sec"]


async def test_a_node_that_nobody_knows_is_not_found():
    async with running_api() as api:
        for name in ("node-2", "NODE-1", "%25", "node-1%3A8080"):
            answer = await api.send("GET", f"/api/nodes/{name}")
            assert "no node" in refused(answer, 404, "node_not_found")
        refused(await api.send("GET", "/api/nodes?cursor=x"), 400, "invalid_request", "cursor")


@pytest.fixture
async def store(cluster):
    """Of a database with our schema, and no node."""
    url = cluster.empty_database()
    connection = await asyncpg.connect(url)
    await migrations.migrate(connection, contract=True)
    await connection.close()
    database = Database(url)
    await database.probe()
    store = PostgresNodes(database)
    yield store
    await store.close()


@pytest.fixture
async def api(store):
    """Of a node that has not asked the store yet."""
    async with running_api() as api:
        api.context.node = node = ThisNode("c", "c.example:8080", 0)
        node.share(store)
        yield api
        await node.close()


async def test_nodes_are_listed_in_pages_with_this_one_among_them(store, api):
    for name in ("a", "b", "d", ODD):
        await store.join(a_node(name), "draining" if name == "d" else "up")
    await api.context.node.membership.start()
    pages, cursor = [], None
    while not pages or cursor:
        query = {"limit": 2} if cursor is None else {"limit": 2, "cursor": cursor}
        page = await api.get("/api/nodes", **query)
        pages.append(page["nodes"])
        cursor = page["next"]
    names = [[node["id"] for node in nodes] for nodes in pages]
    assert names == [["a", "b"], ["c", "d"], [ODD]]
    for node in (each for nodes in pages for each in nodes):
        is_this = node["id"] == "c"
        assert node["is_this"] == is_this
        assert node["state"] == ("draining" if node["id"] == "d" else "up")
        assert 0 <= node["lease_age_s"] < DEADLINE_S
        assert [node[field] is None for field in OWN] == [not is_this] * len(OWN)


async def test_any_name_that_a_node_may_have_can_be_asked_for(store, api):
    await store.join(a_node(ODD), "up")
    await api.context.node.membership.start()
    path = f"/api/nodes/{quote(ODD, safe='')}"
    assert (await api.get(path))["id"] == ODD


async def test_without_a_lease_yet_the_node_is_down_and_there_is_no_age(api):
    (node,) = (await api.get("/api/nodes"))["nodes"]
    assert (node["id"], node["state"], node["lease_age_s"]) == ("c", "down", None)
    assert node["is_this"]


async def test_metrics_say_whether_there_is_a_lease_and_who_lives(store, api):
    async def values():
        text = (await api.send("GET", "/metrics")).text
        return dict(re.findall(r"^conduit_(node\S+) (\S+)$", text, re.MULTILINE))

    before = await values()
    assert before["node_lease_held"] == "0.0"
    assert "node_lease_age_seconds" not in before
    await store.join(a_node("a"), "up")
    await api.context.node.membership.start()
    after = await values()
    assert 0 <= float(after.pop("node_lease_age_seconds")) < DEADLINE_S
    assert after == {
        'nodes{state="up"}': "2.0",
        'nodes{state="draining"}': "0.0",
        'nodes{state="down"}': "0.0",
        'nodes{state="left"}': "0.0",
        "node_lease_held": "1.0",
        "node_lease_lost_total": "0.0",
    }


async def test_a_node_that_has_left_in_order_is_not_counted_as_down(store, api):
    gone = a_node("a")
    await store.join(gone, "up")
    await store.leave("a", gone.incarnation)
    await api.context.node.membership.start()
    text = (await api.send("GET", "/metrics")).text
    assert 'conduit_nodes{state="left"} 1.0' in text
    assert 'conduit_nodes{state="down"} 0.0' in text


async def test_without_leases_there_are_no_metrics_of_one():
    async with running_api() as api:
        text = (await api.send("GET", "/metrics")).text
        assert 'conduit_nodes{state="up"} 1.0' in text
        assert "conduit_node_lease" not in text
