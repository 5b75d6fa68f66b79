"""Verbs that come late, twice, or for what others have."""

import pytest

from conduit.broker.attach.lookups import AT_ONCE_COUNT
from conduit.broker.topics import WALK_STEP_COUNT
from conduit.names import DEFAULT_TENANT
from conduit.protocol.frames import Ack, Extend, Nack, Reject, Subscribe
from conduit.storage.dead_letters import DeadFilter
from tests.broker.kit import Bench, Peer, running_broker
from tests.broker.stores import SlowStore
from tests.storage.given import letters_count

NO_SUCH_ID = "00000000-0000-7000-8000-000000000000"


def ids(peer, *seqs):
    by_seq = {frame["seq"]: frame["message_id"] for frame in peer.of("message")}
    return [by_seq[seq] for seq in seqs]


async def test_a_verb_for_an_earlier_attempt_changes_nothing_and_says_so(bench: Bench):
    connection, peer = await bench.subscribe("a", subscription="s", ack_wait_ms=1000)
    await bench.publish("a")
    (one,) = ids(peer, 1)
    await bench.advance(1.1)
    await bench.advance(0.2)
    assert peer.attempts == [(1, 1), (1, 2)]
    assert [frame.get("failures") for frame in peer.of("message")] == [None, 1]
    connection.verbs.nack(Nack(one, attempt=1, ref="n"))
    connection.verbs.reject(Reject(one, attempt=1, ref="r"))
    connection.verbs.extend(Extend(one, attempt=1, ref="e"))
    connection.verbs.ack(Ack(message_id=one, attempt=1, ref="a"))
    await bench.rest()
    errors = {frame["ref"]: frame["code"] for frame in peer.of("error")}
    assert errors == dict.fromkeys("nrea", "stale_attempt")
    connection.verbs.ack(Ack(message_id=one, attempt=2, ref="ok"))
    await bench.flush()
    assert [frame["ref"] for frame in peer.of("acked")] == ["ok"]


async def test_a_cumulative_ack_settles_only_what_the_subscriber_had(bench: Bench):
    one, peer = await bench.subscribe("a", subscription="s")
    _, other = await bench.subscribe("a", subscription="s")
    await bench.publish_many("a", 10)
    assert sorted(peer.seqs + other.seqs) == list(range(1, 11))
    one.verbs.ack(Ack(topic="a", seq=10, ref="r"))
    await bench.flush()
    assert len(peer.of("acked")) == 1
    view = await bench.broker.subscriptions.get(DEFAULT_TENANT, "s")
    assert view.in_flight_count == len(other.seqs)
    assert other.seqs != []


async def test_an_id_that_stands_twice_in_a_list_is_settled_once(bench: Bench):
    connection, peer = await bench.subscribe("a")
    await bench.publish_many("a", 2)
    one, two = ids(peer, 1, 2)
    connection.verbs.ack(Ack(message_ids=[one, two, one], ref="r"))
    await bench.rest()
    assert (len(peer.of("acked")), peer.of("error")) == (1, [])
    assert bench.broker.stats.acked_count == 2


@pytest.mark.parametrize("name", [None, "s"])
async def test_a_cumulative_ack_is_answered_alike_whether_or_not_there_was_something_to_do_since(
    bench: Bench, name
):
    await bench.broker.topics.create(DEFAULT_TENANT, "other")
    connection, peer = await bench.subscribe("o.*", subscription=name)
    await bench.broker.topics.create(DEFAULT_TENANT, "o.a")
    await bench.publish_many("o.a", 3)

    async def answers(topic, seq):
        connection.verbs.ack(Ack(topic=topic, seq=seq, ref="r"))
        await bench.flush()
        return peer.frames[-1]["type"]

    for _ in range(2):
        assert await answers("o.a", 3) == "acked"
        assert await answers("o.a", 4) == "error"
        assert await answers("other", 1) == "error"
        for _ in range(20):
            await bench.tidy()
    assert bench.broker._engine.feeds.all() == []


async def test_a_late_ack_settles_what_was_open_when_the_subscription_was_unloaded(bench: Bench):
    await bench.broker.topics.create(DEFAULT_TENANT, "a.x")
    await bench.broker.topics.create(DEFAULT_TENANT, "a.y")
    connection, peer = await bench.subscribe("a.*", subscription="s", max_in_flight=2)
    await bench.publish("a.x")
    await bench.publish("a.y")
    await bench.publish("a.y")
    (one, _) = [frame["message_id"] for frame in peer.of("message")]
    connection.close()
    await bench.flush()
    await bench.flush()
    assert bench.broker._owned.running() == []
    await bench.broker.subscriptions.pause(DEFAULT_TENANT, "s")
    connection, peer = await bench.subscribe("a.*", subscription="s")
    connection.verbs.ack(Ack(message_id=one, ref="r"))
    connection.verbs.ack(Ack(topic="a.y", seq=1, ref="handed out before"))
    connection.verbs.ack(Ack(topic="a.y", seq=2, ref="never"))
    await bench.flush()
    answers = {frame["ref"]: frame["type"] for frame in peer.frames[1:]}
    assert answers == {"r": "acked", "handed out before": "acked", "never": "error"}
    await bench.broker.subscriptions.resume(DEFAULT_TENANT, "s")
    await bench.rest()
    assert [(frame["topic"], frame["seq"], frame["attempt"]) for frame in peer.of("message")] == [
        ("a.y", 1, 2),
        ("a.y", 2, 1),
    ]


async def test_an_ack_whose_number_must_be_looked_up_takes_effect_although_the_connection_ends(
    bench: Bench,
):
    connection, peer = await bench.subscribe("a", subscription="s")
    await bench.subscribe("a", subscription="s")
    await bench.publish_many("a", 2)
    bench.broker._engine.index._young.clear()
    connection.verbs.ack(Ack(message_ids=ids(peer, *peer.seqs)))
    connection.close()
    await bench.rest()
    assert peer.seqs != []
    view = await bench.broker.subscriptions.get(DEFAULT_TENANT, "s")
    assert view.in_flight_count + view.pending_retry_count == 2 - len(peer.seqs)


async def test_however_many_acks_must_be_looked_up_none_is_refused_and_few_are_asked_for_at_once():
    store = SlowStore()
    async with running_broker(store) as bench:
        connection, peer = await bench.subscribe("a", subscription="s", max_in_flight=300)
        await bench.publish_many("a", 300)
        bench.broker._engine.index._young.clear()
        store.held.add("find")
        for message_id in ids(peer, *peer.seqs):
            connection.verbs.ack(Ack(message_id))
        await bench.rest()
        assert len(store.waiting) == AT_ONCE_COUNT
        assert connection.verbs.lookups.is_busy
        store.release()
        await bench.until(lambda: not connection.verbs.lookups.is_busy)
        view = await bench.broker.subscriptions.get(DEFAULT_TENANT, "s")
        assert (view.in_flight_count, view.topics[0].lag) == (0, 0)


@pytest.mark.parametrize("is_deleted", [False, True])
async def test_an_ack_of_another_tenants_message_is_looked_for_as_one_of_none(
    bench: Bench, is_deleted
):
    await bench.subscribe("a")
    (theirs,) = await bench.publish_many("a", 1)
    if is_deleted:
        await bench.broker.topics.delete(DEFAULT_TENANT, "a")
    peer = Peer()
    connection = bench.broker.connect("another", peer)
    for number, message_id in enumerate([theirs.message_id, NO_SUCH_ID]):
        connection.verbs.ack(Ack(message_id=message_id, ref=f"{number}"))
        assert connection.verbs.lookups.is_busy
        assert peer.frames == []
        await bench.until(lambda: not connection.verbs.lookups.is_busy)
        (error,) = peer.of("error")
        assert (error["code"], error["ref"]) == ("unknown_delivery", f"{number}")
        peer.frames.clear()
    assert bench.broker.stats.unknown_ack_count == 2


async def test_an_ack_of_another_tenants_message_opens_nothing_while_a_subscription_begins(
    bench: Bench,
):
    await bench.broker.topics.create(DEFAULT_TENANT, "o.theirs")
    await bench.subscribe("o.theirs")
    (theirs,) = await bench.publish_many("o.theirs", 1)
    for number in range(3 * WALK_STEP_COUNT):
        await bench.broker.topics.create("another", f"o.own{number}")
    peer = Peer()
    connection = bench.broker.connect("another", peer)
    await connection.subscribe(Subscribe("o.*", start="earliest"))
    (running,) = (each for each in connection._subscribers.values())
    assert running._subscription.is_beginning
    connection.verbs.ack(Ack(message_id=theirs.message_id, ref="r"))
    await bench.until(lambda: not running._subscription.is_beginning)
    await bench.until(lambda: peer.of("error"))
    await bench.rest()
    assert peer.of("message") == []


async def test_who_acks_up_to_each_copy_that_comes_settles_those_of_all_subscriptions(bench: Bench):
    await bench.broker.topics.create(DEFAULT_TENANT, "a.b")
    connection, peer = await bench.subscribe("a.*", max_attempts=1)
    await connection.subscribe(Subscribe("a.*", "s", max_attempts=1))
    await bench.publish_many("a.b", 3)
    for frame in peer.of("message"):
        connection.verbs.ack(Ack(topic="a.b", seq=frame["seq"], ref="r"))
    connection.verbs.ack(Ack(topic="a.b", seq=3, ref="r"))
    await bench.flush()
    assert (len(peer.seqs), len(peer.of("acked"))) == (6, 7)
    await bench.advance(100)
    await bench.flush()
    assert await letters_count(bench.broker.store, DEFAULT_TENANT, DeadFilter()) == 0
