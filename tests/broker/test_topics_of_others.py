"""Two nodes on one store: topics that the other one makes, writes to and deletes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest

from conduit.core.message import Retention
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.codes import CLOSE_TOPIC_DELETED
from conduit.protocol.frames import Ack
from conduit.storage.base import Rule
from conduit.storage.memory import MemoryStore
from conduit.storage.slices import SLICE_COUNT
from tests.broker.kit import Bench, running_broker
from tests.broker.stores import MuteStore


class Nodes(NamedTuple):
    ours: Bench
    theirs: Bench

    async def learn(self, name: str) -> None:
        """Have ours hear of a topic that theirs has made."""
        await self.ours.broker.topics.ensure(T, name)
        await self.ours.rest()


@pytest.fixture
async def nodes() -> AsyncIterator[Nodes]:
    store = MemoryStore()
    async with running_broker(store) as ours, running_broker(store) as theirs:
        yield Nodes(ours, theirs)


@pytest.mark.parametrize("name", [None, "s"], ids=["ephemeral", "durable"])
@pytest.mark.parametrize("ack", ["auto", "explicit"])
async def test_what_was_published_where_a_topic_was_made_reaches_followers_here(
    nodes: Nodes, name, ack
):
    _, peer = await nodes.ours.subscribe("o.*", subscription=name, ack=ack)
    await nodes.theirs.broker.topics.create(T, "o.a")
    await nodes.theirs.publish_many("o.a", 3)
    await nodes.learn("o.a")
    assert peer.seqs == [1, 2, 3]
    await nodes.ours.publish("o.a")
    assert (peer.seqs, peer.of("gap")) == ([1, 2, 3, 4], [])


@pytest.mark.parametrize("name", [None, "s"], ids=["ephemeral", "durable"])
async def test_what_has_left_the_log_by_then_is_told(nodes: Nodes, name):
    _, peer = await nodes.ours.subscribe("o.*", subscription=name)
    topic = await nodes.theirs.broker.topics.create(T, "o.a")
    await nodes.theirs.publish_many("o.a", 5)
    await nodes.ours.broker.store.trim(topic.topic_id, Rule(Retention(max_messages=2), 0), 100)
    await nodes.learn("o.a")
    gaps = [(gap["from_seq"], gap["to_seq"], gap["reason"]) for gap in peer.of("gap")]
    assert (gaps, peer.seqs) == ([(1, 3, "retention")], [4, 5])


async def test_what_has_left_the_log_by_then_is_no_backlog(nodes: Nodes):
    await nodes.ours.subscribe("o.*", subscription="s", max_in_flight=1)
    topic = await nodes.theirs.broker.topics.create(T, "o.a")
    await nodes.theirs.publish_many("o.a", 5)
    await nodes.ours.broker.store.trim(topic.topic_id, Rule(Retention(max_messages=2), 0), 100)
    await nodes.learn("o.a")
    await nodes.ours.flush()
    await nodes.ours.broker.subscriptions._counting.round()
    await nodes.ours.rest()
    view = await nodes.ours.broker.subscriptions.get(T, "s")
    assert (view.lag, nodes.ours.broker.gauges().backlog_count) == (2, 2)


async def test_what_has_left_the_log_unheard_makes_no_backlog_smaller(nodes: Nodes):
    for name in ("o.a", "o.b"):
        await nodes.theirs.broker.topics.create(T, name)
        await nodes.learn(name)
    await nodes.ours.subscribe("o.*", subscription="s", start="earliest")
    await nodes.ours.publish_many("o.b", 4)
    topic_id = nodes.ours.broker.topics.get(T, "o.a").topic_id
    store = nodes.ours.broker.store
    await nodes.theirs.publish_many("o.a", 5)
    await store.trim(topic_id, Rule(Retention(max_messages=2), 0), 100)
    await nodes.ours.broker._housekeeper.round()
    await nodes.ours.flush()
    # Of o.a this node knows now what is gone, and not yet that there is more.
    assert nodes.ours.broker.topics.get(T, "o.a").last_seq == 3
    assert nodes.ours.broker.gauges().backlog_count == 4


async def test_a_durable_subscription_begins_where_the_store_says_in_a_topic_that_is_new_here(
    nodes: Nodes,
):
    await nodes.theirs.broker.topics.create(T, "o.a")
    await nodes.theirs.publish_many("o.a", 3)
    connection, _ = await nodes.theirs.subscribe("o.*", subscription="old", start="earliest")
    connection.verbs.ack(Ack(topic="o.a", seq=2))
    connection.close()
    await nodes.theirs.flush()
    _, old = await nodes.ours.subscribe("o.*", subscription="old")
    _, new = await nodes.ours.subscribe("o.*", subscription="new")
    await nodes.ours.publish("o.a")
    assert (old.seqs, new.seqs) == ([3, 4], [4])


async def test_a_topic_that_the_other_deleted_and_made_anew_is_another_one_here(nodes: Nodes):
    await nodes.theirs.broker.topics.create(T, "o.a")
    await nodes.learn("o.a")
    _, named = await nodes.ours.subscribe("o.a")
    _, peer = await nodes.ours.subscribe("o.*")
    await nodes.theirs.broker.topics.delete(T, "o.a")
    again = await nodes.theirs.broker.topics.create(T, "o.a")
    await nodes.theirs.publish("o.a")
    await nodes.theirs.broker.topics.create(T, "other")
    await nodes.learn("other")
    assert named.closed is not None
    assert named.closed[0] == CLOSE_TOPIC_DELETED
    assert [frame["type"] for frame in peer.frames[1:]] == ["gap", "message"]
    assert {frame["epoch"] for frame in peer.frames[1:]} == {again.epoch}
    assert len(nodes.ours.broker.topics) == 2


async def test_who_asks_what_became_of_a_deletion_learns_what_else_has_changed():
    store = MuteStore()
    async with running_broker(store) as ours, running_broker(store) as theirs:
        await ours.broker.topics.create(T, "o.a")
        await theirs.broker.topics.create(T, "o.b")
        await theirs.publish("o.b")
        _, peer = await ours.subscribe("o.*")
        await ours.broker.topics.delete(T, "o.a")
        assert [topic.name for topic in ours.broker.topics.everywhere()] == ["o.b"]
        await ours.until(lambda: peer.seqs == [1])


async def test_very_many_topics_are_learned_and_forgotten_some_in_each_turn_of_the_loop(nodes):
    topics, count = nodes.ours.broker.topics, 3 * SLICE_COUNT
    store = nodes.ours.broker.store
    await store.topics_create(T, [f"t{n}" for n in range(count)], Retention(), 1)

    async def most_at_once() -> int:
        learning = asyncio.get_running_loop().create_task(topics.learn())
        most, before = 0, len(topics)
        while not learning.done():
            await asyncio.sleep(0)
            most, before = max(most, abs(len(topics) - before)), len(topics)
        return most

    assert 0 < await most_at_once() <= SLICE_COUNT
    assert len(topics) == count
    for record in await store.topics():
        await store.topic_delete(record.topic_id)
    assert 0 < await most_at_once() <= SLICE_COUNT
    assert len(topics) == 0
