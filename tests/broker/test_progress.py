"""When progress is stored, and what they are told who wait for that."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from conduit.broker import changes
from conduit.broker.deliver import progress
from conduit.errors import OutcomeUnknown, StoreUnavailable, Unavailable
from conduit.protocol.frames import Ack, Reject
from conduit.storage.dead_letters import DeadFilter
from conduit.storage.memory import MemoryStore
from tests.broker.kit import Bench, running_broker
from tests.broker.stores import FailingStore, SlowStore, UnansweredStore
from tests.storage.given import letters_count


def ids(peer):
    return [frame["message_id"] for frame in peer.of("message")]


async def places(bench: Bench):
    """(floor, cursor) of the first subscription in its topic, as they are stored."""
    return [(row.floor, row.cursor) for row in await bench.broker.store.progress(1)]


def deaths_left(bench: Bench):
    (running,) = bench.broker._owned.running()
    return bench.broker._engine.progress.deaths_left(next(iter(running.cursors.values())))


async def test_what_was_acked_during_the_last_flush_is_stored_before_the_broker_has_stopped():
    store = SlowStore()
    async with running_broker(store) as bench:
        connection, peer = await bench.subscribe("t", subscription="s")
        await bench.publish_many("t", 2)
        store.held.add("settle")
        connection.verbs.ack(Ack(ids(peer)[0], ref="one"))
        await bench.until(lambda: bool(store.waiting))
        connection.verbs.ack(Ack(ids(peer)[1], ref="two"))
        stopping = asyncio.get_running_loop().create_task(bench.broker.stop())
        await bench.rest()
        store.release()
        await stopping
        assert await places(bench) == [(2, 2)]
        assert [frame["ref"] for frame in peer.of("acked")] == ["one", "two"]


@pytest.mark.parametrize("subscription", ["s", None])
async def test_what_somebody_did_who_has_left_is_stored_soon(
    bench: Bench, monkeypatch, subscription
):
    monkeypatch.setattr(progress, "FLUSH_INTERVAL_S", 3600)
    connection, peer = await bench.subscribe("t", subscription=subscription)
    await bench.publish_many("t", 2)
    first, second = ids(peer)
    connection.verbs.reject(Reject(first, reason="no"))
    connection.verbs.ack(Ack(second))
    await bench.rest()
    assert await letters_count(bench.broker.store, "default", DeadFilter()) == 0
    connection.close()
    for _ in range(250):
        if not bench.broker._engine.progress._has_work:
            break
        await asyncio.sleep(progress.SOON_S)
    assert await letters_count(bench.broker.store, "default", DeadFilter()) == 1
    if subscription:
        assert await places(bench) == [(2, 2)]


class MuteStore(FailingStore):
    """Its progress is written while it `fails`, and it does not say so."""

    async def settle(self, *args):
        if self.fails:
            await MemoryStore.settle(self, *args)
            raise OutcomeUnknown("the connection broke")
        return await super().settle(*args)


@pytest.mark.parametrize(
    ("store", "error"), [(FailingStore, StoreUnavailable), (MuteStore, OutcomeUnknown)]
)
async def test_who_waits_for_a_store_that_is_away_is_told_so_when_the_broker_stops(store, error):
    store = store()
    async with running_broker(store) as bench:
        connection, peer = await bench.subscribe("t", subscription="s")
        await bench.publish("t")
        store.fails = True
        connection.verbs.ack(Ack(ids(peer)[0], ref="one"))
        waiting = asyncio.get_running_loop().create_task(bench.broker._engine.progress.stored())
        await bench.rest()
        await bench.broker.stop()
        with pytest.raises(error):
            await waiting
        (refused,) = peer.of("error")
        assert (refused["ref"], refused["code"]) == ("one", error("").code)


async def test_a_failure_before_the_broker_stops_does_not_cost_what_was_acked():
    store = FailingStore()
    async with running_broker(store) as bench:
        connection, peer = await bench.subscribe("t", subscription="s")
        await bench.publish("t")
        await bench.flush()
        store.fails = True
        connection.verbs.ack(Ack(ids(peer)[0], ref="one"))
        await bench.until(lambda: bench.broker._engine.progress._failed_count == 1)
        stopping = asyncio.get_running_loop().create_task(bench.broker.stop())
        store.fails = False
        await stopping
        assert await places(bench) == [(1, 1)]
        assert [frame["ref"] for frame in peer.of("acked")] == ["one"]


async def test_what_a_deletion_could_not_store_is_stored_before_the_broker_has_stopped(monkeypatch):
    monkeypatch.setattr(progress, "FLUSH_INTERVAL_S", 0)
    store, loop = UnansweredStore(), asyncio.get_running_loop()
    async with running_broker(store) as bench:
        connection, peer = await bench.subscribe("t", subscription="s")
        await bench.broker.topics.create("default", "other")
        await bench.publish("t")
        await bench.flush()
        store.held.add("settle")
        connection.verbs.ack(Ack(ids(peer)[0]))
        await bench.until(lambda: bool(store.waiting))
        deleting = loop.create_task(bench.broker.topics.delete("default", "other"))
        stopping = loop.create_task(bench.broker.stop())
        await bench.rest()
        # The last flush fails, and while it waits to try again the deletion stores the same in vain.
        store.release()
        store.held.add("settle")
        await bench.until(lambda: len(store.waiting) == 2)
        await bench.rest()
        store.release()
        await stopping
        assert await places(bench) == [(1, 1)]
        with pytest.raises(StoreUnavailable):
            await deleting


async def test_after_the_broker_has_stopped_nobody_waits_for_progress(bench: Bench):
    await bench.broker.stop()
    with pytest.raises(Unavailable):
        await bench.broker._engine.progress.stored()


async def test_confirmations_that_wait_in_a_flush_count_too(monkeypatch):
    monkeypatch.setattr(progress, "CONFIRMATIONS_MAX_COUNT", 1)
    store = SlowStore()
    async with running_broker(store) as bench:
        connection, peer = await bench.subscribe("t", subscription="s")
        await bench.publish_many("t", 2)
        store.held.add("settle")
        connection.verbs.ack(Ack(ids(peer)[0], ref="one"))
        await bench.until(lambda: bool(store.waiting))
        connection.verbs.ack(Ack(ids(peer)[1], ref="two"))
        assert [(one["ref"], one["code"]) for one in peer.of("error")] == [("two", "overloaded")]
        store.release()


async def test_a_deletion_that_is_given_up_while_it_stores_progress_loses_none_of_it(monkeypatch):
    store = SlowStore()
    async with running_broker(store) as bench:
        connection, peer = await bench.subscribe("t", subscription="s")
        await bench.publish("t")
        await bench.flush()
        connection.verbs.ack(Ack(ids(peer)[0]))
        store.held.add("settle")
        monkeypatch.setattr(changes, "CHANGE_TIMEOUT_S", 0.01)
        with pytest.raises(StoreUnavailable):
            await bench.broker.subscriptions.delete("default", "s")
        store.release()
        await bench.flush()
        assert await places(bench) == [(1, 1)]


async def acked_and_sought(bench: Bench, call: str):
    """Everything is acked, and sought back to the beginning, of which one hangs at first."""
    store, loop = bench.broker.store, asyncio.get_running_loop()
    connection, peer = await bench.subscribe("t", subscription="s")
    await bench.publish_many("t", 5)
    await bench.flush()
    seek = partial(bench.broker.subscriptions.seek, "default", "s", "earliest", dry_run=False)
    ack = Ack(topic="t", seq=5, ref="all")
    store.held.add(call)
    if call == "settle":
        connection.verbs.ack(ack)
        await bench.until(lambda: bool(store.waiting))
        seeking = loop.create_task(seek())
    else:
        seeking = loop.create_task(seek())
        await bench.until(lambda: bool(store.waiting))
        connection.verbs.ack(ack)
    for _ in range(5):
        await bench.rest()
    assert not seeking.done()
    store.release()
    await seeking
    return peer


@pytest.mark.parametrize("call", ["settle", "seek"])
async def test_a_seek_that_was_answered_is_not_undone_by_a_flush_that_overlaps_it(call):
    async with running_broker(SlowStore()) as bench:
        peer = await acked_and_sought(bench, call)
        # What a crash would find now.
        ((floor, _),) = await places(bench)
        assert floor == 0
        await bench.rest()
        assert peer.seqs == [1, 2, 3, 4, 5] * 2
        await bench.flush()
        assert await places(bench) == [(0, 5)]


async def test_what_its_last_subscriber_leaves_while_another_is_changed_is_unloaded():
    store = SlowStore()
    async with running_broker(store) as bench:
        loop, owned = asyncio.get_running_loop(), bench.broker._owned
        connection, _ = await bench.subscribe("t", subscription="s")
        other, _ = await bench.subscribe("u", subscription="other")
        store.held.add("subscription_update")
        pausing = loop.create_task(bench.broker.subscriptions.pause("default", "other"))
        await bench.until(lambda: bool(store.waiting))
        connection.close()
        await bench.flush()
        assert [running.group.name for running in owned.running()] == ["other"]
        store.release()
        await pausing
        other.close()
        await bench.flush()
        assert owned.running() == []


class CountingStore(SlowStore):
    """Keeps how many (subscriptions' topics, deaths) each settle stored."""

    def __init__(self):
        super().__init__()
        self.settled = []

    async def settle(self, progress, deaths, redriven=()):
        self.settled.append((len(progress), len(deaths)))
        for death in deaths:
            assert death.topic_id in {row.topic_id for row in progress}
        return await super().settle(progress, deaths, redriven)


async def test_much_progress_is_stored_in_parts_each_with_what_died_there(monkeypatch):
    monkeypatch.setattr(progress, "FLUSH_MAX_COUNT", 4)
    store = CountingStore()
    async with running_broker(store) as bench:
        connection, peer = await bench.subscribe("t.*", subscription="s")
        for number in range(10):
            await bench.broker.topics.create("default", f"t.{number}")
            await bench.publish(f"t.{number}")
        await bench.flush()
        store.settled.clear()
        store.held.add("settle")
        for message_id in ids(peer)[:9]:
            connection.verbs.reject(Reject(message_id))
        connection.verbs.ack(Ack(ids(peer)[9], ref="done"))
        await bench.until(lambda: bool(store.waiting))
        assert not peer.of("acked")
        store.release()
        await bench.until(lambda: bool(peer.of("acked")))
        assert store.settled == [(4, 4), (4, 4), (2, 1)]
        assert deaths_left(bench) == progress.DEATHS_MAX_COUNT


async def test_a_part_that_is_not_stored_is_tried_again_with_what_came_since(monkeypatch):
    monkeypatch.setattr(progress, "FLUSH_MAX_COUNT", 2)
    store = FailingStore()
    async with running_broker(store) as bench:
        connection, peer = await bench.subscribe("t.*", subscription="s", max_in_flight=50)
        for number in range(5):
            await bench.broker.topics.create("default", f"t.{number}")
            await bench.publish_many(f"t.{number}", 2)
        await bench.flush()
        store.fails = True
        for message_id in ids(peer)[::2]:
            connection.verbs.reject(Reject(message_id))
        with pytest.raises(StoreUnavailable):
            await bench.broker._engine.progress.flush()
        for message_id in ids(peer)[1::2]:
            connection.verbs.reject(Reject(message_id))
        assert deaths_left(bench) == progress.DEATHS_MAX_COUNT - 10
        store.fails = False
        await bench.flush()
        assert await letters_count(store, "default", DeadFilter()) == 10
        assert [row.floor for row in await store.progress(1)] == [2] * 5
        assert deaths_left(bench) == progress.DEATHS_MAX_COUNT
