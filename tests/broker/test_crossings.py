"""Creations of subscriptions and deletions of topics that concern one another: who waits for whom."""

from __future__ import annotations

import asyncio

import pytest

from conduit.broker.allowances import Allowance
from conduit.broker.deliver.crossings import Crossings
from conduit.broker.topics import Topic
from conduit.core.message import Retention, TopicRecord
from conduit.errors import StoreUnavailable
from conduit.protocol.codes import CLOSE_MOVED
from tests.broker.kit import Bench, running_broker
from tests.broker.stores import SlowStore

T = "default"


def topic(name: str) -> Topic:
    return Topic(TopicRecord(1, T, name, "epoch", 0, 1, 0, 0, Retention()), Allowance(T))


async def rest() -> None:
    for _ in range(9):
        await asyncio.sleep(0)


def begun(call) -> asyncio.Task:
    return asyncio.get_running_loop().create_task(call)


async def deleting(bench: Bench, store: SlowStore) -> asyncio.Task:
    """The deletion of topic `a` with two messages, which is with the store."""
    await bench.broker.topics.create(T, "a")
    await bench.publish_many("a", 2)
    store.held.add("topic_delete")
    deletion = begun(bench.broker.topics.delete(T, "a"))
    await bench.until(lambda: store.waiting == ["topic_delete"])
    return deletion


@pytest.mark.parametrize(
    ("tenant", "pattern", "waits"),
    [(T, "orders.*", True), (T, ">", True), (T, "bills.*", False), ("other", ">", False)],
)
async def test_a_deletion_waits_for_creations_that_its_topic_belongs_to(tenant, pattern, waits):
    crossings = Crossings()
    with crossings.creation(tenant, pattern):
        deletion = begun(crossings.before_deletion(topic("orders.eu")))
        await rest()
        assert deletion.done() is not waits
    await deletion
    assert not crossings._creations
    assert not crossings._deletions


async def test_creations_that_come_later_wait_for_the_deletion_and_others_do_not():
    crossings = Crossings()
    with crossings.creation(T, ">"):
        deletion = begun(crossings.before_deletion(topic("a")))
        await rest()
        later, other = (begun(crossings.before_creation(T, name)) for name in ("a", "b"))
        await rest()
        assert (later.done(), other.done()) == (False, True)
    await asyncio.gather(deletion, later)


async def test_a_deletion_that_is_given_up_lets_creations_go_on():
    crossings = Crossings()
    with crossings.creation(T, ">"):
        deletion = begun(crossings.before_deletion(topic("a")))
        await rest()
        later = begun(crossings.before_creation(T, "a"))
        await rest()
        deletion.cancel()
        await later


async def test_creations_without_end_do_not_hold_up_a_deletion():
    store = SlowStore()
    async with running_broker(store) as bench:
        await bench.broker.topics.create(T, "a")
        settings = bench.durable_settings()
        is_over = False

        async def create_for_ever(kind: str) -> int:
            count = 0
            while not is_over:
                await bench.broker.subscriptions.create(T, f"{kind}{count}", ">", settings, None)
                count += 1
            return count

        store.held.add("subscription_create")
        creating = [begun(create_for_ever(kind)) for kind in "xyz"]
        await bench.until(lambda: len(store.waiting) == len(creating))
        deletion = begun(bench.broker.topics.delete(T, "a"))
        await rest()
        assert not deletion.done()
        store.release()
        await bench.until(deletion.done)
        is_over = True
        assert sum(await asyncio.gather(*creating)) >= len(creating)


@pytest.mark.parametrize("is_loading", [False, True])
async def test_a_subscription_made_after_a_topic_was_deleted_is_told_nothing_of_it(is_loading):
    store = SlowStore()
    async with running_broker(store) as bench:
        deletion = await deleting(bench, store)
        store.held = {"former"} if is_loading else set()
        subscribing = begun(bench.subscribe(">", subscription="s"))
        if is_loading:
            await bench.until(lambda: "former" in store.waiting)
            store.release()
            await deletion
        _, peer = await subscribing
        store.release()
        await deletion
        await bench.rest()
        assert peer.of("gap") == []
        (view,) = (await bench.broker.subscriptions.list(T, q=None, limit=9, after=None)).views
        assert view.lag == 0
        await bench.broker.topics.create(T, "a")
        await bench.publish("a")
        assert peer.seqs == [1]


class RefusingStore(SlowStore):
    """It keeps its topics."""

    async def topic_delete(self, *_):
        await self._pass("topic_delete")
        raise StoreUnavailable("it is full")


@pytest.mark.parametrize("start", ["earliest", None])
async def test_a_subscription_made_while_a_topic_could_not_be_deleted_misses_nothing_of_it(start):
    store = RefusingStore()
    async with running_broker(store) as bench:
        deletion = await deleting(bench, store)
        _, first = await bench.subscribe(">", subscription="s", start=start)
        store.release()
        with pytest.raises(StoreUnavailable):
            await deletion
        await bench.flush()
        assert first.closed == (CLOSE_MOVED, "subscription moved")
        _, second = await bench.subscribe(">", subscription="s")
        await bench.publish("a")
        assert first.seqs + second.seqs == ([1, 2, 3] if start else [3])
        assert first.of("gap") + second.of("gap") == []
