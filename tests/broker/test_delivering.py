"""Subscribers and what reaches them, on the real broker with a clock that is moved by hand."""

import pytest
import uuid_utils

from conduit.broker.attach.connection import TOPIC_DELETED
from conduit.core.message import NewMessage
from conduit.errors import Conflict, NotFound
from conduit.names import DEFAULT_TENANT
from conduit.protocol.frames import (
    Ack,
    Extend,
    Nack,
    Reject,
    StartAt,
    StartPosition,
    Subscribe,
    Unsubscribe,
)
from conduit.storage.dead_letters import DeadFilter
from tests.broker.kit import Bench


def ids(peer, *seqs):
    by_seq = {frame["seq"]: frame["message_id"] for frame in peer.of("message")}
    return [by_seq[seq] for seq in seqs]


async def test_a_subscriber_gets_what_is_published_after_it_came(bench: Bench):
    await bench.broker.topics.create(DEFAULT_TENANT, "a")
    await bench.publish("a", "before")
    _, peer = await bench.subscribe("a")
    receipt = await bench.publish("a", {"n": 1}, key="k", headers={"h": "v"})
    assert (receipt.seq, receipt.subscribers) == (2, 1)
    (subscribed,) = peer.of("subscribed")
    assert (subscribed["seq"], subscribed["topic"]) == (1, "a")
    (message,) = peer.of("message")
    assert list(message)[:6] == ["type", "message_id", "topic", "payload", "published_at", "seq"]
    assert message["message_id"] == receipt.message_id
    assert (message["payload"], message["key"], message["headers"]) == ({"n": 1}, "k", {"h": "v"})
    assert "subscription" not in message


async def test_publishing_to_an_unknown_topic_is_refused(bench: Bench):
    with pytest.raises(NotFound):
        await bench.publish("nobody")


async def test_every_subscriber_gets_every_message_in_order(bench: Bench):
    peers = [(await bench.subscribe("a", ack="auto"))[1] for _ in range(10)]
    await bench.publish_many("a", 300)
    assert all(peer.seqs == list(range(1, 301)) for peer in peers)


async def test_a_window_holds_back_until_acks_come(bench: Bench):
    connection, peer = await bench.subscribe("a", max_in_flight=3)
    await bench.publish_many("a", 10)
    assert peer.seqs == [1, 2, 3]
    connection.verbs.ack(Ack(message_id=ids(peer, 2)[0]))
    await bench.rest()
    assert peer.seqs == [1, 2, 3, 4]
    connection.verbs.ack(Ack(topic="a", seq=4))
    await bench.rest()
    assert peer.seqs == [1, 2, 3, 4, 5, 6, 7]
    connection.verbs.ack(Ack(message_ids=ids(peer, 5, 6, 7)))
    await bench.rest()
    assert peer.seqs == list(range(1, 11))


async def test_a_socket_that_does_not_drain_stops_its_own_stream_only(bench: Bench):
    slow, slow_peer = await bench.subscribe("a", ack="auto")
    _, quick_peer = await bench.subscribe("a", ack="auto")
    await bench.publish_many("a", 2)
    slow_peer.writable = False
    slow.writable_changed()
    await bench.rest()
    await bench.publish_many("a", 900)
    await bench.publish_many("a", 900)
    assert (len(slow_peer.seqs), len(quick_peer.seqs)) == (2, 1802)
    slow_peer.writable = True
    slow.writable_changed()
    await bench.until(lambda: len(slow_peer.seqs) == 1802)
    assert slow_peer.seqs == list(range(1, 1803))
    await bench.publish("a")
    assert slow_peer.seqs[-1] == 1803


async def test_unacked_deliveries_come_again_and_die_after_five_attempts(bench: Bench):
    _, peer = await bench.subscribe("a")
    receipt = await bench.publish("a", "poison")
    for _ in range(70):
        await bench.advance(0.5)
    assert peer.attempts == [(1, 1), (1, 2), (1, 3), (1, 4), (1, 5)]
    await bench.flush()
    (dead,) = await bench.broker.store.dead_list(DEFAULT_TENANT, DeadFilter(), limit=10)
    assert (dead.message_id, dead.attempts, dead.reason) == (receipt.message_id, 5, "ack_timeout")
    await bench.advance(60)
    assert len(peer.attempts) == 5


async def test_nack_reject_and_extend_do_what_they_say(bench: Bench):
    connection, peer = await bench.subscribe("a", subscription="s", ack_wait_ms=1000)
    await bench.publish_many("a", 3)
    one, two, three = ids(peer, 1, 2, 3)
    connection.verbs.nack(Nack(one, delay_ms=5000, ref="r1"))
    connection.verbs.reject(Reject(two, reason="bad", ref="r2"))
    connection.verbs.extend(Extend(three, ms=10_000, ref="r3"))
    await bench.flush()
    assert [frame["ref"] for frame in peer.of("acked")] == ["r1", "r2", "r3"]
    await bench.advance(4.9)
    assert peer.attempts == [(1, 1), (2, 1), (3, 1)]
    await bench.advance(0.2)
    assert peer.attempts[3:] == [(1, 2)]
    await bench.advance(5.0)
    await bench.advance(0.2)
    assert (3, 2) in peer.attempts
    await bench.flush()
    (dead,) = await bench.broker.store.dead_list(DEFAULT_TENANT, DeadFilter(), limit=10)
    assert (dead.seq, dead.reason, dead.subscription) == (2, "bad", "s")


async def test_a_late_or_unknown_ack_is_an_error_only_for_those_who_ask(bench: Bench):
    connection, peer = await bench.subscribe("a")
    await bench.publish("a")
    (one,) = ids(peer, 1)
    connection.verbs.ack(Ack(message_id=one, ref="first"))
    connection.verbs.ack(Ack(message_id=one))
    connection.verbs.ack(Ack(message_id=one, ref="late"))
    connection.verbs.ack(Ack(message_id="nonsense", ref="unknown"))
    connection.verbs.ack(Ack(message_id="0190a0a0-0000-7000-8000-000000000000"))
    connection.verbs.ack(Ack(topic="a", seq=9, ref="ahead"))
    await bench.rest()
    assert [frame["ref"] for frame in peer.of("acked")] == ["first"]
    errors = {frame["ref"]: frame["code"] for frame in peer.of("error")}
    assert errors == dict.fromkeys(["late", "unknown", "ahead"], "unknown_delivery")


async def test_strict_order_waits_for_each_message(bench: Bench):
    connection, peer = await bench.subscribe("a", subscription="s", order="strict")
    await bench.publish_many("a", 3)
    assert peer.seqs == [1]
    connection.verbs.nack(Nack(ids(peer, 1)[0], delay_ms=0))
    await bench.advance(0.1)
    assert peer.attempts == [(1, 1), (1, 2)]
    connection.verbs.ack(Ack(message_id=ids(peer, 1)[0]))
    await bench.rest()
    assert peer.seqs == [1, 1, 2]


async def test_a_durable_subscription_goes_on_where_it_was(bench: Bench):
    connection, peer = await bench.subscribe("a", subscription="s")
    await bench.publish_many("a", 3)
    connection.verbs.ack(Ack(message_id=ids(peer, 2)[0]))
    connection.close()
    await bench.flush()
    assert bench.broker._owned.running() == []
    await bench.publish("a", "while offline")
    await bench.advance(3600)
    _, again = await bench.subscribe("a", subscription="s")
    assert again.attempts == [(1, 2), (3, 2), (4, 1)]
    assert [frame["subscription"] for frame in again.of("message")] == ["s"] * 3
    assert again.of("subscribed")[0]["seq"] == 0


async def test_competing_subscribers_share_and_take_over(bench: Bench):
    first, first_peer = await bench.subscribe("a", subscription="s", ack_wait_ms=60_000)
    _, second_peer = await bench.subscribe("a", subscription="s")
    await bench.publish_many("a", 100)
    assert sorted(first_peer.seqs + second_peer.seqs) == list(range(1, 101))
    assert min(len(first_peer.seqs), len(second_peer.seqs)) >= 25
    lost = first_peer.seqs
    first.close()
    await bench.rest()
    assert [pair for pair in second_peer.attempts if pair[1] == 2] == [(seq, 2) for seq in lost]


async def test_patterns_bring_in_topics_that_come_later(bench: Bench):
    _, one = await bench.subscribe("orders.*", ack="auto")
    _, rest = await bench.subscribe("orders.>", subscription="all")
    await bench.broker.topics.create(DEFAULT_TENANT, "orders.eu")
    await bench.broker.topics.create(DEFAULT_TENANT, "orders.eu.paid")
    assert (await bench.publish("orders.eu")).subscribers == 2
    assert (await bench.publish("orders.eu.paid")).subscribers == 1
    assert [frame["topic"] for frame in one.of("message")] == ["orders.eu"]
    assert [frame["topic"] for frame in rest.of("message")] == ["orders.eu", "orders.eu.paid"]


async def test_a_durable_pattern_misses_no_topic_that_was_made_while_it_was_away(bench: Bench):
    await bench.broker.topics.create(DEFAULT_TENANT, "t.old")
    await bench.publish("t.old")
    connection, peer = await bench.subscribe("t.*", subscription="s")
    connection.close()
    await bench.flush()
    await bench.broker.topics.create(DEFAULT_TENANT, "t.new")
    await bench.publish("t.new")
    await bench.publish("t.old")
    _, again = await bench.subscribe("t.*", subscription="s")
    assert peer.seqs == []
    assert {(frame["topic"], frame["seq"]) for frame in again.of("message")} == {
        ("t.new", 1),
        ("t.old", 2),
    }


async def test_starts_are_where_they_are_asked_for(bench: Bench):
    await bench.broker.topics.create(DEFAULT_TENANT, "a")
    receipts = []
    for _ in range(5):
        receipts.append(await bench.publish("a"))
        bench.clock.seconds += 1
    epoch = receipts[0].epoch
    _, earliest = await bench.subscribe("a", start="earliest", ack="auto")
    _, third = await bench.subscribe("a", start=StartAt(seq=3, epoch=epoch), ack="auto")
    at = "2023-11-14T22:13:23Z"
    _, timed = await bench.subscribe("a", start=StartAt(time=at), ack="auto")
    place = {"a": StartPosition(5, epoch)}
    _, placed = await bench.subscribe("*", start=StartAt(positions=place), ack="auto")
    await bench.until(lambda: len(earliest.seqs) == 5)
    assert third.seqs == [3, 4, 5]
    assert timed.seqs == [4, 5]
    assert placed.seqs == [5]
    assert third.of("subscribed")[0]["recovered"] is True
    assert "recovered" not in earliest.of("subscribed")[0]


async def test_positions_that_cannot_be_given_are_named(bench: Bench):
    await bench.broker.topics.create(DEFAULT_TENANT, "a")
    epoch = (await bench.publish("a")).epoch
    _, other = await bench.subscribe("a", start=StartAt(seq=7, epoch="0" * 16), ack="auto")
    _, ahead = await bench.subscribe("a", start=StartAt(seq=9, epoch=epoch), ack="auto")
    await bench.rest()
    assert other.of("subscribed")[0]["recovered"] is False
    assert other.of("gap")[0]["reason"] == "epoch_changed"
    assert other.seqs == [1]
    (gap,) = ahead.of("gap")
    assert (gap["reason"], gap["from_seq"], gap["to_seq"]) == ("log_lost", 2, 8)


async def test_one_connection_may_hold_a_message_twice_and_acks_settle_one_each(bench: Bench):
    connection, peer = await bench.subscribe("a", subscription="x")
    await connection.subscribe(Subscribe("a", subscription="y"))
    await bench.publish("a")
    (one, _) = [frame["message_id"] for frame in peer.of("message")]
    connection.verbs.ack(Ack(message_id=one, subscription="y", ref="y"))
    connection.verbs.ack(Ack(message_id=one, ref="x"))
    connection.verbs.ack(Ack(message_id=one, ref="none"))
    await bench.flush()
    assert [frame["ref"] for frame in peer.of("acked")] == ["y", "x"]
    assert peer.of("error")[0]["ref"] == "none"


async def test_unsubscribing_ends_the_stream_and_twice_is_an_error(bench: Bench):
    connection, peer = await bench.subscribe("a")
    connection.unsubscribe(Unsubscribe("a"))
    await bench.publish("a")
    assert peer.seqs == []
    assert peer.frames[-1] == {"type": "unsubscribed", "topic": "a"}
    with pytest.raises(Conflict):
        connection.unsubscribe(Unsubscribe("a"))


async def test_deleting_a_topic_disconnects_those_who_named_it(bench: Bench):
    _, named = await bench.subscribe("a")
    _, pattern = await bench.subscribe("*")
    await bench.publish("a")
    await bench.broker.topics.delete(DEFAULT_TENANT, "a")
    assert named.closed == (4001, TOPIC_DELETED)
    assert pattern.closed is None
    await bench.broker.topics.create(DEFAULT_TENANT, "a")
    await bench.publish("a")
    assert [frame["seq"] for frame in pattern.of("message")] == [1, 1]


async def test_an_existing_subscription_refuses_other_settings(bench: Bench):
    await bench.subscribe("a", subscription="s", max_in_flight=5)
    connection, _ = bench.connect()
    with pytest.raises(Conflict) as caught:
        await connection.subscribe(Subscribe("a", subscription="s", max_in_flight=6))
    assert (caught.value.code, caught.value.field) == ("subscription_conflict", "max_in_flight")
    with pytest.raises(Conflict):
        await connection.subscribe(Subscribe("b", subscription="s"))
    await connection.subscribe(Subscribe("a", subscription="s", max_in_flight=5))


async def test_a_pattern_resumes_topics_that_it_has_not_heard_from(bench: Bench):
    await bench.broker.topics.create(DEFAULT_TENANT, "t.quiet")
    await bench.broker.topics.create(DEFAULT_TENANT, "t.loud")
    await bench.publish("t.quiet", "before")
    bench.clock.seconds += 1
    connection, peer = await bench.subscribe("t.*", ack="auto")
    at = peer.of("subscribed")[0]["at"]
    await bench.publish("t.loud")
    connection.close()
    await bench.publish("t.quiet", "while away")
    start = StartAt(positions={"t.loud": StartPosition(2)}, time=at)
    _, again = await bench.subscribe("t.*", ack="auto", start=start)
    await bench.until(lambda: len(again.seqs) == 1)
    assert again.of("message")[0]["payload"] == "while away"
    assert again.of("subscribed")[0]["recovered"] is True


async def test_a_subscription_that_another_node_claims_is_given_up(bench: Bench):
    connection, peer = await bench.subscribe("a", subscription="s")
    _, other_peer = await bench.subscribe("a")
    await bench.publish_many("a", 3)
    subscription = bench.broker._owned.find(DEFAULT_TENANT, "s")
    await bench.broker.store.subscription_claim(subscription.subscription_id)
    connection.verbs.ack(Ack(topic="a", seq=2, subscription="s", ref="r"))
    await bench.flush()
    assert peer.closed == (4009, "subscription moved")
    assert other_peer.closed is None
    assert await bench.broker.store.progress(subscription.subscription_id) == []
    connection.close()
    await bench.publish("a")
    assert other_peer.seqs == [1, 2, 3, 4]
    _, again = await bench.subscribe("a", subscription="s")
    await bench.until(lambda: again.seqs == [1, 2, 3, 4])


@pytest.mark.parametrize(
    "fields", [{}, {"ack": "auto"}, {"subscription": "durable"}, {"order": "strict"}]
)
async def test_what_others_have_written_to_the_log_comes_in_its_place(bench: Bench, fields):
    await bench.broker.topics.create(DEFAULT_TENANT, "a")
    connection, peer = await bench.subscribe("a", **fields)
    await bench.publish("a")
    topic_id = bench.broker.topics.get(DEFAULT_TENANT, "a").topic_id
    for _ in range(2):
        others = [NewMessage(topic_id, str(uuid_utils.uuid7()), b"{}") for _ in range(3)]
        await bench.broker.store.append(others)
        await bench.publish("a")
        await bench.publish("a")
        await bench.fill_holes()
    for seq in range(1, 12):
        await bench.until(lambda seq=seq: seq in peer.seqs)
        if "ack" not in fields:
            connection.verbs.ack(Ack(topic="a", seq=seq, subscription=fields.get("subscription")))
    assert peer.seqs == list(range(1, 12))


async def test_the_handler_of_a_durable_subscription_has_half_a_minute(bench: Bench):
    _, peer = await bench.subscribe("a", subscription="s")
    _, ephemeral = await bench.subscribe("a")
    await bench.publish("a")
    await bench.advance(29)
    await bench.advance(0.5)
    assert len(peer.seqs) == 1
    assert len(ephemeral.seqs) > 1


async def test_a_time_above_the_cap_of_the_doubling_is_kept(bench: Bench):
    _, peer = await bench.subscribe("a", ack_wait_ms=300_000)
    await bench.publish("a")
    await bench.advance(299)
    assert peer.attempts == [(1, 1)]
    await bench.advance(2)
    await bench.advance(31)
    assert peer.attempts == [(1, 1), (1, 2)]
