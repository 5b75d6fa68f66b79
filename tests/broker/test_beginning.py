"""Starts that take their time: topics that come and go while the store is asked where a stream begins."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from conduit.broker.deliver.owned import START_GAPS_MAX_COUNT
from conduit.errors import LimitReached
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.codec import format_time
from conduit.protocol.frames import Ack, StartAt, StartPosition, Subscribe
from tests.broker.kit import Bench, Peer, running_broker
from tests.broker.stores import SlowStore


@asynccontextmanager
async def held(bench: Bench, store: SlowStore, call: str, frame: Subscribe) -> AsyncIterator[Peer]:
    """Inside, the answer to `frame` waits for that call; afterwards it is given."""
    store.held.add(call)
    connection, peer = bench.connect()
    subscribing = asyncio.get_running_loop().create_task(connection.subscribe(frame))
    await bench.until(lambda: store.waiting == [call])
    yield peer
    store.release()
    await subscribing
    await bench.rest()


def told(peer: Peer):
    """What came, in its order: `recovered`, gaps, messages."""
    return [frame.get("recovered", frame.get("reason", frame.get("seq"))) for frame in peer.frames]


@pytest.mark.parametrize(
    ("name", "call"), [(None, "extents"), ("s", "extents"), ("s", "progress"), ("s", "former")]
)
@pytest.mark.parametrize("pattern", ["a.b", "a.*"])
async def test_a_topic_that_is_made_anew_meanwhile_is_given_whole_and_told(name, call, pattern):
    store = SlowStore()
    async with running_broker(store) as bench:
        old = await bench.broker.topics.create(T, "a.b")
        await bench.publish_many("a.b", 2)
        position = StartPosition(3, old.epoch)
        start = StartAt(seq=3, epoch=old.epoch)
        if pattern == "a.*":
            start = StartAt(positions={"a.b": position})
        async with held(bench, store, call, Subscribe(pattern, name, start)) as peer:
            await bench.broker.topics.delete(T, "a.b")
            new = await bench.broker.topics.create(T, "a.b")
            await bench.publish_many("a.b", 3)
        await bench.publish("a.b")
        assert told(peer) == [False, "epoch_changed", 1, 2, 3, 4]
        (gap,) = peer.of("gap")
        assert (gap["from_seq"], gap["epoch"], gap.get("subscription")) == (3, new.epoch, name)


@pytest.mark.parametrize("call", ["extents", "former"])
async def test_the_topic_that_a_durable_subscription_names_is_made_again_and_told(call):
    store = SlowStore()
    async with running_broker(store) as bench:
        old = await bench.broker.topics.create(T, "a")
        await bench.publish_many("a", 2)
        frame = Subscribe("a", "s", StartAt(seq=2, epoch=old.epoch))
        async with held(bench, store, call, frame) as peer:
            await bench.broker.topics.delete(T, "a")
        await bench.publish("a")
        assert told(peer) == [False, "epoch_changed", 1]


@pytest.mark.parametrize(
    ("name", "call"), [(None, "extents"), ("s", "extents"), ("s", "subscription_create")]
)
async def test_with_a_time_a_topic_that_is_made_meanwhile_is_given_whole(name, call):
    store = SlowStore()
    async with running_broker(store) as bench:
        known = await bench.broker.topics.create(T, "a.b")
        await bench.publish_many("a.b", 2)
        start = StartAt(
            positions={"a.b": StartPosition(3, known.epoch)},
            time=format_time(int(bench.clock.now() * 1000)),
        )
        async with held(bench, store, call, Subscribe("a.*", name, start)) as peer:
            await bench.broker.topics.create(T, "a.c")
            await bench.publish_many("a.c", 3)
        assert told(peer) == [True, 1, 2, 3]


# Durable subscriptions ----------------------------------------------------------------------------


async def owed(bench: Bench, name: str, *, settled: int, count: int) -> None:
    """The subscription `s` on `a.*` has settled so many of the topic's messages, and nobody is attached."""
    await bench.broker.topics.create(T, name)
    connection, _ = await bench.subscribe("a.*", subscription="s")
    await bench.publish_many(name, count)
    connection.verbs.ack(Ack(topic=name, seq=settled))
    connection.close()
    await bench.flush()


async def made_anew(bench: Bench, name: str) -> None:
    await bench.broker.topics.create(T, name)
    await bench.publish(name)


def told_of(peer: Peer):
    """The gaps' first numbers, and the messages."""
    return [frame.get("from_seq", frame.get("seq")) for frame in peer.frames[1:]]


@pytest.mark.parametrize("call", ["progress", "former"])
async def test_what_was_owed_of_a_topic_that_goes_while_it_is_loaded_is_told(call):
    store = SlowStore()
    async with running_broker(store) as bench:
        await owed(bench, "a.b", settled=2, count=5)
        async with held(bench, store, call, Subscribe("a.*", "s")) as peer:
            await bench.broker.topics.delete(T, "a.b")
        await made_anew(bench, "a.b")
        # That it is gone, and that it was made anew.
        assert told_of(peer) == [3, 3, 1]
        assert [gap["to_seq"] for gap in peer.of("gap")] == [5, None]


async def test_a_topic_that_comes_and_goes_while_it_is_loaded_is_told():
    store = SlowStore()
    async with running_broker(store) as bench:
        await owed(bench, "a.b", settled=1, count=1)
        async with held(bench, store, "former", Subscribe("a.*", "s")) as peer:
            await made_anew(bench, "a.c")
            await bench.broker.topics.delete(T, "a.c")
            await made_anew(bench, "b.c")
            await bench.broker.topics.delete(T, "b.c")
        await made_anew(bench, "b.c")
        await made_anew(bench, "a.c")
        assert told_of(peer) == [1, 1, 1]
        assert [gap["topic"] for gap in peer.of("gap")] == ["a.c", "a.c"]


async def test_it_is_told_from_the_first_one_owed_if_only_the_store_knows_that_the_topic_is_gone():
    store = SlowStore()
    async with running_broker(store) as bench:
        await owed(bench, "a.b", settled=2, count=5)
        store.held.add("topic_delete")
        loop = asyncio.get_running_loop()
        deleting = loop.create_task(bench.broker.topics.delete(T, "a.b"))
        await bench.until(lambda: store.waiting == ["topic_delete"])
        _, peer = await bench.subscribe("a.*", subscription="s")
        store.release()
        await deleting
        await made_anew(bench, "a.b")
        assert told_of(peer) == [3, 3, 1]


async def test_a_topic_that_is_deleted_while_a_subscription_is_created_is_told():
    store = SlowStore()
    async with running_broker(store) as bench:
        await bench.broker.topics.create(T, "a.b")
        await bench.broker.topics.create(T, "b.c")
        await bench.publish_many("a.b", 5)
        store.held.add("subscription_created")
        loop = asyncio.get_running_loop()
        subscriptions = bench.broker.subscriptions
        creating = loop.create_task(
            subscriptions.create(T, "s", "a.*", bench.durable_settings(), "earliest")
        )
        await bench.until(lambda: store.waiting == ["subscription_created"])
        # It waits for nobody who does not follow it.
        await bench.broker.topics.delete(T, "b.c")
        deleting = loop.create_task(bench.broker.topics.delete(T, "a.b"))
        await bench.rest()
        store.release()
        await asyncio.gather(creating, deleting)
        await made_anew(bench, "a.b")
        _, peer = await bench.subscribe("a.*", subscription="s")
        assert told_of(peer) == [1, 1]


# Topics that go at any time -------------------------------------------------------------------------


@pytest.mark.parametrize("is_made_anew", [False, True])
@pytest.mark.parametrize("name", [None, "s"])
@pytest.mark.parametrize("pattern", ["a.b", "a.*"])
@pytest.mark.parametrize("turns", range(12))
async def test_whenever_a_topic_goes_what_is_lost_of_it_is_told(
    bench: Bench, turns, pattern, name, is_made_anew
):
    """The start takes less than ten turns of the loop: the topic goes before, meanwhile and after."""
    topics = bench.broker.topics
    await topics.create(T, "a.c")
    old = await topics.create(T, "a.b")
    await bench.publish_many("a.b", 5)
    start = StartAt(seq=3, epoch=old.epoch)
    if pattern == "a.*":
        start = StartAt(positions={"a.b": StartPosition(3, old.epoch), "a.c": StartPosition(1)})
    connection, peer = bench.connect()
    loop = asyncio.get_running_loop()
    subscribing = loop.create_task(connection.subscribe(Subscribe(pattern, name, start)))
    for _ in range(turns):
        await asyncio.sleep(0)
    await topics.delete(T, "a.b")
    if is_made_anew:
        await topics.ensure(T, "a.b")
    await subscribing
    await bench.rest()
    assert [gap["from_seq"] for gap in peer.of("gap")][:1] == [3]


@asynccontextmanager
async def crossed(bench: Bench, store: SlowStore, frame: Subscribe) -> AsyncIterator[Peer]:
    """Inside, it was found where `frame` begins, and the store is not told of it yet: a deletion comes first,
    which waits for a creation. At the end all of them are over."""
    loop, broker = asyncio.get_running_loop(), bench.broker
    await broker.topics.create(T, "a.first")
    store.held.add("subscription_create")
    settings = bench.durable_settings()
    creating = broker.subscriptions.create(T, "other", "a.first", settings, None)
    under_way = [loop.create_task(creating)]
    await bench.until(lambda: store.waiting == ["subscription_create"])
    under_way.append(loop.create_task(broker.topics.delete(T, "a.first")))
    await bench.rest()
    connection, peer = bench.connect()
    under_way.append(loop.create_task(connection.subscribe(frame)))
    await bench.rest()
    yield peer
    assert store.waiting == ["subscription_create"]
    store.release()
    await asyncio.gather(*under_way)
    await bench.rest()


@pytest.mark.parametrize("is_made_anew", [False, True])
@pytest.mark.parametrize("is_everywhere", [False, True])
async def test_a_topic_that_goes_before_the_store_is_told_of_the_subscription_is_told(
    is_everywhere, is_made_anew
):
    store = SlowStore()
    async with running_broker(store) as bench:
        old = await bench.broker.topics.create(T, "a.b")
        await bench.publish_many("a.b", 5)
        start = StartAt(positions={"a.b": StartPosition(3, old.epoch)})
        if is_everywhere:
            start = StartAt(seq=3, epoch=old.epoch)
        async with crossed(bench, store, Subscribe("a.*", "s", start)) as peer:
            await bench.broker.topics.delete(T, "a.b")
            if is_made_anew:
                await made_anew(bench, "a.b")
        assert peer.of("subscribed")[0]["recovered"] is False
        (gap,) = [gap for gap in peer.of("gap") if gap["topic"] == "a.b"]
        assert (gap["reason"], gap["from_seq"]) == ("epoch_changed", 3)
        assert bool(gap["epoch"]) is is_made_anew
        assert peer.seqs == ([1] if is_made_anew else [])


async def test_more_gaps_than_one_may_begin_with_are_refused_whenever_the_topics_go():
    store = SlowStore()
    async with running_broker(store) as bench:
        await bench.broker.topics.create(T, "a.b")
        names = ["a.b", *(f"a.gone{number}" for number in range(START_GAPS_MAX_COUNT))]
        start = StartAt(positions=dict.fromkeys(names, StartPosition(1)))
        with pytest.raises(LimitReached, match=f"^{START_GAPS_MAX_COUNT + 1} of the positions"):
            async with crossed(bench, store, Subscribe("a.*", "s", start)):
                await bench.broker.topics.delete(T, "a.b")
        assert bench.broker._owned.find(T, "s") is None
