"""Subscribers of other nodes, at the owner of their subscription, over real links."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from conduit.broker.publish.admission import PublishLimits
from conduit.cluster.heard import Heard
from conduit.cluster.links.channels import WINDOW_BYTES
from conduit.cluster.subscribing import PART_MAX_BYTES, Asks
from conduit.core.policy import PUT_OFF_S
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.frames import Ack, Extend, Nack, Reject, Unsubscribe
from conduit.storage.dead_letters import DeadFilter
from tests.broker.stores import SharedStore
from tests.cluster.edge import Cluster, Edge, a_cluster
from tests.cluster.links.kit import until


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with a_cluster(SharedStore()) as made:
        yield made


async def settled(cluster: Cluster) -> int:
    """The number up to which all is acked."""
    broker = cluster.bench.broker
    topic = broker.topics.get(T, "t")
    running = broker._owned.find_running(broker._owned.get(T, "s"))
    return running.floor_of(topic) if running else -1


async def letters(cluster: Cluster) -> list[int]:
    """The numbers of the dead letters."""
    await cluster.flush()
    found = await cluster.bench.broker.dead_letters.list(T, DeadFilter(), limit=100)
    return [letter.seq for letter in found.letters]


# Subscribing --------------------------------------------------------------------------------------


async def test_a_guest_is_welcomed_and_gets_what_is_published_in_order(cluster: Cluster):
    edge = await cluster.attach(ref="r")
    (welcome,) = edge.welcomes
    assert (welcome["subscription"], welcome["seq"], welcome["ref"]) == ("s", 0, "r")
    await cluster.publish(50)
    await until(lambda: len(edge.seqs) == 50)
    assert edge.seqs == list(range(1, 51))
    record = cluster.bench.broker._owned.get(T, "s")
    assert edge.subscription_id == record.subscription_id


async def test_a_guest_gets_what_was_published_before_it_came(cluster: Cluster):
    first = await cluster.attach()
    first.channel.close("left", "")
    await cluster.publish(3)
    edge = await cluster.attach()
    await until(lambda: edge.seqs == [1, 2, 3])


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"topic": ".."}, "invalid_topic", "topic"),
        ({"subscription": "?"}, "invalid_name", "subscription"),
        ({"create": False}, "subscription_not_found", None),
        ({"max_in_flight": 0}, "invalid_request", "max_in_flight"),
        ({"prefetch": 0}, "invalid_request", "prefetch"),
        ({"subscription": "other", "topic": "u"}, "subscription_conflict", "topic"),
    ],
)
async def test_an_error_of_the_broker_arrives_whole(cluster: Cluster, fields, code, field):
    await cluster.attach(subscription="other")
    edge = cluster.open(**fields)
    await until(lambda: edge.ends)
    assert edge.failure is not None
    assert (edge.failure.code, edge.ends[0][0], edge.welcomes) == (code, "refused", [])
    if field is not None:
        assert edge.failure.field == field
    assert len(cluster.guests) == 1


async def test_another_run_of_the_owner_is_not_taken_for_this_one(cluster: Cluster):
    edge = cluster.open(incarnation="another")
    await until(lambda: edge.ends)
    assert (edge.ends[0][0], len(cluster.guests)) == ("conflict", 0)


async def test_who_is_not_the_owner_refuses(cluster: Cluster):
    cluster.is_owner = False
    edge = cluster.open()
    await until(lambda: edge.ends)
    assert (edge.ends[0][0], len(cluster.guests)) == ("moved", 0)
    assert cluster.bench.broker._owned.find(T, "s") is None


async def test_who_leaves_while_it_subscribes_leaves_nothing(cluster: Cluster):
    edge = cluster.open()
    edge.channel.close("left", "")
    probe = await cluster.attach(subscription="other")
    assert probe.welcomes
    await until(lambda: len(cluster.guests) == 1)
    assert cluster.bench.broker.stats_of(T).gauges.subscriber_count == 1


# Verbs --------------------------------------------------------------------------------------------


async def test_an_ack_with_a_ref_is_answered_when_it_is_stored(cluster: Cluster):
    edge = await cluster.attach()
    await cluster.publish(2)
    await until(lambda: len(edge.seqs) == 2)
    edge.ask(Ack(message_id=edge.ids[0], ref="1"))
    await until(lambda: edge.answers)
    assert edge.answers == [{"type": "acked", "ref": "1", "message_id": edge.ids[0]}]
    assert await settled(cluster) == 1


async def test_an_ack_without_a_ref_counts_and_is_not_answered(cluster: Cluster):
    edge = await cluster.attach()
    await cluster.publish(2)
    await until(lambda: len(edge.seqs) == 2)
    edge.ask(Ack(message_ids=edge.ids))
    edge.ask(Ack(message_id="nothing", ref="end"))
    await until(lambda: edge.answers)
    assert [answer["ref"] for answer in edge.answers] == ["end"]
    assert edge.answers[0]["code"] == "unknown_delivery"
    assert await settled(cluster) == 2


async def test_a_topic_is_acked_up_to_a_number(cluster: Cluster):
    edge = await cluster.attach()
    await cluster.publish(5)
    await until(lambda: len(edge.seqs) == 5)
    edge.ask(Ack(topic="t", seq=3, ref="1"))
    await until(lambda: edge.answers)
    assert (edge.answers[0]["type"], await settled(cluster)) == ("acked", 3)


async def test_nack_reject_and_extend_reach_the_owner(cluster: Cluster):
    edge = await cluster.attach()
    await cluster.publish(3)
    await until(lambda: len(edge.seqs) == 3)
    edge.ask(Nack(edge.ids[0], delay_ms=0, ref="1"))
    edge.ask(Reject(edge.ids[1], ref="2"))
    edge.ask(Extend(edge.ids[2], ms=60_000, ref="3"))
    await until(lambda: len(edge.answers) == 3 and len(edge.seqs) == 4)
    assert {answer["type"] for answer in edge.answers} == {"acked"}
    assert edge.peer.attempts[-1] == (1, 2)
    assert cluster.bench.broker.stats.rejected_count == 1


async def test_verbs_take_effect_in_their_order_and_before_the_end(cluster: Cluster):
    edge = await cluster.attach()
    await cluster.publish(200)
    await until(lambda: len(edge.seqs) >= 100)
    for message_id in edge.ids[:100]:
        edge.ask(Ack(message_id=message_id))
    edge.channel.close("left", "")
    await until(lambda: not cluster.guests)
    assert await settled(cluster) == 100


async def test_a_verb_that_is_none_is_answered_with_its_error(cluster: Cluster):
    edge = await cluster.attach()
    edge.ask(Ack(message_id="x", message_ids=["y"], ref="1"))
    await until(lambda: edge.answers)
    assert edge.answers[0]["code"] == "invalid_request"


@pytest.mark.parametrize("verb", [b"{", b'{"type":"publish","topic":"t","payload":1}'])
@pytest.mark.parametrize("is_early", [True, False])
async def test_what_is_no_verb_ends_the_channel_and_says_why(
    cluster: Cluster, verb: bytes, is_early: bool, caplog
):
    # An early one is there before it is subscribed, and is done by another task.
    edge = cluster.open() if is_early else await cluster.attach()
    edge.say(Asks.VERB, verb)
    edge.ask(Ack(message_id="x", ref="1"))
    await until(lambda: edge.ends)
    code, text = edge.ends[0]
    assert (code, len(cluster.guests), edge.answers) == ("internal", 0, [])
    assert text.startswith("the other node cannot do what was asked: ")
    (told,) = [each for each in caplog.records if each.levelname == "ERROR"]
    assert told.exc_info is None
    # What it had is for the next one.
    await cluster.publish(1)
    after = await cluster.attach()
    await until(lambda: after.seqs == [1])


async def test_a_bug_ends_the_channel_and_is_in_the_log(cluster: Cluster, monkeypatch, caplog):
    edge = await cluster.attach()

    def fails(*_args: object) -> None:
        raise ValueError("a secret of this node")

    monkeypatch.setattr(Heard, "answered", fails)
    edge.say(Asks.HEARD, b"")
    await until(lambda: edge.ends)
    assert edge.ends[0][0] == "internal"
    assert "secret" not in edge.ends[0][1]
    assert any(each.exc_info for each in caplog.records)


# Leaving ------------------------------------------------------------------------------------------


async def test_unsubscribing_ends_the_channel_when_all_is_answered(cluster: Cluster):
    edge = await cluster.attach()
    await cluster.publish(1)
    await until(lambda: edge.seqs)
    edge.ask(Ack(message_id=edge.ids[0], ref="1"))
    edge.ask(Unsubscribe("t", "s"))
    await until(lambda: edge.ends)
    assert (len(edge.answers), edge.ends[0][0], len(cluster.guests)) == (1, "left", 0)


async def test_a_deleted_subscription_ends_the_channel(cluster: Cluster):
    edge = await cluster.attach()
    await cluster.bench.broker.subscriptions.delete(T, "s")
    await until(lambda: edge.ends)
    assert (edge.ends[0][0], len(cluster.guests)) == ("subscription_deleted", 0)


async def test_a_deleted_topic_ends_the_channel(cluster: Cluster):
    edge = await cluster.attach()
    await cluster.bench.broker.topics.delete(T, "t")
    await until(lambda: edge.ends)
    assert (edge.ends[0][0], len(cluster.guests)) == ("topic_deleted", 0)


async def test_a_subscription_that_moves_ends_the_channel(cluster: Cluster):
    edge = await cluster.attach()
    owned = cluster.bench.broker._owned
    owned.move_away(owned.get(T, "s"), "it is another node's")
    await until(lambda: edge.ends)
    assert (edge.ends[0][0], len(cluster.guests)) == ("moved", 0)


async def test_what_was_out_when_a_link_ends_is_given_back_and_nothing_is_counted(
    cluster: Cluster,
):
    edge = await cluster.attach(max_lost=1, max_attempts=1)
    await cluster.publish(3)
    await until(lambda: len(edge.seqs) == 3)
    cluster.link.drop("it was cut")
    await until(lambda: not cluster.guests and edge.ends)
    assert edge.ends[0][0] == "unavailable"
    _, peer = await cluster.bench.subscribe("t", subscription="s")
    assert peer.seqs == [1, 2, 3]
    assert [frame.get("failures", 0) for frame in peer.of("message")] == [0, 0, 0]
    assert await letters(cluster) == []


async def test_a_client_that_was_lost_is_counted_as_at_a_local_one(cluster: Cluster):
    edge = await cluster.attach(max_lost=1)
    await cluster.publish(1)
    await until(lambda: edge.seqs)
    edge.channel.close("lost", "")
    await until(lambda: not cluster.guests)
    await cluster.flush()
    edge = await cluster.attach()
    await cluster.publish(1)
    await until(lambda: 2 in edge.seqs)
    assert await letters(cluster) == [1]


async def test_who_closes_all_guests_gives_back_what_they_had(cluster: Cluster):
    edge = await cluster.attach()
    await cluster.publish(1)
    await until(lambda: edge.seqs)
    await cluster.guests.close()
    await until(lambda: edge.ends)
    assert (edge.ends[0][0], len(cluster.guests)) == ("moved", 0)
    _, peer = await cluster.bench.subscribe("t", subscription="s")
    assert peer.seqs == [1]


# Flow ---------------------------------------------------------------------------------------------


async def test_who_does_not_read_costs_the_owner_a_window_and_holds_up_nobody(cluster: Cluster):
    slow = await cluster.attach(takes=False, max_in_flight=1_000)
    fast = await cluster.attach(subscription="other", max_in_flight=1_000, ack="auto")
    payload = "x" * 10_000
    for _ in range(100):
        await cluster.bench.publish("t", payload)
    await until(lambda: len(fast.seqs) == 100)
    assert WINDOW_BYTES <= slow.came_bytes <= WINDOW_BYTES + PART_MAX_BYTES
    (guest,) = [each for each in cluster.guests._guests if not each.writable]
    assert guest.pending_bytes <= 64 * 10_400
    slow.take()
    await until(lambda: len(slow.seqs) == 100)
    assert slow.seqs == list(range(1, 101))


async def test_messages_larger_than_a_frame_of_a_link_arrive():
    size = 2_500_000
    limits = PublishLimits(max_payload_bytes=size + 2)
    async with a_cluster(SharedStore(), publish=limits) as cluster:
        edge = await cluster.attach()
        await cluster.bench.publish("t", "x" * size)
        await cluster.bench.publish("t", "y" * size)
        await until(lambda: len(edge.seqs) == 2)
        payloads = [frame["payload"] for frame in edge.peer.of("message")]
        assert [(each[0], len(each)) for each in payloads] == [("x", size), ("y", size)]


# Deadlines ----------------------------------------------------------------------------------------


async def expire(cluster: Cluster, edge: Edge, seconds: float = 2.0) -> None:
    """Let time pass, have the deadlines looked at, and the client's node asked."""
    before = edge.probe_count
    await cluster.bench.advance(seconds)
    await until(lambda: edge.probe_count > before)
    await until(
        lambda: not any(guest._heard._asked_at is not None for guest in cluster.guests._guests)
    )


async def test_no_deadline_is_judged_before_the_clients_node_has_passed_on_all(cluster: Cluster):
    edge = await cluster.attach(ack_wait_ms=1_000)
    edge.is_heard = False
    await cluster.publish(1)
    await until(lambda: edge.seqs)
    for _ in range(3):
        await expire(cluster, edge)
    assert edge.peer.attempts == [(1, 1)]
    edge.is_heard = True
    await expire(cluster, edge)
    assert edge.peer.attempts == [(1, 1)]
    await cluster.bench.advance(PUT_OFF_S)
    await cluster.bench.advance(1.0)
    await until(lambda: edge.peer.attempts == [(1, 1), (1, 2)])
    assert edge.peer.of("message")[1]["failures"] == 1


async def test_an_ack_that_was_on_its_way_at_the_deadline_counts(cluster: Cluster):
    edge = await cluster.attach(ack_wait_ms=1_000, max_attempts=1)
    await cluster.publish(1)
    await until(lambda: edge.seqs)
    await cluster.bench.advance(2.0)
    edge.ask(Ack(message_id=edge.ids[0], ref="1"))
    await until(lambda: edge.answers)
    assert edge.answers[0]["type"] == "acked"


async def test_an_answer_from_before_its_deadline_does_not_let_an_attempt_fail(cluster: Cluster):
    """The link stands still when the second is acked; what its client's node has said before is old then."""
    edge = await cluster.attach(ack_wait_ms=1_000, max_attempts=1)
    await cluster.publish(1)
    await until(lambda: len(edge.seqs) == 1)
    await cluster.bench.advance(0.8)
    await cluster.publish(1)
    await until(lambda: len(edge.seqs) == 2)
    # The first is overdue, and its client's node is asked: it says that all was passed on.
    await expire(cluster, edge, 0.4)
    edge.stands_still = True
    for _ in range(12):
        await cluster.bench.advance(0.2)
    edge.ask(Ack(message_id=edge.ids[1], ref="in time"))
    edge.go_on()
    await until(lambda: edge.answers)
    assert edge.answers[0]["type"] == "acked"
    found = await cluster.bench.broker.dead_letters.list(T, DeadFilter(), limit=10)
    assert [letter.seq for letter in found.letters] == [1]
