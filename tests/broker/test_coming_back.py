"""`create: false`: who comes back brings nothing back with them that was deleted."""

import asyncio

import pytest

from conduit.broker.attach.connection import TOPIC_DELETED
from conduit.errors import Conflict, InvalidRequest, NotFound
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.frames import Ack, StartAt
from conduit.storage.dead_letters import DeadFilter
from tests.broker.kit import Bench, running_broker
from tests.broker.stores import SlowStore


async def refused(bench: Bench, topic: str, **fields) -> str:
    with pytest.raises(NotFound) as caught:
        await bench.subscribe(topic, create=False, **fields)
    return caught.value.code


@pytest.mark.parametrize("name", [None, "s"])
async def test_a_topic_that_was_deleted_stays_deleted(bench: Bench, name):
    _, peer = await bench.subscribe("a", subscription=name)
    await bench.broker.topics.delete(T, "a")
    assert peer.closed == (4001, TOPIC_DELETED)
    assert "create: false" in TOPIC_DELETED
    assert len(TOPIC_DELETED.encode()) <= 123
    assert await refused(bench, "a", subscription=name) == "topic_not_found"
    assert len(bench.broker.topics) == 0


@pytest.mark.parametrize("topic", ["a", "a.*"])
async def test_a_subscription_that_was_deleted_stays_deleted(bench: Bench, topic):
    _, peer = await bench.subscribe(topic, subscription="s")
    await bench.broker.subscriptions.delete(T, "s")
    assert len(peer.of("unsubscribed")) == 1
    assert await refused(bench, topic, subscription="s") == "subscription_not_found"
    assert (await bench.broker.subscriptions.list(T, q=None, limit=9, after=None)).views == []


async def test_what_is_there_is_followed_as_ever(bench: Bench):
    await bench.subscribe("a", subscription="s")
    await bench.publish("a")
    start = StartAt(seq=1)
    _, ephemeral = await bench.subscribe("a", start=start, create=False)
    _, durable = await bench.subscribe("a", subscription="s", create=False)
    _, pattern = await bench.subscribe("nothing.*", create=False)
    await bench.broker.topics.create(T, "nothing.yet")
    await bench.publish("nothing.yet")
    await bench.publish("a")
    assert (ephemeral.seqs, durable.seqs, pattern.seqs) == ([1, 2], [2], [1])


async def test_a_topic_that_goes_while_its_subscription_is_loaded_is_not_made_again():
    store = SlowStore()
    async with running_broker(store) as bench:
        connection, _ = await bench.subscribe("a", subscription="s")
        connection.close()
        await bench.flush()
        store.held.add("progress")
        loop = asyncio.get_running_loop()
        coming = loop.create_task(bench.subscribe("a", subscription="s", create=False))
        await bench.until(lambda: store.waiting == ["progress"])
        await bench.broker.topics.delete(T, "a")
        store.release()
        with pytest.raises(NotFound):
            await coming
        assert len(bench.broker.topics) == 0


async def test_a_dead_letter_that_is_redriven_does_not_bring_its_topic_back():
    store = SlowStore()
    async with running_broker(store) as bench:
        connection, peer = await bench.subscribe("a", subscription="s", max_attempts=1)
        await bench.publish("a")
        await bench.advance(31)
        await bench.flush()
        connection.close()
        await bench.flush()
        (letter,) = await store.dead_list(T, DeadFilter(), limit=9)
        store.held.add("progress")
        loop = asyncio.get_running_loop()
        redriving = loop.create_task(bench.broker.dead_letters.redrive(T, letter.dead_id))
        await bench.until(lambda: store.waiting == ["progress"])
        await bench.broker.topics.delete(T, "a")
        store.release()
        with pytest.raises(Conflict) as caught:
            await redriving
        assert caught.value.code == "letter_topic_gone"
        assert len(bench.broker.topics) == 0
        assert peer.seqs == [1]


@pytest.mark.parametrize("name", [None, "s"])
@pytest.mark.parametrize("wrong", [{"start": StartAt()}, {"max_in_flight": 0}])
async def test_a_subscribe_that_cannot_be_makes_nothing(bench: Bench, name, wrong):
    with pytest.raises(InvalidRequest):
        await bench.subscribe("a", subscription=name, **wrong)
    assert len(bench.broker.topics) == 0


async def test_a_subscribe_that_contradicts_what_is_there_makes_nothing(bench: Bench):
    connection, peer = await bench.subscribe("a", subscription="s")
    with pytest.raises(Conflict):
        await bench.subscribe("b", subscription="s")
    assert len(bench.broker.topics) == 1
    await bench.publish("a")
    connection.verbs.ack(Ack(topic="a", seq=1))
    assert peer.seqs == [1]
