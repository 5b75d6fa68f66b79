"""Topics are compared with the log as long as other nodes use it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest

from conduit.broker.deliver import tails
from conduit.core.message import Retention
from conduit.names import DEFAULT_TENANT as T
from conduit.storage.base import Rule
from tests.broker.kit import Bench, running_broker
from tests.broker.stores import SharedStore


class Nodes(NamedTuple):
    ours: Bench
    theirs: Bench
    store: SharedStore

    async def round(self) -> None:
        await self.ours.broker.tails.round()
        await self.ours.rest()

    def asked(self) -> list[tuple[str, int]]:
        return [each for each in self.store.asked if each[0] == "topics_of"]

    def last_seq(self, topic: str) -> int:
        return self.ours.broker.topics.get(T, topic).last_seq


@pytest.fixture
async def nodes() -> AsyncIterator[Nodes]:
    store = SharedStore()
    async with running_broker(store) as ours, running_broker(store) as theirs:
        await theirs.broker.topics.ensure_all(T, ["o.a", "o.b", "p"])
        await ours.broker.news.catch_up()
        store.asked.clear()
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


async def test_what_was_purged_elsewhere_is_handed_out_to_nobody_here(nodes: Nodes):
    connection, _ = await nodes.ours.subscribe("o.a", subscription="s")
    connection.close()
    await nodes.ours.flush()
    _, live = await nodes.ours.subscribe("o.a")
    await nodes.ours.publish_many("o.a", 5)
    assert live.seqs == [1, 2, 3, 4, 5]
    await nodes.theirs.broker.purger.purge(T, "o.a")
    # What is there to be counted comes first.
    await nodes.round()
    await nodes.round()
    _, away = await nodes.ours.subscribe("o.a", subscription="s")
    assert (away.seqs, live.of("gap")) == ([], [])
    assert [(gap["from_seq"], gap["to_seq"]) for gap in away.of("gap")] == [(1, 5)]


async def test_what_nobody_follows_is_right_in_the_end(nodes: Nodes, monkeypatch):
    monkeypatch.setattr(tails, "OTHERS_COUNT", 1)
    for topic in ("o.a", "o.b", "p"):
        await nodes.theirs.publish_many(topic, 2)
    for _ in range(5):
        await nodes.round()
    assert [nodes.last_seq(topic) for topic in ("o.a", "o.b", "p")] == [2, 2, 2]
    assert {count for _, count in nodes.asked()} == {1}


@pytest.mark.parametrize("pattern", [None, "q.*", ">"])
async def test_a_round_goes_on_where_the_one_before_has_ended(nodes: Nodes, monkeypatch, pattern):
    monkeypatch.setattr(tails, "OTHERS_COUNT", 0)
    monkeypatch.setattr(tails, "SLICE_COUNT", 50)
    monkeypatch.setattr(tails, "FOLLOWED_MAX_COUNT", 200)
    names = [f"q.{n:03}" for n in range(501)]
    await nodes.theirs.broker.topics.ensure_all(T, names)
    for bench in (nodes.ours, nodes.theirs):
        # It asks for all that was made.
        await bench.broker.news.catch_up()
    for name in names:
        await nodes.theirs.publish(name)
    for name in [pattern] if pattern else names:
        await nodes.ours.subscribe(name)
    nodes.store.asked.clear()
    for _ in range(4):
        await nodes.round()
    assert [nodes.last_seq(name) for name in names] == [1] * len(names)
    assert max(count for _, count in nodes.asked()) <= 250


@pytest.mark.parametrize("pattern", ["o.a", "o.*", ">"])
async def test_who_comes_gets_nothing_that_was_stored_elsewhere_before(nodes: Nodes, pattern):
    for topic in ("o.a", "o.b"):
        await nodes.theirs.publish_many(topic, 50)
    _, peer = await nodes.ours.subscribe(pattern)
    await nodes.theirs.publish("o.a", "new")
    await nodes.round()
    assert [(each["seq"], each["payload"]) for each in peer.of("message")] == [(51, "new")]
    # Who follows what is followed already costs no question.
    nodes.store.asked.clear()
    await nodes.ours.subscribe(pattern)
    assert nodes.asked() == []


async def test_who_is_alone_asks_nothing(nodes: Nodes):
    nodes.store.server_count = 1
    nodes.store.asked.clear()
    await nodes.ours.broker.tails._due_round()
    assert await nodes.ours.broker.tails.fresh(nodes.ours.broker.topics.everywhere()) == {}
    assert nodes.store.asked == []


async def test_topics_that_are_deleted_meanwhile_are_left_alone(nodes: Nodes):
    await nodes.ours.subscribe("o.*")
    await nodes.theirs.publish("o.a")
    await nodes.ours.broker.topics.delete(T, "o.a")
    await nodes.round()
    assert nodes.ours.broker.topics.find(T, "o.a") is None
