"""Durable subscriptions take turns by name: what one of them waits for makes no other one wait."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import pytest

from conduit.broker import changes
from conduit.broker.deliver import loading
from conduit.errors import LimitReached, NotFound, OutcomeUnknown, StoreUnavailable
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.frames import Ack, Subscribe
from tests.broker.kit import Bench, running_broker
from tests.broker.stores import SlowStore


class CountingStore(SlowStore):
    """Knows how often each subscription was claimed, and how many are read of at most at once."""

    def __init__(self) -> None:
        super().__init__()
        self.claims: list[int] = []
        self.reading_count = self.reading_max_count = 0

    async def subscription_claim(self, subscription_id, *args, **more):
        self.claims.append(subscription_id)
        await self._pass("subscription_claim")
        return await super().subscription_claim(subscription_id, *args, **more)

    async def subscriptions(self):
        found = await super().subscriptions()
        await self._pass("subscriptions")
        return found

    async def progress(self, *args):
        self.reading_count += 1
        self.reading_max_count = max(self.reading_max_count, self.reading_count)
        try:
            await asyncio.sleep(0)
            return await super().progress(*args)
        finally:
            self.reading_count -= 1


@pytest.fixture
async def bench():
    async with running_broker(CountingStore()) as running:
        await running.broker.topics.create(T, "t")
        yield running


async def hanging(bench: Bench, call: Coroutine, *held: str) -> asyncio.Task:
    """A call that hangs in one of these; later calls of the store do not."""
    store = bench.broker.store
    store.waiting.clear()
    store.held.update(held)
    task = begun(call)
    await bench.until(lambda: bool(store.waiting))
    store.held.clear()
    return task


def begun(call: Coroutine) -> asyncio.Task:
    return asyncio.get_running_loop().create_task(call)


def subscribing(bench: Bench, name: str, topic: str = "t", **given) -> Coroutine:
    return bench.connect()[0].subscribe(Subscribe(topic, subscription=name, **given))


async def made(bench: Bench, *names: str, pattern: str = "t") -> None:
    for name in names:
        settings = bench.durable_settings()
        await bench.broker.subscriptions.create(T, name, pattern, settings, None)


@pytest.mark.parametrize("where", ["subscription_claim", "progress", "former"])
async def test_a_load_that_hangs_makes_no_other_subscription_wait(bench, where):
    subscriptions = bench.broker.subscriptions
    await made(bench, "slow", "old", "moved", "gone")
    slow = await hanging(bench, subscribing(bench, "slow"), where)
    others = [
        subscribing(bench, "old"),
        subscribing(bench, "new"),
        subscriptions.create(T, "made", "t", bench.durable_settings(), None),
        subscriptions.pause(T, "moved"),
        subscriptions.seek(T, "moved", "earliest", dry_run=False),
        subscriptions.delete(T, "gone"),
        bench.broker.topics.create(T, "u"),
        bench.broker.topics.delete(T, "t") if where != "former" else asyncio.sleep(0),
    ]
    tasks = [begun(other) for other in others]
    for _ in range(5):
        await bench.rest()
    assert [task.done() for task in (slow, *tasks)] == [False] + [True] * len(tasks)
    bench.broker.store.release()
    await slow


async def test_a_creation_that_hangs_makes_no_other_subscription_wait(bench):
    slow = await hanging(bench, subscribing(bench, "slow"), "subscription_create")
    for name in ("a", "b"):
        await asyncio.wait_for(subscribing(bench, name), 5)
    assert not slow.done()
    bench.broker.store.release()
    await slow
    names = sorted(record.name for record in bench.broker._owned.everything())
    assert names == ["a", "b", "slow"]


async def test_subscribers_of_one_name_take_turns_and_load_it_once(bench):
    await made(bench, "s")
    first = await hanging(bench, subscribing(bench, "s"), "former")
    second = begun(subscribing(bench, "s"))
    await bench.rest()
    assert not second.done()
    bench.broker.store.release()
    await asyncio.gather(first, second)
    (running,) = bench.broker._owned.running()
    assert (len(running.group.subscribers), len(bench.broker.store.claims)) == (2, 1)


async def test_changes_of_what_is_being_loaded_come_after_it_and_in_their_order(bench):
    await made(bench, "s")
    connection, peer = bench.connect()
    call = connection.subscribe(Subscribe("t", subscription="s"))
    loading_it = await hanging(bench, call, "former")
    subscriptions = bench.broker.subscriptions
    calls = [
        subscriptions.pause(T, "s"),
        subscriptions.delete(T, "s"),
        subscriptions.create(T, "s", "t", bench.durable_settings(), None),
    ]
    tasks = []
    for call in calls:
        tasks.append(begun(call))
        await bench.rest()
    assert not any(task.done() for task in tasks)
    bench.broker.store.release()
    await loading_it
    with pytest.raises(NotFound):
        # It was, and is gone by now.
        await tasks[0]
    await asyncio.gather(*tasks[1:])
    assert [frame["type"] for frame in peer.frames] == ["subscribed", "unsubscribed"]
    assert not bench.broker._owned.get(T, "s").paused
    assert bench.broker._owned.running() == []


async def test_topics_that_go_and_come_during_two_loads_are_told_to_both(bench):
    topics, store = bench.broker.topics, bench.broker.store
    for name in ("gone", "anew", "stays"):
        await topics.create(T, name)
    for name in ("a", "b"):
        await made(bench, name, pattern="*")
    for name in ("gone", "anew", "stays"):
        await bench.publish(name)
    peers = {}
    tasks = []
    for name in ("a", "b"):
        connection, peers[name] = bench.connect()
        call = connection.subscribe(Subscribe("*", subscription=name))
        tasks.append(await hanging(bench, call, "former"))
        # Between the two, and after the second.
        await topics.delete(T, "gone" if name == "a" else "anew")
    await topics.create(T, "anew")
    await topics.create(T, "new")
    for name in ("anew", "new"):
        await bench.publish(name)
    store.release()
    await asyncio.gather(*tasks)
    for peer in peers.values():
        await bench.until(lambda peer=peer: len(peer.of("message")) == 3)
        epoch = topics.get(T, "anew").epoch
        gaps = {frame["topic"]: frame.get("epoch", "") for frame in peer.of("gap")}
        assert gaps == {"gone": "", "anew": epoch}
        assert {frame["topic"] for frame in peer.of("message")} == {"stays", "anew", "new"}


@pytest.mark.parametrize("where", ["subscription_claim", "former"])
async def test_what_others_delete_while_it_is_loaded_does_not_run(bench, where):
    await made(bench, "s")
    slow = await hanging(bench, subscribing(bench, "s"), where)
    await bench.broker.store.subscription_delete(1)
    await bench.broker._owned.learn()
    await made(bench, "other")
    bench.broker.store.release()
    with pytest.raises(NotFound):
        await slow
    assert bench.broker._owned.running() == []
    await subscribing(bench, "s")


async def test_what_is_deleted_and_made_anew_while_the_store_lists_all_is_what_it_is(bench):
    await made(bench, "s", "gone", "paused")
    learning = await hanging(bench, bench.broker._owned.learn(), "subscriptions")
    subscriptions = bench.broker.subscriptions
    await subscriptions.delete(T, "s")
    await subscriptions.delete(T, "gone")
    await subscriptions.pause(T, "paused")
    await made(bench, "s", "new")
    bench.broker.store.release()
    await learning
    records = {
        one.name: (one.subscription_id, one.paused) for one in bench.broker._owned.everything()
    }
    assert records == {"paused": (3, True), "s": (4, False), "new": (5, False)}


async def test_a_pause_that_the_store_does_not_answer_in_time_is_known_when_it_does(
    bench, monkeypatch
):
    await made(bench, "s")
    with monkeypatch.context() as patch:
        patch.setattr(changes, "CHANGE_TIMEOUT_S", 0.01)
        bench.broker.store.held.add("subscription_update")
        with pytest.raises(OutcomeUnknown):
            await bench.broker.subscriptions.pause(T, "s")
        # Its turn is over when that is known.
        with pytest.raises(StoreUnavailable):
            await bench.broker.subscriptions.resume(T, "s")
        with pytest.raises(StoreUnavailable):
            await subscribing(bench, "s")
    bench.broker.store.release()
    await bench.until(lambda: bench.broker._owned.get(T, "s").paused)
    assert not (await bench.broker.subscriptions.resume(T, "s")).record.paused


async def test_those_that_are_being_created_count_towards_the_limit():
    async with running_broker(SlowStore(), max_subscriptions=2) as bench:
        await bench.broker.topics.create(T, "t")
        await made(bench, "one")
        slow = await hanging(bench, subscribing(bench, "slow"), "subscription_create")
        with pytest.raises(LimitReached, match="CONDUIT_MAX_SUBSCRIPTIONS"):
            await made(bench, "three")
        bench.broker.store.release()
        await slow
        await bench.broker.subscriptions.delete(T, "one")
        await made(bench, "three")


async def test_of_subscriptions_on_many_topics_few_are_read_at_once(bench, monkeypatch):
    monkeypatch.setattr(loading, "LARGE_TOPIC_COUNT", 1)
    await bench.broker.topics.create(T, "u")
    names = [f"s{number}" for number in range(9)]
    await made(bench, *names, pattern="*")
    await asyncio.gather(*(subscribing(bench, name, "*") for name in names))
    assert bench.broker.store.reading_max_count == loading.LARGE_AT_ONCE_COUNT
    assert len(bench.broker._owned.running()) == 9


async def test_a_broker_stops_while_several_wait_for_a_name(bench):
    await made(bench, "s")
    first = await hanging(bench, subscribing(bench, "s"), "former")
    waiting = [
        begun(subscribing(bench, "s")),
        begun(bench.broker.subscriptions.pause(T, "s")),
        begun(bench.broker.subscriptions.delete(T, "s")),
    ]
    await bench.rest()
    stopping = begun(bench.broker.stop())
    await bench.rest()
    bench.broker.store.release()
    await stopping
    await asyncio.gather(first, *waiting, return_exceptions=True)
    assert all(task.done() for task in (first, *waiting))


async def test_nothing_is_kept_of_names_whose_turns_are_over(bench):
    connection, peer = await bench.subscribe("t", subscription="s")
    await bench.publish("t")
    connection.verbs.ack(Ack(peer.of("message")[0]["message_id"]))
    connection.close()
    await bench.broker.subscriptions.delete(T, "s")
    await bench.rest()
    assert len(bench.broker._owned.turns._locks) == 0


async def test_a_topic_that_goes_again_as_it_was_made_for_who_loads_a_subscription_is_made_once_more():
    store, spawn = SlowStore(), asyncio.get_running_loop().create_task
    async with running_broker(store) as bench:

        async def held(call: str) -> None:
            await bench.until(lambda: store.waiting[-1:] == [call])

        def go_on(next_held: str | None) -> None:
            store.release()
            store.held.update({next_held} if next_held else ())

        connection, _ = await bench.subscribe("t", subscription="s")
        connection.close()
        await bench.flush()
        await bench.flush()
        store.held.add("former")
        subscribing = spawn(bench.subscribe("t", subscription="s"))
        await held("former")
        await bench.broker.topics.delete(T, "t")
        go_on("topic_created")
        await held("topic_created")
        deleting = spawn(bench.broker.topics.delete(T, "t"))
        await bench.rest()
        go_on("topic_delete")
        await held("topic_delete")
        go_on(None)
        await deleting
        _, peer = await subscribing
        await bench.publish("t")
        await bench.rest()
        assert peer.seqs == [1]
