"""Which subscriptions a node counts where several share the log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from conduit.core.ring import Ring, subscription_key
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.frames import Ack
from tests.broker.kit import Bench, running_broker
from tests.broker.stores import SharedStore

COUNT = 20
NAMES = [f"s{n}" for n in range(COUNT)]
RING = Ring("ab")


def owned_by(node: str) -> list[str]:
    return [name for name in NAMES if RING.owner(subscription_key(T, name)) == node]


def backlogs(nodes: dict[str, Bench]) -> dict[str, int]:
    return {name: bench.broker.gauges().backlog_count for name, bench in nodes.items()}


async def counted(nodes: dict[str, Bench]) -> None:
    for bench in nodes.values():
        await bench.broker.news.catch_up()
        await bench.broker.tails.round()
        await bench.broker._engine.progress.flush()
        await bench.broker.subscriptions._counting.round()
        await bench.rest()


def share(nodes: dict[str, Bench], ring: Ring) -> None:
    for name, bench in nodes.items():
        bench.broker.subscriptions.share(ring, name)


@pytest.fixture
async def nodes() -> AsyncIterator[dict[str, Bench]]:
    """Nodes `a` and `b` with twenty subscriptions to one topic, in which there are three messages."""
    store = SharedStore()
    async with AsyncExitStack() as stack:
        made = {
            name: await stack.enter_async_context(running_broker(store, max_subscriptions=50))
            for name in "ab"
        }
        await made["a"].broker.topics.create(T, "t")
        for name in NAMES:
            settings = Bench.durable_settings()
            await made["a"].broker.subscriptions.create(T, name, "t", settings, "new")
        await made["a"].publish_many("t", 3)
        yield made


async def test_all_nodes_together_count_each_subscription_once(nodes):
    await counted(nodes)
    assert set(backlogs(nodes).values()) == {3 * COUNT}
    share(nodes, RING)
    await counted(nodes)
    assert backlogs(nodes) == {name: 3 * len(owned_by(name)) for name in "ab"}
    await nodes["b"].publish("t")
    await counted(nodes)
    assert backlogs(nodes) == {name: 4 * len(owned_by(name)) for name in "ab"}


async def test_what_is_settled_at_the_owner_is_in_no_backlog_of_another_node(nodes):
    share(nodes, RING)
    [name, *_] = owned_by("b")
    connection, peer = await nodes["b"].subscribe("t", subscription=name)
    await nodes["b"].until(lambda: len(peer.seqs) == 3)
    for message in peer.of("message"):
        connection.verbs.ack(Ack(message_id=message["message_id"]))
    await counted(nodes)
    assert sum(backlogs(nodes).values()) == 3 * (COUNT - 1)
    # Who looks at it elsewhere sees what is stored, and counts it nowhere.
    for _ in range(2):
        view = await nodes["a"].broker.subscriptions.get(T, name)
        assert view.lag == 0
        assert sum(backlogs(nodes).values()) == 3 * (COUNT - 1)
    connection.close()


async def test_when_a_node_has_gone_the_other_counts_what_it_had(nodes):
    share(nodes, RING)
    await counted(nodes)
    only = Ring("a")
    nodes["a"].broker.subscriptions.share(only, "a")
    await counted(nodes)
    assert backlogs(nodes)["a"] == 3 * COUNT
    share(nodes, RING)
    await counted(nodes)
    assert sum(backlogs(nodes).values()) == 3 * COUNT


async def test_what_runs_here_is_counted_here_whosever_it_is(nodes):
    share(nodes, RING)
    await counted(nodes)
    [name, *_] = owned_by("b")
    before = backlogs(nodes)["a"]
    connection, _ = await nodes["a"].subscribe("t", subscription=name)
    await counted(nodes)
    assert backlogs(nodes)["a"] == before + 3
    connection.close()
    await nodes["a"].flush()
    await counted(nodes)
    assert backlogs(nodes)["a"] == before


async def test_where_nobody_takes_subscriptions_each_counts_all(nodes):
    share(nodes, Ring(()))
    await counted(nodes)
    assert set(backlogs(nodes).values()) == {3 * COUNT}
