"""Which subscriptions a node counts where several share the log."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from conduit.broker.administer import counting
from conduit.core.ring import Ring, subscription_key
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.frames import Ack
from conduit.storage.base import Settled
from conduit.storage.memory import MemoryStore
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


async def test_a_topic_that_was_followed_elsewhere_before_it_was_heard_of_takes_nothing_away(nodes):
    a, b = nodes["a"], nodes["b"]
    await a.broker.subscriptions.create(T, "w", ">", Bench.durable_settings(), "new")
    await counted(nodes)
    await a.broker.topics.create(T, "late")
    connection, peer = await a.subscribe(">", subscription="w")
    await a.publish_many("late", 4)
    await a.until(lambda: len(peer.seqs) == 4)
    for message in peer.of("message"):
        connection.verbs.ack(Ack(message_id=message["message_id"]))
    connection.close()
    await a.flush()
    await a.publish_many("t", 2)
    # It has changed its node: here it is counted before the topic is heard of.
    lag = b.broker._engine.lags.by_id[b.broker._owned.find(T, "w").subscription_id]
    lag.unknown()
    await b.broker.subscriptions._counting.round()
    assert lag.is_known
    await b.broker.news.catch_up()
    await b.broker.tails.round()
    assert lag.count == 2
    await b.broker.topics.delete(T, "late")
    assert lag.count == 2


class CountedStore(MemoryStore):
    """Keeps how many subscriptions it was asked for at once."""

    def __init__(self) -> None:
        super().__init__()
        self.questions: list[int] = []

    async def settled(self, subscription_ids: Sequence[int]) -> dict[int, Settled]:
        self.questions.append(len(subscription_ids))
        return await super().settled(subscription_ids)


@asynccontextmanager
async def some_after_a_start(store: CountedStore, count: int) -> AsyncIterator[Bench]:
    """As many subscriptions to `a.>` with two topics and three messages, of which one has settled one."""
    async with running_broker(store, max_subscriptions=count) as bench:
        for name in ("a.b", "a.c"):
            await bench.broker.topics.create(T, name)
        for number in range(count):
            settings = Bench.durable_settings()
            await bench.broker.subscriptions.create(T, f"s{number}", "a.>", settings, "new")
        await bench.publish_many("a.b", 2)
        await bench.publish("a.c")
        connection, peer = await bench.subscribe("a.>", subscription="s0")
        await bench.until(lambda: len(peer.seqs) == 3)
        connection.verbs.ack(Ack(message_id=peer.of("message")[0]["message_id"]))
        await bench.flush()
    store.questions.clear()
    async with running_broker(store, max_subscriptions=count) as bench:
        yield bench


@pytest.mark.parametrize(
    ("count", "topics_max_count", "questions"),
    [(250, 5_000, [100, 100, 50]), (20, 15, [7, 7, 6]), (3, 1, [1, 1, 1])],
    ids=["by number", "by their topics", "each has more topics than that"],
)
async def test_after_a_start_the_store_is_asked_for_many_at_once(
    monkeypatch, count, topics_max_count, questions
):
    monkeypatch.setattr(counting, "ASKED_TOPICS_MAX_COUNT", topics_max_count)
    store = CountedStore()
    async with some_after_a_start(store, count) as bench:
        await bench.broker.subscriptions._counting.round()
        assert store.questions == questions
        assert bench.broker.gauges().backlog_count == 3 * count - 1
        # What is known is asked for no more.
        await bench.broker.subscriptions._counting.round()
        assert store.questions == questions
