"""Deletions: memory follows the store, whatever that answers."""

from __future__ import annotations

import pytest

from conduit.broker.attach.connection import TOPIC_DELETED
from conduit.errors import NotFound, StoreUnavailable
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.frames import Ack, Reject
from conduit.storage.dead_letters import DeadFilter
from tests.broker.kit import Bench, running_broker
from tests.broker.stores import MuteStore, RefusingStore


@pytest.mark.parametrize("pattern", ["a", "*"])
@pytest.mark.parametrize("name", [None, "s"])
async def test_a_topic_that_could_not_be_deleted_goes_on_as_if_nobody_had_tried(pattern, name):
    store = RefusingStore()
    async with running_broker(store) as bench:
        await bench.broker.topics.create(T, "a")
        connection, peer = await bench.subscribe(pattern, subscription=name, max_in_flight=1)
        await bench.publish_many("a", 2)
        with pytest.raises(StoreUnavailable):
            await bench.broker.topics.delete(T, "a")
        assert (await bench.publish("a")).subscribers == 1
        for seq in (1, 2, 3):
            connection.verbs.ack(Ack(topic="a", seq=seq))
            await bench.rest()
        assert (peer.attempts, peer.closed, peer.of("gap")) == ([(1, 1), (2, 1), (3, 1)], None, [])
        store.is_away = False
        await bench.broker.topics.delete(T, "a")
        with pytest.raises(NotFound):
            await bench.publish("a")


async def test_a_subscriber_that_left_during_a_refused_deletion_is_not_counted():
    store = RefusingStore()
    async with running_broker(store) as bench:
        connection, _ = await bench.subscribe("a")
        _, other = await bench.subscribe("a")
        store.meanwhile = connection.close
        with pytest.raises(StoreUnavailable):
            await bench.broker.topics.delete(T, "a")
        assert (await bench.publish("a")).subscribers == 1
        assert other.seqs == [1]


@pytest.mark.parametrize("what", ["topics", "subscriptions"])
async def test_what_died_before_its_topic_or_subscription_was_deleted_is_kept(bench: Bench, what):
    connection, peer = await bench.subscribe("a", subscription="a")
    await bench.publish("a")
    await bench.flush()
    connection.verbs.reject(Reject(peer.of("message")[0]["message_id"], reason="bad"))
    await getattr(bench.broker, what).delete(T, "a")
    (letter,) = await bench.broker.store.dead_list(T, DeadFilter(), limit=10)
    assert letter.reason == "bad"


async def test_a_subscription_that_could_not_be_deleted_goes_on():
    store = RefusingStore()
    async with running_broker(store) as bench:
        connection, peer = await bench.subscribe("a", subscription="s")
        with pytest.raises(StoreUnavailable):
            await bench.broker.subscriptions.delete(T, "s")
        await bench.publish("a")
        assert (peer.seqs, peer.of("unsubscribed")) == ([1], [])
        store.is_away = False
        await bench.broker.subscriptions.delete(T, "s")
        assert len(peer.of("unsubscribed")) == 1
        connection.close()


async def test_a_deletion_whose_answer_is_lost_is_done():
    async with running_broker(MuteStore()) as bench:
        _, named = await bench.subscribe("a")
        _, durable = await bench.subscribe("b", subscription="s")
        await bench.broker.topics.delete(T, "a")
        await bench.broker.subscriptions.delete(T, "s")
        assert named.closed == (4001, TOPIC_DELETED)
        assert len(durable.of("unsubscribed")) == 1
        assert (await bench.broker.topics.create(T, "a")).last_seq == 0
        _, again = await bench.subscribe("b", subscription="s")
        await bench.publish("b")
        assert again.seqs == [1]


@pytest.mark.parametrize("pattern", ["a", "*", ">"])
async def test_who_walks_over_topics_meets_one_whose_deletion_is_not_answered(pattern):
    store = RefusingStore()
    async with running_broker(store) as bench:
        topic = await bench.broker.topics.create(T, "a")
        met: list[object] = []

        def walk() -> None:
            assert bench.broker.topics.find(T, "a") is None
            for step in bench.broker.topics.walk(T, pattern):
                met.extend(step.topics)

        store.meanwhile = walk
        with pytest.raises(StoreUnavailable):
            await bench.broker.topics.delete(T, "a")
        assert met == [topic]
