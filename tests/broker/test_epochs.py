"""Topics that are deleted and made anew: everybody who followed them is told."""

import asyncio

import pytest

from conduit.errors import StoreUnavailable
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.codec import parse_time
from conduit.protocol.codes import CLOSE_TOPIC_DELETED
from conduit.protocol.frames import Ack, StartAt, StartPosition
from conduit.storage.memory import MemoryStore
from tests.broker.kit import Bench, running_broker
from tests.broker.stores import SlowStore


async def make_anew(bench: Bench, name: str) -> str:
    await bench.broker.topics.delete(T, name)
    topic = await bench.broker.topics.create(T, name)
    await bench.rest()
    return topic.epoch


def kinds(peer):
    return [frame["type"] for frame in peer.frames if frame["type"] in ("message", "gap")]


@pytest.mark.parametrize("name", [None, "s"], ids=["ephemeral", "durable"])
@pytest.mark.parametrize("ack", ["auto", "explicit"])
async def test_who_follows_by_a_pattern_is_told_before_the_first_message(bench: Bench, name, ack):
    await bench.broker.topics.create(T, "o.a")
    _, peer = await bench.subscribe("o.*", subscription=name, ack=ack)
    receipts = await bench.publish_many("o.a", 3)
    epoch = await make_anew(bench, "o.a")
    await bench.publish("o.a")
    gone_count = 0 if ack == "auto" else 1
    assert kinds(peer) == ["message"] * 3 + ["gap"] * (gone_count + 1) + ["message"]
    *gone, gap = peer.of("gap")
    assert [(each["to_seq"], each["epoch"]) for each in gone] == [(3, "")] * gone_count
    assert (gap["topic"], gap["to_seq"], gap["reason"]) == ("o.a", None, "epoch_changed")
    assert gap["epoch"] == epoch
    assert gap.get("subscription") == name
    assert gap["from_seq"] == (4 if ack == "auto" else 1 if name else gap["from_seq"])
    epochs = [frame["epoch"] for frame in peer.of("message")]
    assert epochs == [receipts[0].epoch] * 3 + [epoch]


@pytest.mark.parametrize("pattern", ["o.a", "o.*"])
async def test_a_durable_subscription_that_was_away_is_told_until_it_has_heard_it(
    bench: Bench, pattern
):
    await bench.broker.topics.create(T, "o.a")
    connection, peer = await bench.subscribe(pattern, subscription="s")
    await bench.publish_many("o.a", 5)
    connection.verbs.ack(Ack(topic="o.a", seq=2))
    connection.close()
    await bench.flush()
    await make_anew(bench, "o.a")
    await bench.publish("o.a", "new")
    for ack in (False, True):
        connection, peer = await bench.subscribe(pattern, subscription="s")
        assert kinds(peer) == ["gap", "message"]
        assert [gap["from_seq"] for gap in peer.of("gap")] == [3]
        assert peer.seqs == [1]
        if ack:
            connection.verbs.ack(Ack(topic="o.a", seq=1))
        connection.close(lost=True)
        await bench.flush()
    await bench.publish("o.a", "newer")
    _, peer = await bench.subscribe(pattern, subscription="s")
    assert kinds(peer) == ["message"]


async def test_one_that_never_had_anything_is_told_too(bench: Bench):
    await bench.broker.topics.create(T, "a")
    await bench.broker.subscriptions.create(T, "s", "a", bench.durable_settings(), None)
    await bench.publish_many("a", 5)
    await make_anew(bench, "a")
    await bench.publish("a")
    _, peer = await bench.subscribe("a", subscription="s")
    assert kinds(peer) == ["gap", "message"]


async def test_a_topic_that_was_never_there_before_is_no_gap(bench: Bench):
    _, peer = await bench.subscribe("o.*", subscription="s")
    await bench.broker.topics.create(T, "o.a")
    await bench.publish("o.a")
    assert kinds(peer) == ["message"]


async def test_a_position_without_an_epoch_is_not_trusted_in_a_younger_topic(bench: Bench):
    await bench.broker.topics.create(T, "o.a")
    connection, peer = await bench.subscribe("o.*")
    (welcome,) = peer.of("subscribed")
    await bench.publish_many("o.a", 5)
    connection.close()
    bench.clock.seconds += 1
    await make_anew(bench, "o.a")
    await bench.publish_many("o.a", 10)
    assert parse_time(welcome["at"]) < bench.broker.topics.get(T, "o.a").created_at_ms
    start = StartAt(positions={"o.a": StartPosition(6)}, time=welcome["at"])
    _, peer = await bench.subscribe("o.*", start=start)
    assert peer.of("subscribed")[0]["recovered"] is False
    assert kinds(peer) == ["gap"] + ["message"] * 10


async def test_who_named_a_deleted_topic_is_closed_and_holds_nothing(bench: Bench):
    one, peer = await bench.subscribe("a", subscription="s")
    await bench.publish_many("a", 3)
    await bench.broker.topics.delete(T, "a")
    assert peer.closed is not None
    assert peer.closed[0] == CLOSE_TOPIC_DELETED
    assert bench.broker.gauges().subscriber_count == 0
    # Its connection is closing; a second one is served by the topic made anew, and it is not.
    _, again = await bench.subscribe("a", subscription="s")
    await bench.publish("a")
    assert (kinds(again), len(peer.seqs)) == (["gap", "message"], 3)
    one.close()
    await bench.publish("a")
    assert again.seqs == [1, 2]


async def test_a_topic_that_is_deleted_while_its_subscription_is_loaded_is_there_again():
    store = SlowStore()
    async with running_broker(store) as bench:
        connection, _ = await bench.subscribe("a", subscription="s")
        connection.close()
        await bench.flush()
        store.held.add("progress")
        loop = asyncio.get_running_loop()
        subscribing = loop.create_task(bench.subscribe("a", subscription="s"))
        await bench.until(lambda: store.waiting == ["progress"])
        await bench.broker.topics.delete(T, "a")
        store.release()
        _, peer = await subscribing
        await bench.publish("a")
        assert peer.seqs == [1]


async def test_a_topic_that_is_deleted_after_what_was_before_it_was_asked_for_is_told_as_well():
    store = SlowStore()
    async with running_broker(store) as bench:
        connection, _ = await bench.subscribe("a", subscription="s")
        connection.close()
        await bench.flush()
        store.held.add("former")
        loop = asyncio.get_running_loop()
        subscribing = loop.create_task(bench.subscribe("a", subscription="s"))
        await bench.until(lambda: store.waiting == ["former"])
        await bench.broker.topics.delete(T, "a")
        store.release()
        _, peer = await subscribing
        await bench.publish("a")
        assert kinds(peer) == ["gap", "message"]


async def test_of_two_that_went_while_it_was_loaded_the_last_is_what_is_heard_of():
    store = SlowStore()
    async with running_broker(store) as bench:
        connection, _ = await bench.subscribe("o.*", subscription="s")
        await bench.broker.topics.create(T, "o.a")
        connection.close()
        await bench.flush()
        (record,) = await store.subscriptions()
        store.held.add("progress")
        loop = asyncio.get_running_loop()
        subscribing = loop.create_task(bench.subscribe("o.*", subscription="s"))
        await bench.until(lambda: store.waiting == ["progress"])
        epochs = [await make_anew(bench, "o.a") for _ in range(3)]
        store.release()
        connection, peer = await subscribing
        await bench.publish("o.a")
        assert kinds(peer) == ["gap", "message"]
        assert peer.of("gap")[0]["epoch"] == epochs[-1]
        connection.verbs.ack(Ack(topic="o.a", seq=1))
        await bench.flush()
        assert not await store.former(record.subscription_id)


class UndecidedStore(MemoryStore):
    """A deletion waits for `answers`, and is refused then, if `is_asked` is given."""

    is_asked: asyncio.Event | None = None

    def __init__(self) -> None:
        super().__init__()
        self.answers = asyncio.Event()

    async def topic_delete(self, *args):
        if self.is_asked is not None:
            self.is_asked.set()
            await self.answers.wait()
            raise StoreUnavailable("the store is away")
        await super().topic_delete(*args)


async def test_who_comes_while_the_topic_is_deleted_is_told_that_it_was_made_anew():
    store = UndecidedStore()
    async with running_broker(store) as bench:
        await bench.broker.topics.create(T, "o.a")
        connection, _ = await bench.subscribe("o.*", subscription="s")
        connection.close()
        await bench.flush()
        epoch = await make_anew(bench, "o.a")
        store.is_asked = asyncio.Event()
        deleting = asyncio.get_running_loop().create_task(bench.broker.topics.delete(T, "o.a"))
        await store.is_asked.wait()
        _, peer = await bench.subscribe("o.*", subscription="s")
        store.answers.set()
        with pytest.raises(StoreUnavailable):
            await deleting
        await bench.publish("o.a")
        assert kinds(peer) == ["gap", "message"]
        assert peer.of("gap")[0]["epoch"] == epoch
