"""Topics are compared with the log as long as other nodes use it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest

from conduit.broker.deliver import tails
from conduit.core.message import Retention
from conduit.names import DEFAULT_TENANT as T
from conduit.storage.base import Rule
from conduit.storage.memory import MemoryStore
from tests.broker.kit import Bench, running_broker


class Shared(MemoryStore):
    """A store that others use as well; it counts the questions about topics."""

    def __init__(self) -> None:
        super().__init__()
        self.server_count = 2
        self.asked: list[int] = []

    async def topics_of(self, topic_ids):
        self.asked.append(len(topic_ids))
        return await super().topics_of(topic_ids)


class Nodes(NamedTuple):
    ours: Bench
    theirs: Bench
    store: Shared

    async def round(self) -> None:
        await self.ours.broker.tails.round()
        await self.ours.rest()

    def last_seq(self, topic: str) -> int:
        return self.ours.broker.topics.get(T, topic).last_seq


@pytest.fixture
async def nodes() -> AsyncIterator[Nodes]:
    store = Shared()
    async with running_broker(store) as ours, running_broker(store) as theirs:
        await theirs.broker.topics.ensure_all(T, ["o.a", "o.b", "p"])
        await ours.broker.topics.learn()
        yield Nodes(ours, theirs, store)


@pytest.mark.parametrize("pattern", ["o.a", "o.*", ">"])
@pytest.mark.parametrize("name", [None, "s"], ids=["ephemeral", "durable"])
async def test_what_was_published_elsewhere_comes_with_the_next_round(nodes: Nodes, pattern, name):
    _, peer = await nodes.ours.subscribe(pattern, subscription=name)
    await nodes.theirs.publish_many("o.a", 3)
    await nodes.ours.rest()
    assert peer.seqs == []
    await nodes.round()
    assert peer.seqs == [1, 2, 3]
    assert nodes.ours.broker.tails.repaired_count == 1
    await nodes.ours.publish("o.a")
    assert peer.seqs == [1, 2, 3, 4]


async def test_what_retention_has_removed_elsewhere_is_known_and_told(nodes: Nodes):
    _, peer = await nodes.ours.subscribe("o.a")
    await nodes.theirs.publish_many("o.a", 5)
    topic = nodes.theirs.broker.topics.get(T, "o.a")
    await nodes.store.trim(topic.topic_id, Rule(Retention(max_messages=2), 0), 100)
    # What is there to be counted comes first.
    await nodes.round()
    await nodes.round()
    gaps = [(gap["from_seq"], gap["to_seq"], gap["reason"]) for gap in peer.of("gap")]
    assert (gaps, peer.seqs) == ([(1, 3, "retention")], [4, 5])
    ours = nodes.ours.broker.topics.get(T, "o.a")
    [record] = await nodes.store.topics_of([topic.topic_id])
    assert (ours.first_seq, ours.stored_bytes) == (4, record.stored_bytes)


async def test_what_nobody_follows_is_right_in_the_end(nodes: Nodes, monkeypatch):
    monkeypatch.setattr(tails, "OTHERS_COUNT", 1)
    for topic in ("o.a", "o.b", "p"):
        await nodes.theirs.publish_many(topic, 2)
    for _ in range(5):
        await nodes.round()
    assert [nodes.last_seq(topic) for topic in ("o.a", "o.b", "p")] == [2, 2, 2]
    assert set(nodes.store.asked) == {1}


async def test_a_round_goes_on_where_the_one_before_has_ended(nodes: Nodes, monkeypatch):
    monkeypatch.setattr(tails, "OTHERS_COUNT", 0)
    monkeypatch.setattr(tails, "SLICE_COUNT", 2)
    monkeypatch.setattr(tails, "FOLLOWED_MAX_COUNT", 2)
    names = [f"q{n}" for n in range(5)]
    await nodes.theirs.broker.topics.ensure_all(T, names)
    await nodes.ours.broker.topics.learn()
    for name in names:
        await nodes.ours.subscribe(name)
        await nodes.theirs.publish(name)
    for _ in range(3):
        await nodes.round()
    assert [nodes.last_seq(name) for name in names] == [1] * 5
    assert nodes.store.asked == [2, 2, 1]


async def test_who_is_alone_asks_a_few_times_more_and_then_not_at_all(nodes: Nodes):
    checked = nodes.ours.broker.tails
    assert checked._is_shared()
    nodes.store.server_count = 1
    asked = [checked._is_shared() for _ in range(tails.ALONE_ROUNDS_COUNT + 1)]
    assert asked == [True] * (tails.ALONE_ROUNDS_COUNT - 1) + [False, False]


async def test_topics_that_are_deleted_meanwhile_are_left_alone(nodes: Nodes):
    await nodes.ours.subscribe("o.*")
    await nodes.theirs.publish("o.a")
    await nodes.ours.broker.topics.delete(T, "o.a")
    await nodes.round()
    assert nodes.ours.broker.topics.find(T, "o.a") is None
