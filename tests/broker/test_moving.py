"""What a seek would mean, before it is done; and who is attached."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from conduit.broker.administer.moving import move_of
from conduit.core.delivery import Delivery
from conduit.core.message import Retention, SubscriptionSettings, TopicRecord
from conduit.core.policy import Policy
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.frames import Ack, StartAt
from tests.broker.kit import Bench


async def some_settled(bench: Bench):
    """Of five messages 1, 2 and 4 are settled."""
    connection, peer = await bench.subscribe("a", subscription="s")
    await bench.publish_many("a", 5)
    ids = {frame["seq"]: frame["message_id"] for frame in peer.of("message")}
    for seq in (1, 2, 4):
        connection.verbs.ack(Ack(message_id=ids[seq]))
    return connection


async def test_a_dry_run_says_what_comes_again_what_is_skipped_and_from_where_to_where(
    bench: Bench,
):
    await some_settled(bench)
    moved = await bench.broker.subscriptions.seek(T, "s", StartAt(seq=4), dry_run=True)
    assert (moved.lag, moved.again_count, moved.skipped_count) == (2, 1, 1)
    (move,) = moved.topics
    assert (move.floor_before, move.floor) == (2, 3)
    assert (move.again_count, move.skipped_count) == (1, 1)
    assert None not in (move.next_before_at, move.next_at)
    end = await bench.broker.subscriptions.seek(T, "s", "new", dry_run=True)
    assert (end.lag, end.again_count, end.skipped_count) == (0, 0, 2)
    (move,) = end.topics
    assert (move.next_at, move.next_seq, move.next_is) == (None, None, "not_published")


async def test_a_dry_run_says_of_what_was_purged_that_it_is_removed_and_what_comes_instead(
    bench: Bench,
):
    (await some_settled(bench)).close()
    await bench.flush()
    await bench.broker.purger.purge(T, "a")

    async def looked(start):
        moved = await bench.broker.subscriptions.seek(T, "s", start, dry_run=True)
        (move,) = moved.topics
        before = (move.next_before_is, move.next_before_seq, move.next_before_at is None)
        return before, (move.next_is, move.next_seq, move.next_at is None)

    gone, new = ("removed", None, True), ("not_published", None, True)
    assert await looked(StartAt(seq=2)) == (gone, gone)
    assert await looked("new") == (gone, new)
    await bench.publish("a")
    assert await looked(StartAt(seq=2)) == (("removed", 6, False), ("removed", 6, False))
    assert (await looked(StartAt(seq=6)))[1] == ("stored", 6, False)


async def test_it_says_the_same_of_one_to_which_nobody_is_attached(bench: Bench):
    connection = await some_settled(bench)
    connection.close()
    await bench.flush()
    moved = await bench.broker.subscriptions.seek(T, "s", "earliest", dry_run=True)
    assert (moved.lag, moved.again_count, moved.skipped_count) == (5, 3, 0)


async def test_of_many_topics_it_says_it_of_all_together(bench: Bench):
    await bench.subscribe("many.*", subscription="s")
    for number in range(25):
        await bench.broker.topics.create(T, f"many.t{number}")
        await bench.publish_many(f"many.t{number}", 2)
    moved = await bench.broker.subscriptions.seek(T, "s", "new", dry_run=True)
    assert (moved.more_topics, moved.topics) == (True, [])
    assert (moved.again_count, moved.skipped_count) == (0, 50)


async def test_what_is_done_says_only_where_it_is(bench: Bench):
    await some_settled(bench)
    moved = await bench.broker.subscriptions.seek(T, "s", StartAt(seq=4), dry_run=False)
    assert (moved.again_count, moved.skipped_count) == (None, None)
    assert moved.topics[0].floor_before is None


@given(
    st.integers(0, 12),
    st.integers(1, 6),
    st.sets(st.integers(1, 12)),
    st.integers(0, 12),
    st.integers(0, 14),
)
def test_what_comes_again_and_what_is_skipped_is_what_counting_one_by_one_finds(
    last_seq, first_seq, settled, handed, floor
):
    handed = min(handed, last_seq)
    topic = TopicRecord(
        topic_id=1,
        tenant=T,
        name="a",
        epoch="e",
        created_at_ms=0,
        first_seq=first_seq,
        last_seq=last_seq,
        stored_bytes=0,
        retention=Retention(None, None, None),
    )
    delivery = Delivery(Policy(), 0, {})
    if handed:
        delivery.hand(1, handed, 1, 0.0)
    done = {seq for seq in settled if seq <= handed}
    for seq in done:
        delivery.ack(seq)
    move = move_of(topic, floor, delivery)
    stored = set(range(first_seq, last_seq + 1))
    after = {seq for seq in stored if seq > floor}
    assert move.lag == len(after)
    assert move.again_count == len(after & done)
    assert move.skipped_count == len(stored - after - done)


async def test_who_is_attached_is_told_with_what_each_has(bench: Bench):
    connection = await some_settled(bench)
    (one,) = await bench.broker.subscriptions.attached(T, "s")
    assert (one.node, one.in_flight_count, one.max_in_flight) == (None, 2, 256)
    assert one.is_reading
    _, slow = await bench.subscribe("a", subscription="s", ack=None)
    slow.writable, slow.node_name = False, "east-2"
    found = await bench.broker.subscriptions.attached(T, "s")
    assert [(each.node, each.is_reading) for each in found] == [(None, True), ("east-2", False)]
    connection.close()
    assert len(await bench.broker.subscriptions.attached(T, "s")) == 1


async def test_nobody_is_attached_to_one_that_only_exists(bench: Bench):
    await bench.broker.subscriptions.create(T, "s", "a", SubscriptionSettings(), None)
    assert await bench.broker.subscriptions.attached(T, "s") == []
