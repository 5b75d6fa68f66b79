"""Changes of subscriptions whose answers are lost, or that overlap what is settled."""

import asyncio

import pytest

from conduit.broker import changes, turn
from conduit.broker.administer import altering
from conduit.broker.deliver import owned, router
from conduit.errors import NotFound, OutcomeUnknown, StoreUnavailable
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.frames import Ack, Nack, Reject, Subscribe
from conduit.storage.dead_letters import DeadFilter
from conduit.storage.memory import MemoryStore
from tests.broker.kit import Bench, running_broker
from tests.broker.stores import LosingStore
from tests.storage.given import letters_count


@pytest.fixture
async def bench():
    async with running_broker(LosingStore()) as bench:
        yield bench


async def stored(bench: Bench):
    (record,) = await bench.broker.store.subscriptions()
    return record


async def test_a_pause_that_happened_is_answered_although_the_answer_of_the_store_was_lost(bench):
    _, peer = await bench.subscribe("t", subscription="s")
    bench.broker.store.lost["subscription_update"] = True
    assert (await bench.broker.subscriptions.pause(T, "s")).record.paused
    await bench.publish("t")
    assert peer.seqs == []


class UnreadableStore(MemoryStore):
    """Where subscriptions are cannot be read while it `fails`."""

    fails = False

    async def progress(self, *args):
        if self.fails:
            raise StoreUnavailable("no connection was free in time")
        return await super().progress(*args)


@pytest.mark.parametrize("change", ["create", "update", "pause", "resume", "subscribe"])
async def test_a_change_after_which_nothing_can_be_read_is_not_answered_as_not_done(change):
    async with running_broker(UnreadableStore()) as bench:
        subscriptions, settings = bench.broker.subscriptions, bench.durable_settings()
        await bench.broker.topics.create(T, "t")
        await bench.publish("t")
        await subscriptions.create(T, "s", "t", settings, "earliest")
        bench.broker.store.fails = True
        asked = {
            "create": lambda: subscriptions.create(T, "new", "t", settings, "earliest"),
            "update": lambda: subscriptions.update(T, "s", {"max_attempts": 9}),
            "pause": lambda: subscriptions.pause(T, "s"),
            "resume": lambda: subscriptions.resume(T, "s"),
            "subscribe": lambda: bench.subscribe("t", subscription="new", start="earliest"),
        }
        with pytest.raises(OutcomeUnknown):
            await asked[change]()
        # What is there can be read again, or not; that changes nothing.
        with pytest.raises(StoreUnavailable):
            await subscriptions.get(T, "s")
        if change in ("create", "subscribe"):
            assert len(await bench.broker.store.subscriptions()) == 2


async def test_a_pause_that_did_not_happen_changes_nothing(bench):
    _, peer = await bench.subscribe("t", subscription="s")
    bench.broker.store.lost["subscription_update"] = False
    with pytest.raises(OutcomeUnknown):
        await bench.broker.subscriptions.pause(T, "s")
    await bench.publish("t")
    assert (peer.seqs, (await stored(bench)).paused) == ([1], False)


async def test_settings_of_which_the_store_does_not_tell_are_those_that_it_has_when_it_does(
    bench, monkeypatch
):
    monkeypatch.setattr(altering, "LEARN_AGAIN_S", 0.0)
    _, peer = await bench.subscribe("t", subscription="s")
    store = bench.broker.store
    store.lost["subscription_update"] = store.is_mute = True
    with pytest.raises(OutcomeUnknown):
        await bench.broker.subscriptions.pause(T, "s")
    await bench.rest()
    store.is_mute = False
    record = bench.broker._owned.get(T, "s")
    await bench.until(lambda: record.paused)
    await bench.publish("t")
    assert peer.seqs == []


async def test_a_deletion_of_which_the_store_does_not_tell_is_done_when_it_does(bench, monkeypatch):
    monkeypatch.setattr(altering, "LEARN_AGAIN_S", 0.0)
    _, peer = await bench.subscribe("t", subscription="s")
    store = bench.broker.store
    store.lost["subscription_delete"] = store.is_mute = True
    with pytest.raises(OutcomeUnknown):
        await bench.broker.subscriptions.delete(T, "s")
    store.is_mute = False
    await bench.until(lambda: bench.broker._owned.find(T, "s") is None)
    assert len(peer.of("unsubscribed")) == 1


class HangingStore(LosingStore):
    """Creates nothing before `creates` is set, and tells what it has when `tells` is."""

    def __init__(self) -> None:
        super().__init__()
        self.creates, self.tells = asyncio.Event(), asyncio.Event()
        self.tells.set()

    async def subscription_create(self, *args):
        await self.creates.wait()
        return await self._lose("subscription_create", super().subscription_create, *args)

    async def subscriptions(self):
        found = await super().subscriptions()
        await self.tells.wait()
        return found


async def test_what_is_created_while_it_is_asked_what_became_of_a_change_is_not_forgotten(
    monkeypatch,
):
    store = HangingStore()
    async with running_broker(store) as bench:
        subscriptions, settings = bench.broker.subscriptions, bench.durable_settings()
        await bench.broker.topics.create(T, "t")
        store.creates.set()
        await subscriptions.create(T, "old", "t", settings, None)
        store.creates.clear()
        with monkeypatch.context() as patch:
            patch.setattr(changes, "CHANGE_TIMEOUT_S", 0.01)
            with pytest.raises(OutcomeUnknown):
                await subscriptions.create(T, "new", "t", settings, None)
        store.lost["subscription_update"] = True
        store.tells.clear()
        pausing = asyncio.get_running_loop().create_task(subscriptions.pause(T, "old"))
        await bench.rest()
        store.creates.set()
        await bench.rest()
        store.tells.set()
        assert (await pausing).record.paused
        assert [record.name for record in bench.broker._owned.everything()] == ["old", "new"]


async def test_a_creation_that_nobody_waits_for_any_more_is_known_although_its_answer_is_lost(
    monkeypatch,
):
    monkeypatch.setattr(owned, "LOOK_AGAIN_S", (0,))
    store = HangingStore()
    store.lost["subscription_create"] = True
    async with running_broker(store) as bench:
        await bench.broker.topics.create(T, "t")
        settings = bench.durable_settings()
        creating = asyncio.get_running_loop().create_task(
            bench.broker.subscriptions.create(T, "s", "t", settings, None)
        )
        await bench.rest()
        creating.cancel()
        await bench.rest()
        store.creates.set()
        await bench.until(lambda: bench.broker._owned.find(T, "s") is not None)


@pytest.mark.parametrize("happened", [False, True])
async def test_after_a_seek_without_an_answer_it_goes_on_from_where_the_store_has_it(
    bench, happened
):
    connection, peer = await bench.subscribe("t", subscription="s")
    await bench.publish_many("t", 3)
    connection.verbs.ack(Ack(topic="t", seq=2))
    await bench.flush()
    bench.broker.store.lost["seek"] = happened
    with pytest.raises(OutcomeUnknown):
        await bench.broker.subscriptions.seek(T, "s", "earliest", dry_run=False)
    assert peer.closed == (4009, "subscription moved")
    connection.close()
    _, again = await bench.subscribe("t", subscription="s")
    await bench.flush()
    assert again.seqs == ([1, 2, 3] if happened else [3])


async def test_a_seek_without_an_answer_is_not_undone_where_there_are_too_many_topics_to_leave_at_once(
    bench, monkeypatch
):
    # One topic in a turn of the loop.
    monkeypatch.setattr(router, "CLOSED_MAX_COUNT", 1)
    monkeypatch.setattr(turn, "STEPS_MAX_COUNT", 1)
    names = [f"t{number}" for number in range(9)]
    for name in names:
        await bench.broker.topics.create(T, name)
    connection, peer = await bench.subscribe("*", subscription="s")
    for name in names:
        await bench.publish(name)
    await bench.until(lambda: len(peer.seqs) == len(names))
    await bench.flush()
    bench.broker.store.lost["seek"] = True
    for name in names:
        connection.verbs.ack(Ack(topic=name, seq=1))
    with pytest.raises(OutcomeUnknown):
        await bench.broker.subscriptions.seek(T, "s", "earliest", dry_run=False)
    await bench.broker._engine.progress.flush()
    rows = await bench.broker.store.progress(1)
    assert {row.floor for row in rows} <= {0}


@pytest.mark.parametrize("dry_run", [True, False])
async def test_while_it_is_asked_where_a_seek_goes_nobody_is_held_up(bench, dry_run):
    await bench.subscribe("t", subscription="s")
    store = bench.broker.store
    store.held.add("positions")
    seek = bench.broker.subscriptions.seek(T, "s", "earliest", dry_run=dry_run)
    asking = asyncio.get_running_loop().create_task(seek)
    await bench.until(lambda: bool(store.waiting))
    store.held.clear()
    other = bench.connect()[0].subscribe(Subscribe("t", subscription="other"))
    subscribing = asyncio.get_running_loop().create_task(other)
    await bench.rest()
    is_done = subscribing.done()
    store.release()
    await asyncio.gather(asking, subscribing)
    assert is_done


@pytest.mark.parametrize("is_anew", [False, True])
async def test_a_subscription_that_is_deleted_while_it_is_asked_where_a_seek_goes_is_not_moved(
    bench, is_anew
):
    connection, _ = await bench.subscribe("t", subscription="s")
    await bench.publish_many("t", 3)
    store = bench.broker.store
    store.held.add("positions")
    seek = bench.broker.subscriptions.seek(T, "s", "earliest", dry_run=False)
    seeking = asyncio.get_running_loop().create_task(seek)
    await bench.until(lambda: bool(store.waiting))
    store.held.clear()
    await bench.broker.subscriptions.delete(T, "s")
    if is_anew:
        await bench.subscribe("t", subscription="s", start="new")
    store.release()
    with pytest.raises(NotFound):
        await seeking
    await bench.flush()
    rows = [row for id_ in (1, 2) for row in await store.progress(id_)]
    assert [row.floor for row in rows] == ([3] if is_anew else [])
    connection.close()


async def test_two_changes_at_once_both_take_effect(bench):
    await bench.subscribe("t", subscription="s")
    store, subscriptions = bench.broker.store, bench.broker.subscriptions
    store.held.add("subscription_update")
    changes = [subscriptions.update(T, "s", {"max_in_flight": 7}), subscriptions.pause(T, "s")]
    changing = asyncio.gather(*changes)
    await bench.until(lambda: bool(store.waiting))
    store.release()
    await changing
    for record in (await stored(bench), bench.broker._owned.get(T, "s")):
        assert (record.settings.max_in_flight, record.paused) == (7, True)


async def deleting(bench: Bench):
    """A subscription with a delivery out, and its deletion, which the store has not answered."""
    connection, peer = await bench.subscribe("t", subscription="s", max_attempts=1)
    await bench.publish("t")
    await bench.flush()
    bench.broker.store.held.add("subscription_delete")
    deletion = bench.broker.subscriptions.delete(T, "s")
    task = asyncio.get_running_loop().create_task(deletion)
    await bench.until(lambda: bool(bench.broker.store.waiting))
    return connection, peer, task


async def test_what_is_rejected_during_a_deletion_is_not_acked_in_vain(bench):
    connection, peer, deletion = await deleting(bench)
    message_id = peer.of("message")[0]["message_id"]
    connection.verbs.reject(Reject(message_id, ref="reject"))
    connection.verbs.nack(Nack(message_id, ref="last nack"))
    await bench.advance(31.0)
    bench.broker.store.release()
    await deletion
    await bench.rest()
    assert [(one["ref"], one["code"]) for one in peer.of("error")] == [
        ("reject", "overloaded"),
        ("last nack", "overloaded"),
    ]
    assert peer.of("acked") == []
    assert bench.broker.stats.dead_lettered_count == 0


async def test_after_a_deletion_that_failed_its_deliveries_may_die(bench):
    store = bench.broker.store
    connection, peer, deletion = await deleting(bench)
    store.lost["subscription_delete"] = False
    store.release()
    with pytest.raises(OutcomeUnknown):
        await deletion
    connection.verbs.reject(Reject(peer.of("message")[0]["message_id"], ref="r"))
    await bench.flush()
    assert [one["ref"] for one in peer.of("acked")] == ["r"]
    assert await letters_count(store, T, DeadFilter()) == 1


async def test_an_ack_that_is_stored_during_a_deletion_is_told_after_it(bench):
    connection, peer, deletion = await deleting(bench)
    connection.verbs.ack(Ack(peer.of("message")[0]["message_id"], ref="a"))
    for _ in range(5):
        await bench.rest()
    assert peer.of("acked") == []
    bench.broker.store.release()
    await deletion
    with pytest.raises(NotFound):
        await bench.broker.subscriptions.get(T, "s")


class RefusedHalfWay(LosingStore):
    """Another node claims subscription 1 before a settle, whose second part then fails."""

    is_claimed = False

    async def settle(self, progress, deaths, redriven=()):
        if self.is_claimed and any(row.subscription_id != 1 for row in progress):
            raise StoreUnavailable("the store is away")
        return await super().settle(progress, deaths, redriven)


async def test_an_ack_that_the_store_refused_is_not_confirmed_after_a_later_part_failed(
    monkeypatch,
):
    monkeypatch.setattr("conduit.broker.deliver.progress.FLUSH_MAX_COUNT", 1)
    store = RefusedHalfWay()
    async with running_broker(store) as bench:
        connection, peer = await bench.subscribe("t", subscription="s")
        other, others = await bench.subscribe("u", subscription="other")
        await bench.publish("t")
        await bench.publish("u")
        await bench.flush()
        await store.subscription_claim(1)
        store.is_claimed = True
        connection.verbs.ack(Ack(peer.of("message")[0]["message_id"], ref="refused"))
        other.verbs.ack(Ack(others.of("message")[0]["message_id"], ref="stored"))
        with pytest.raises(StoreUnavailable):
            await bench.broker._engine.progress.flush()
        assert peer.closed == (4009, "subscription moved")
        store.is_claimed = False
        await bench.flush()
        assert [one["ref"] for one in others.of("acked")] == ["stored"]
        rows = await store.progress(1)
        assert [(row.floor, row.cursor) for row in rows] == [(0, 1)]


async def test_a_late_refusal_sends_away_only_who_had_the_refused_fence(bench):
    owned = bench.broker._owned
    connection, _ = await bench.subscribe("t", subscription="s")
    await bench.publish("t")
    await bench.flush()
    (old,) = owned.running()
    fence = old.group.fence
    connection.close()
    await bench.flush()
    _, again = await bench.subscribe("t", subscription="s")
    owned.flushed({(1, fence)})
    assert again.closed is None
    (new,) = owned.running()
    owned.flushed({(1, new.group.fence)})
    assert again.closed == (4009, "subscription moved")


async def test_what_died_in_a_subscription_that_is_loaded_anew_is_no_letter_beside_its_delivery(
    bench,
):
    connection, peer = await bench.subscribe("t", subscription="s")
    await bench.publish("t")
    await bench.flush()
    connection.verbs.reject(Reject(peer.of("message")[0]["message_id"]))
    bench.broker._owned.move_away(bench.broker._owned.get(T, "s"), "a test")
    connection.close()
    again, peer = await bench.subscribe("t", subscription="s")
    again.verbs.ack(Ack(peer.of("message")[0]["message_id"]))
    await bench.flush()
    assert await bench.broker.store.dead_list(T, DeadFilter(), limit=1) == []
    assert not bench.broker._engine.progress._marked.deaths_count
