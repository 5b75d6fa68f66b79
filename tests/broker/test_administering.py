"""Durable subscriptions from the outside: views, pause, seek, update, delete, redrive, gaps."""

import asyncio

import pytest

from conduit.core.message import Retention, SubscriptionSettings
from conduit.errors import Conflict, InvalidRequest, NotFound, StoreUnavailable
from conduit.names import DEFAULT_TENANT
from conduit.protocol.frames import Ack, Extend, Nack, Reject, StartAt, StartPosition
from conduit.storage import slices
from conduit.storage.base import Rule, Start
from conduit.storage.dead_letters import DeadFilter
from tests.broker.kit import Bench, running_broker
from tests.broker.nodes import begun
from tests.broker.stores import FailingStore, SlowStore

T = DEFAULT_TENANT


def ack_all(connection, peer):
    for frame in peer.of("message"):
        connection.verbs.ack(Ack(message_id=frame["message_id"]))


async def create(bench: Bench, name="s", **settings):
    chosen = SubscriptionSettings(**settings)
    return await bench.broker.subscriptions.create(T, name, "a", chosen, None)


async def test_a_view_tells_what_is_going_on(bench: Bench):
    await create(bench)
    connection, _peer = await bench.subscribe("a", subscription="s", ref="x")
    await bench.publish_many("a", 5)
    connection.verbs.ack(Ack(topic="a", seq=2))
    view = await bench.broker.subscriptions.get(T, "s")
    assert (view.subscribers, view.in_flight_count, view.topics[0].floor) == (1, 3, 2)
    assert (view.topics[0].last_seq, view.topics[0].lag) == (5, 3)
    connection.close()
    await bench.flush()
    view = await bench.broker.subscriptions.get(T, "s")
    assert (view.subscribers, view.in_flight_count, view.pending_retry_count) == (0, 0, 3)
    assert view.topics[0].floor == 2


async def test_creating_twice_is_a_conflict_and_names_and_ranges_are_checked(bench: Bench):
    await create(bench)
    with pytest.raises(Conflict) as caught:
        await create(bench)
    assert caught.value.code == "subscription_exists"
    with pytest.raises(InvalidRequest):
        await create(bench, name="other", max_in_flight=0)
    with pytest.raises(NotFound):
        await bench.broker.subscriptions.get(T, "nobody")


async def test_a_paused_subscription_hands_out_nothing(bench: Bench):
    _connection, peer = await bench.subscribe("a", subscription="s")
    await bench.broker.subscriptions.pause(T, "s")
    await bench.publish("a")
    assert peer.seqs == []
    _, other = await bench.subscribe("a", subscription="s")
    told = [frame.get("paused") for frame in (*peer.of("subscribed"), *other.of("subscribed"))]
    assert told == [None, True]
    await bench.broker.subscriptions.resume(T, "s")
    await bench.rest()
    assert peer.seqs + other.seqs == [1]


async def test_seeking_goes_back_and_forth_and_a_dry_run_does_nothing(bench: Bench):
    connection, peer = await bench.subscribe("a", subscription="s")
    await bench.publish_many("a", 5)
    ack_all(connection, peer)
    subscriptions = bench.broker.subscriptions
    (place,) = (await subscriptions.seek(T, "s", StartAt(seq=4), dry_run=True)).topics
    assert (place.floor, place.lag) == (3, 2)
    await bench.rest()
    assert len(peer.seqs) == 5
    await subscriptions.seek(T, "s", StartAt(seq=4), dry_run=False)
    await bench.rest()
    assert peer.seqs[5:] == [4, 5]
    connection.close()
    await bench.flush()
    await subscriptions.seek(T, "s", "earliest", dry_run=False)
    _, again = await bench.subscribe("a", subscription="s")
    assert again.seqs == [1, 2, 3, 4, 5]


async def test_settings_change_for_what_is_handed_out_next(bench: Bench):
    _, peer = await bench.subscribe("a", subscription="s", max_in_flight=1)
    await bench.publish_many("a", 3)
    assert peer.seqs == [1]
    await bench.broker.subscriptions.update(T, "s", {"max_in_flight": 3})
    await bench.rest()
    assert peer.seqs == [1, 2, 3]
    with pytest.raises(InvalidRequest):
        await bench.broker.subscriptions.update(T, "s", {"ack": "auto"})


async def test_deleting_a_subscription_ends_its_streams(bench: Bench):
    _, peer = await bench.subscribe("a", subscription="s")
    await bench.broker.subscriptions.delete(T, "s")
    await bench.publish("a")
    assert peer.seqs == []
    assert peer.frames[-1] == {"type": "unsubscribed", "topic": "a", "subscription": "s"}
    with pytest.raises(NotFound):
        await bench.broker.subscriptions.delete(T, "s")


async def test_a_redriven_dead_letter_is_delivered_to_its_subscription_again(bench: Bench):
    connection, peer = await bench.subscribe("a", subscription="s")
    _, other = await bench.subscribe("a", subscription="other")
    await bench.publish_many("a", 2)
    connection.verbs.reject(Reject(peer.of("message")[0]["message_id"], reason="bad"))
    connection.verbs.ack(Ack(message_id=peer.of("message")[1]["message_id"]))
    await bench.flush()
    (dead,) = await bench.broker.store.dead_list(T, DeadFilter(), limit=10)
    await bench.broker.dead_letters.redrive(T, dead.dead_id)
    await bench.rest()
    assert peer.attempts == [(1, 1), (2, 1), (1, 1)]
    assert other.seqs == [1, 2]
    connection.verbs.ack(Ack(message_id=dead.message_id, ref="done"))
    await bench.flush()
    assert peer.of("acked")[-1]["ref"] == "done"
    assert (await bench.broker.subscriptions.get(T, "s")).topics[0].floor == 2


async def test_a_redriven_message_that_left_the_log_comes_from_its_dead_letter(bench: Bench):
    connection, peer = await bench.subscribe("a", subscription="s")
    await bench.publish_many("a", 2)
    connection.verbs.reject(Reject(peer.of("message")[0]["message_id"]))
    connection.verbs.ack(Ack(topic="a", seq=2))
    connection.close()
    await bench.flush()
    topic = await bench.broker.topics.update(T, "a", Retention(max_messages=1))
    await bench.broker.store.trim(topic.topic_id, Rule(topic.retention, 0), 100)
    (dead,) = await bench.broker.store.dead_list(T, DeadFilter(), limit=10)
    await bench.broker.dead_letters.redrive(T, dead.dead_id)
    bench.forget_tail("a", 2)
    _, again = await bench.subscribe("a", subscription="s")
    await bench.until(lambda: again.seqs == [1])


async def test_what_retention_took_is_named_before_what_is_left(bench: Bench):
    connection, _peer = await bench.subscribe("a", subscription="s")
    connection.close()
    await bench.flush()
    await bench.publish_many("a", 5)
    topic = await bench.broker.topics.update(T, "a", Retention(max_messages=2))
    await bench.broker.store.trim(topic.topic_id, Rule(topic.retention, 0), 100)
    _, again = await bench.subscribe("a", subscription="s")
    await bench.until(lambda: len(again.seqs) == 2)
    (gap,) = again.of("gap")
    assert (gap["from_seq"], gap["to_seq"], gap["reason"]) == (1, 3, "retention")
    assert again.frames.index(gap) < again.frames.index(again.of("message")[0])
    assert again.seqs == [4, 5]


async def test_an_ack_is_confirmed_only_when_the_store_has_it():
    store = FailingStore()
    async with running_broker(store) as bench:
        connection, peer = await bench.subscribe("a", subscription="s")
        await bench.publish("a")
        store.fails = True
        connection.verbs.ack(Ack(message_id=peer.of("message")[0]["message_id"], ref="r"))
        with pytest.raises(StoreUnavailable):
            await bench.broker._engine.progress.flush()
        assert peer.of("acked") == []
        store.fails = False
        await bench.flush()
        assert peer.of("acked") == [
            {"type": "acked", "ref": "r", "message_id": peer.of("message")[0]["message_id"]}
        ]


async def test_what_a_lost_subscriber_had_comes_again_in_order(bench: Bench):
    connection, peer = await bench.subscribe("a", subscription="s")
    await bench.publish_many("a", 300)
    connection.close()
    await bench.flush()
    bench.forget_tail("a", 300)
    assert peer.seqs == list(range(1, 257))
    _, again = await bench.subscribe("a", subscription="s")
    await bench.until(lambda: len(again.seqs) == 256)
    assert again.attempts == [(seq, 2) for seq in range(1, 257)]


async def test_only_its_holder_may_fail_an_attempt_but_anybody_may_settle_it(bench: Bench):
    first, first_peer = await bench.subscribe("a", subscription="s")
    second, second_peer = await bench.subscribe("a", subscription="s")
    await bench.publish("a")
    holder, other = (first, second) if first_peer.seqs else (second, first)
    peer = first_peer if first_peer.seqs else second_peer
    message_id = peer.of("message")[0]["message_id"]
    other.verbs.nack(Nack(message_id, ref="n"))
    other.verbs.extend(Extend(message_id, ref="e"))
    other.verbs.reject(Reject(message_id, ref="r"))
    await bench.flush()
    other_peer = second_peer if first_peer.seqs else first_peer
    assert {frame["ref"] for frame in other_peer.of("error")} == {"n", "e", "r"}
    holder.verbs.extend(Extend(message_id, ref="e"))
    other.verbs.ack(Ack(message_id=message_id, ref="a"))
    await bench.flush()
    assert [frame["ref"] for frame in (*peer.of("acked"), *other_peer.of("acked"))] == ["e", "a"]


async def test_a_topic_that_somebody_else_made_is_found_when_it_cannot_be_made_again(bench: Bench):
    await bench.broker.store.topic_create(T, "a", Retention(), 1)
    with pytest.raises(Conflict):
        await bench.broker.topics.create(T, "a")
    assert (await bench.publish("a")).seq == 1
    await bench.broker.store.topic_create(T, "b", Retention(), 1)
    assert (await bench.broker.topics.ensure(T, "b")).name == "b"


async def test_a_subscription_that_somebody_else_made_is_attached_to(bench: Bench):
    await bench.broker.topics.create(T, "a")
    store = bench.broker.store
    await store.subscription_create(T, "s", "a", SubscriptionSettings(), Start(), 1)
    with pytest.raises(Conflict):
        await bench.broker.subscriptions.create(T, "s", "a", SubscriptionSettings(), None)
    await store.subscription_create(T, "t", "a", SubscriptionSettings(), Start(), 1)
    _, peer = await bench.subscribe("a", subscription="t")
    await bench.publish("a")
    await bench.until(lambda: peer.seqs == [1])


def said(gaps):
    return [(gap.topic, gap.from_seq, gap.to_seq, gap.reason, gap.epoch) for gap in gaps]


async def test_what_a_start_cannot_be_given_is_said_to_who_asks_for_it(bench: Bench):
    old = await bench.broker.topics.create(T, "a")
    await bench.publish_many("a", 9)
    await bench.broker.topics.delete(T, "a")
    new = await bench.broker.topics.create(T, "a")
    await bench.publish_many("a", 2)
    subscriptions, settings = bench.broker.subscriptions, bench.durable_settings()
    start = StartAt(seq=5, epoch=old.epoch)
    changed = [("a", 5, None, "epoch_changed", new.epoch)]
    assert said((await subscriptions.create(T, "s", "a", settings, start)).gaps) == changed
    _, peer = await bench.subscribe("a", subscription="s")
    assert peer.seqs == [1, 2]
    assert said((await subscriptions.get(T, "s")).gaps) == []
    for dry_run in (True, False):
        moved = await subscriptions.seek(T, "s", start, dry_run=dry_run)
        assert said(moved.gaps) == changed
        beyond = await subscriptions.seek(T, "s", StartAt(seq=7), dry_run=dry_run)
        assert said(beyond.gaps) == [("a", 3, 6, "log_lost", new.epoch)]


async def test_a_seek_says_that_a_topic_was_made_anew_meanwhile():
    store = SlowStore()
    async with running_broker(store) as bench:
        old = await bench.broker.topics.create(T, "a.b")
        await bench.publish_many("a.b", 9)
        subscriptions = bench.broker.subscriptions
        await subscriptions.create(T, "s", "a.*", bench.durable_settings(), None)
        store.held.add("positions")
        start = StartAt(positions={"a.b": StartPosition(5, old.epoch)})
        loop = asyncio.get_running_loop()
        seeking = loop.create_task(subscriptions.seek(T, "s", start, dry_run=False))
        await bench.until(lambda: store.waiting == ["positions"])
        await bench.broker.topics.delete(T, "a.b")
        new = await bench.broker.topics.create(T, "a.b")
        await bench.publish_many("a.b", 6)
        store.release()
        moved = await seeking
        assert said(moved.gaps) == [("a.b", 5, None, "epoch_changed", new.epoch)]
        assert [place.floor for place in moved.topics] == [0]


@pytest.mark.parametrize("is_made_anew", [False, True])
async def test_a_seek_says_that_a_topic_went_before_it_was_its_turn(bench: Bench, is_made_anew):
    subscriptions, topics = bench.broker.subscriptions, bench.broker.topics
    old = await topics.create(T, "a.b")
    await bench.publish_many("a.b", 5)
    await subscriptions.create(T, "s", "a.*", bench.durable_settings(), None)
    start = StartAt(positions={"a.b": StartPosition(2, old.epoch)})
    async with bench.broker._owned.turns.taken((T, "s")):
        seek = subscriptions.seek(T, "s", start, dry_run=False)
        seeking = asyncio.get_running_loop().create_task(seek)
        await bench.rest()
        await topics.delete(T, "a.b")
        epoch = (await topics.create(T, "a.b")).epoch if is_made_anew else ""
    moved = await seeking
    assert said(moved.gaps) == [("a.b", 2, None, "epoch_changed", epoch)]


async def test_followers_that_are_deleted_while_they_are_listed_do_not_end_the_list(monkeypatch):
    monkeypatch.setattr(slices, "SLICE_COUNT", 2)
    async with running_broker() as bench:
        subscriptions, settings = bench.broker.subscriptions, bench.durable_settings()
        for number in range(99):
            await subscriptions.create(T, f"s{number:02}", "t", settings, None)
        listing = begun(subscriptions.list(T, q=None, topic="t", limit=3, after=None))
        await asyncio.sleep(0)
        await subscriptions.delete(T, "s00")
        assert not listing.done()
        page = await listing
        assert page.next_after is not None
        names = [view.record.name for view in page.views]
        assert names == [f"s{number:02}" for number in range(1, 1 + len(names))]
