"""A durable subscription is owed its gaps until one of its subscribers is known to have heard them."""

import pytest

from conduit.broker.deliver.owned import START_GAPS_MAX_COUNT
from conduit.core.message import Retention
from conduit.errors import LimitReached
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.frames import Ack, Nack, StartAt, StartPosition, Subscribe
from conduit.storage.base import Rule
from conduit.storage.memory import MemoryStore
from tests.broker.kit import Bench, Peer, running_broker
from tests.storage import given


def told(peer: Peer) -> list[tuple]:
    """The gaps: topic, from, to, reason."""
    fields = ("topic", "from_seq", "to_seq", "reason")
    return [tuple(gap[field] for field in fields) for gap in peer.of("gap")]


def in_order(peer: Peer) -> list[object]:
    """Gaps and the numbers of messages."""
    frames = [frame for frame in peer.frames if frame["type"] in ("message", "gap")]
    return [frame.get("seq", "gap") for frame in frames]


async def attached(bench: Bench, pattern: str = "a.*", **fields):
    return await bench.subscribe(pattern, subscription="s", **fields)


async def trimmed(bench: Bench, count: int = 20, kept: int = 5) -> None:
    """The subscription was away while the log lost all but the last messages of `a.b`."""
    await bench.broker.topics.create(T, "a.b")
    settings = bench.durable_settings()
    await bench.broker.subscriptions.create(T, "s", "a.*", settings, None)
    await bench.publish_many("a.b", count)
    await trim(bench, "a.b", kept)


async def trim(bench: Bench, name: str, kept: int) -> None:
    topic = bench.broker.topics.get(T, name)
    keep = Retention(max_messages=kept)
    await bench.broker.topics._store.trim(topic.topic_id, Rule(keep, 0), 10_000)


async def gone(bench: Bench, connection) -> None:
    connection.close(lost=True)
    await bench.flush()


LOST = ("a.b", 1, 15, "retention")


async def test_what_retention_removed_is_told_again_if_the_connection_is_lost(bench: Bench):
    await trimmed(bench)
    for _ in range(3):
        connection, peer = await attached(bench)
        assert told(peer) == [LOST]
        assert in_order(peer)[0] == "gap"
        await gone(bench, connection)


async def test_it_is_heard_with_the_first_delivery_after_it_that_is_settled(bench: Bench):
    await trimmed(bench)
    connection, peer = await attached(bench)
    connection.verbs.ack(Ack(message_id=peer.of("message")[-1]["message_id"]))
    await gone(bench, connection)
    _, peer = await attached(bench)
    assert told(peer) == []
    assert peer.seqs == [16, 17, 18, 19]


async def test_a_failed_delivery_proves_it_too_and_more_time_for_one_does_not(bench: Bench):
    await trimmed(bench)
    connection, peer = await attached(bench)
    message_id = peer.of("message")[0]["message_id"]
    connection.verbs.nack(Nack(message_id))
    await gone(bench, connection)
    _, peer = await attached(bench)
    assert told(peer) == []


async def test_what_is_owed_holds_the_floor(bench: Bench):
    await trimmed(bench)
    connection, _ = await attached(bench)
    (place,) = (await bench.broker.subscriptions.get(T, "s")).topics
    assert place.floor == 0
    connection.verbs.ack(Ack(topic="a.b", seq=20))
    (place,) = (await bench.broker.subscriptions.get(T, "s")).topics
    assert place.floor == 20


async def test_an_ack_of_what_was_out_before_proves_nothing(bench: Bench):
    await bench.broker.topics.create(T, "a.b")
    connection, peer = await attached(bench, max_in_flight=2)
    await bench.publish_many("a.b", 20)
    bench.forget_tail("a.b", 20)
    await trim(bench, "a.b", 5)
    first, second = peer.of("message")
    # The first ack makes room: the gap is told then, with one message out.
    connection.verbs.ack(Ack(message_id=first["message_id"]))
    await bench.rest()
    assert told(peer) == [("a.b", 3, 15, "retention")]
    connection.verbs.ack(Ack(message_id=second["message_id"]))
    await gone(bench, connection)
    connection, peer = await attached(bench)
    assert told(peer) == [("a.b", 3, 15, "retention")]


async def test_it_is_stored_with_the_progress_and_survives_a_crash():
    store = MemoryStore()
    async with running_broker(store) as bench:
        await trimmed(bench)
        _, peer = await attached(bench)
        assert told(peer) == [LOST]
        await bench.flush()
        async with running_broker(store) as after:
            connection, peer = await attached(after)
            assert told(peer) == [LOST]
            connection.verbs.ack(Ack(topic="a.b", seq=16))
            await gone(after, connection)
            _, peer = await attached(after)
            assert told(peer) == []


async def test_whoever_joins_others_is_told_and_any_of_them_may_prove_it(bench: Bench):
    await trimmed(bench)
    one, first = await attached(bench)
    _, second = await attached(bench)
    assert (told(first), told(second)) == ([LOST], [LOST])
    one.verbs.ack(Ack(message_id=first.of("message")[0]["message_id"]))
    _, third = await attached(bench)
    assert told(third) == []


async def test_without_acks_it_is_heard_when_something_follows_it(bench: Bench):
    await trimmed(bench, count=15, kept=0)
    connection, peer = await attached(bench, ack="explicit")
    await gone(bench, connection)
    await bench.broker.subscriptions.delete(T, "s")
    settings = {"ack": "auto"}
    start = StartAt(positions={"a.b": StartPosition(1)})
    for follows in (False, True, None):
        connection, peer = await attached(bench, start=start, **settings)
        assert told(peer) == ([] if follows is None else [LOST])
        if follows:
            await bench.publish("a.b")
            assert in_order(peer) == ["gap", 16]
        await gone(bench, connection)


async def test_a_redelivery_that_the_log_has_lost_is_told_until_it_is_heard(bench: Bench):
    await bench.broker.topics.create(T, "a.b")
    connection, peer = await attached(bench)
    await bench.publish_many("a.b", 3)
    connection.verbs.nack(Nack(peer.of("message")[1]["message_id"], delay_ms=1000))
    connection.verbs.ack(Ack(message_id=peer.of("message")[0]["message_id"]))
    bench.forget_tail("a.b", 3)
    await trim(bench, "a.b", 1)
    await bench.advance(2)
    assert told(peer) == [("a.b", 2, 2, "retention")]
    await gone(bench, connection)
    _, peer = await attached(bench)
    assert told(peer) == [("a.b", 2, 2, "retention")]
    assert peer.seqs == [3]


@pytest.mark.parametrize("ack", ["auto", "explicit"])
async def test_a_loss_that_may_not_be_heard_is_told_with_the_topic_when_that_is_deleted(
    bench: Bench, ack
):
    """What was told of the log alone is not told any more: there is no such log."""
    await trimmed(bench, count=15, kept=0)
    await bench.broker.subscriptions.delete(T, "s")
    start = StartAt(positions={"a.b": StartPosition(1)})
    connection, peer = await attached(bench, start=start, ack=ack)
    assert told(peer) == [LOST]
    await bench.broker.topics.delete(T, "a.b")
    assert told(peer) == [LOST, ("a.b", 1, 15, "epoch_changed")]
    await gone(bench, connection)
    _, peer = await attached(bench)
    assert told(peer) == [("a.b", 1, 15, "epoch_changed")]


# Topics that are gone ---------------------------------------------------------------------------------


async def left_behind(bench: Bench) -> None:
    """A topic of which the subscription has settled two messages, and not three others."""
    await bench.broker.topics.create(T, "a.b")
    connection, _ = await attached(bench)
    await bench.publish_many("a.b", 5)
    connection.verbs.ack(Ack(topic="a.b", seq=2))
    await gone(bench, connection)


GONE = ("a.b", 3, 5, "epoch_changed")
ANEW = ("a.b", 3, None, "epoch_changed")


async def test_a_topic_that_is_deleted_for_good_is_told_with_what_was_not_settled(bench: Bench):
    await left_behind(bench)
    await bench.broker.topics.delete(T, "a.b")
    for _ in range(2):
        connection, peer = await attached(bench)
        assert told(peer) == [GONE]
        assert peer.of("gap")[0]["epoch"] == ""
        await gone(bench, connection)


async def test_who_is_attached_is_told_at_once(bench: Bench):
    _, durable = await attached(bench)
    _, ephemeral = await bench.subscribe("a.*", max_in_flight=1)
    await bench.broker.topics.create(T, "a.b")
    await bench.publish_many("a.b", 5)
    await bench.broker.topics.delete(T, "a.b")
    for peer in (durable, ephemeral):
        assert told(peer) == [("a.b", 1, 5, "epoch_changed")]


async def test_a_topic_of_which_all_is_settled_is_no_gap_when_it_goes(bench: Bench):
    connection, peer = await attached(bench)
    await bench.broker.topics.create(T, "a.b")
    await bench.publish_many("a.b", 5)
    connection.verbs.ack(Ack(topic="a.b", seq=5))
    await bench.broker.topics.delete(T, "a.b")
    await gone(bench, connection)
    _, again = await attached(bench)
    assert told(peer) == told(again) == []


async def test_that_it_is_gone_is_heard_with_what_is_settled_in_any_topic(bench: Bench):
    await left_behind(bench)
    await bench.broker.topics.delete(T, "a.b")
    await bench.broker.topics.create(T, "a.c")
    connection, peer = await attached(bench)
    await bench.publish("a.c")
    connection.verbs.ack(Ack(topic="a.c", seq=1))
    await gone(bench, connection)
    connection, peer = await attached(bench)
    assert told(peer) == []
    # It is another topic than the one that was followed, which is said even so.
    await bench.broker.topics.create(T, "a.b")
    assert told(peer) == [ANEW]
    await gone(bench, connection)
    _, peer = await attached(bench)
    assert told(peer) == [ANEW]


async def test_a_seek_while_nobody_is_attached_does_not_swallow_it(bench: Bench):
    await left_behind(bench)
    await bench.broker.topics.delete(T, "a.b")
    await bench.broker.topics.create(T, "a.b")
    await bench.broker.subscriptions.seek(T, "s", "new", dry_run=False)
    _, peer = await attached(bench)
    assert told(peer) == [ANEW]


async def test_a_topic_that_came_and_went_twice_is_told_with_an_end_that_is_not_known(
    bench: Bench,
):
    await left_behind(bench)
    for _ in range(2):
        await bench.broker.topics.delete(T, "a.b")
        await bench.broker.topics.create(T, "a.b")
    await bench.broker.topics.delete(T, "a.b")
    _, peer = await attached(bench)
    assert told(peer) == [("a.b", 1, None, "epoch_changed")]


# What a start asks for --------------------------------------------------------------------------------


async def test_what_a_start_cannot_be_given_is_told_until_it_is_heard(bench: Bench):
    await bench.broker.topics.create(T, "a.b")
    await bench.broker.topics.create(T, "a.c")
    await bench.publish_many("a.b", 5)
    positions = {
        "a.b": StartPosition(9),
        "a.c": StartPosition(3, "another"),
        "a.d": StartPosition(4, "another"),
    }
    expected = {
        ("a.b", 6, 8, "log_lost"),
        ("a.c", 3, None, "epoch_changed"),
        ("a.d", 4, None, "epoch_changed"),
    }
    for number in range(3):
        connection, peer = await attached(bench, start=StartAt(positions=positions))
        assert set(told(peer)) == expected
        assert len(told(peer)) == 3
        assert peer.of("subscribed")[0].get("recovered") is (None if number else False)
        await gone(bench, connection)
    connection, peer = await attached(bench)
    await bench.publish("a.b")
    connection.verbs.ack(Ack(topic="a.b", seq=6))
    await gone(bench, connection)
    _, peer = await attached(bench)
    assert told(peer) == []


@pytest.mark.parametrize("count", [50, START_GAPS_MAX_COUNT])
async def test_however_many_they_are_they_are_told_again_if_the_connection_breaks(
    bench: Bench, count
):
    positions = {f"a.t{number}": StartPosition(2) for number in range(count)}
    connection, peer = bench.connect()
    peer.writable = False
    await attached_on(bench, connection, positions)
    await gone(bench, connection)
    connection, peer = bench.connect()
    await attached_on(bench, connection, positions)
    await bench.until(lambda: len(peer.of("gap")) == count)


async def test_a_start_that_would_owe_more_than_may_be_stored_is_refused_and_makes_nothing(
    bench: Bench,
):
    positions = {f"a.t{number}": StartPosition(2) for number in range(START_GAPS_MAX_COUNT + 1)}
    connection, peer = bench.connect()
    with pytest.raises(LimitReached, match="1001 of the positions"):
        await attached_on(bench, connection, positions)
    assert peer.frames == []
    assert bench.broker.subscriptions.count == 0
    # What is there is not owed, however much it is.
    for name in positions:
        await bench.broker.topics.create(T, name)
    positions = dict.fromkeys(positions, StartPosition(1))
    await attached_on(bench, connection, positions)
    assert peer.of("subscribed")[0]["recovered"] is True


async def attached_on(bench: Bench, connection, positions) -> None:
    await connection.subscribe(Subscribe("a.*", "s", start=StartAt(positions=positions)))
    await bench.rest()


async def test_a_gap_that_ends_beyond_what_this_node_knows_is_told_once(bench: Bench):
    await trimmed(bench, count=3, kept=3)
    topic = bench.broker.topics.get(T, "a.b")
    others = [given.message(topic.topic_id) for _ in range(3)]
    await bench.broker.topics._store.append(others)
    await trim(bench, "a.b", 1)
    _, peer = await attached(bench)
    for _ in range(20):
        await bench.flush()
        await bench.tidy()
    await bench.publish("a.b")
    await bench.fill_holes()
    assert told(peer) == [("a.b", 1, 5, "retention")]
    assert peer.seqs == [6, 7]


async def test_a_stream_that_resumes_is_told_what_retention_took_of_topics_it_had_not_heard_from(
    bench: Bench,
):
    await bench.broker.topics.create(T, "a.b")
    await bench.publish_many("a.b", 3)
    await trim(bench, "a.b", 0)
    bench.clock.seconds += 1
    connection, peer = await bench.subscribe("a.*")
    (welcome,) = peer.of("subscribed")
    connection.close()
    bench.clock.seconds += 1
    start = StartAt(positions={}, time=welcome["at"])
    # What was gone before its time is not missing.
    connection, peer = await bench.subscribe("a.*", start=start)
    assert (peer.of("subscribed")[0]["recovered"], told(peer)) == (True, [])
    connection.close()
    await bench.publish_many("a.b", 20)
    await trim(bench, "a.b", 5)
    _, peer = await bench.subscribe("a.*", start=start)
    assert peer.of("subscribed")[0]["recovered"] is False
    assert told(peer) == [("a.b", 1, 18, "retention")]
    assert peer.seqs == [19, 20, 21, 22, 23]
