"""Verbs that come late, twice, or for what others have."""

from conduit.names import DEFAULT_TENANT
from conduit.protocol.frames import Ack, Extend, Nack, Reject
from tests.broker.kit import Bench


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
