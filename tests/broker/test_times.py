"""How long commits, publishes, deliveries and acks take, as it is measured."""

import pytest

from conduit.broker.stats import ACKS_TIMED_COUNT, Stats
from conduit.core.message import NewMessage
from conduit.errors import NotFound
from conduit.protocol.frames import Ack, Extend, Nack
from tests.broker.kit import ManualClock, made_commits, running_broker


@pytest.fixture
async def bench():
    async with running_broker() as bench:
        await bench.broker.topics.create("default", "t")
        yield bench


async def test_every_commit_and_every_publish_is_timed(bench):
    stats = bench.broker.stats
    for _ in range(3):
        await bench.publish("t")
    await bench.publish_many("t", 10)
    assert (stats.commit_times.count, stats.publish_times.count) == (4, 4)


async def test_a_publish_that_is_refused_is_not_timed(bench):
    with pytest.raises(NotFound):
        await bench.publish("nowhere")
    assert bench.broker.stats.publish_times.count == 0


def test_publishes_that_waited_for_one_commit_are_timed_together():
    commits = made_commits(ManualClock())
    commits.stored([(1, None, 5.0)] * 1_000, 5.125, 5.25)
    stats = commits._stats
    assert (stats.publish_times.count, stats.publish_times.sum) == (1_000, 250.0)
    assert (stats.commit_times.count, stats.commit_times.sum) == (1, 0.125)


def test_publishes_that_came_at_different_times_are_timed_apart():
    commits = made_commits(ManualClock())
    commits.stored([(1, None, 4.0), (1, None, 5.0), (1, None, 5.0)], 6.0, 6.0)
    assert dict(commits._stats.publish_times.cumulative())[1.0] == 2
    assert commits._stats.publish_times.sum == 4.0


@pytest.mark.parametrize("name", [None, "s"])
async def test_what_was_there_before_its_subscriber_is_not_timed(bench, name):
    stats = bench.broker.stats
    await bench.publish_many("t", 4)
    await bench.advance(100.0)
    _, peer = await bench.subscribe("t", subscription=name, start="earliest")
    assert peer.seqs == [1, 2, 3, 4]
    assert (stats.delivered_count, stats.delivery_times.count) == (4, 0)
    await bench.publish("t")
    assert (stats.delivered_count, stats.delivery_times.count) == (5, 1)
    assert stats.delivery_times.sum == pytest.approx(0, abs=0.1)


async def test_what_is_read_from_the_log_is_not_timed(bench):
    connection, peer = await bench.subscribe("t", subscription="s", max_in_flight=1)
    await bench.publish_many("t", 3)
    bench.forget_tail("t", 3)
    connection.verbs.ack(Ack(message_id=peer.of("message")[0]["message_id"]))
    await bench.advance(1.0)
    assert peer.seqs == [1, 2]
    assert (bench.broker.stats.delivered_count, bench.broker.stats.delivery_times.count) == (2, 1)


async def test_what_waited_while_a_subscription_was_paused_is_not_timed(bench):
    stats = bench.broker.stats
    await bench.subscribe("t", subscription="s")
    await bench.broker.subscriptions.pause("default", "s")
    await bench.publish("t")
    await bench.advance(100.0)
    await bench.broker.subscriptions.resume("default", "s")
    await bench.advance(1.0)
    assert (stats.delivered_count, stats.delivery_times.count) == (1, 0)


async def test_what_a_seek_delivers_again_is_not_timed(bench):
    stats = bench.broker.stats
    connection, peer = await bench.subscribe("t", subscription="s")
    await bench.publish_many("t", 3)
    connection.verbs.ack(Ack(message_ids=[each["message_id"] for each in peer.of("message")]))
    await bench.advance(100.0)
    await bench.broker.subscriptions.seek("default", "s", "earliest", dry_run=False)
    await bench.advance(1.0)
    assert (peer.seqs, stats.delivery_times.count) == ([1, 2, 3, 1, 2, 3], 3)
    await bench.publish("t")
    assert stats.delivery_times.count == 4


async def test_what_waited_for_credit_is_timed_each_with_its_own_age(bench):
    connection, peer = await bench.subscribe("t", subscription="s", max_in_flight=1)
    for _ in range(3):
        await bench.publish("t")
        await bench.advance(1.0)
    for _ in range(2):
        connection.verbs.ack(Ack(message_id=peer.of("message")[-1]["message_id"]))
        await bench.advance(0.0)
    assert peer.seqs == [1, 2, 3]
    times = bench.broker.stats.delivery_times
    assert (times.count, times.sum) == (3, pytest.approx(3, abs=0.1))


def test_what_comes_live_of_several_commits_has_each_its_own_age_for_each_subscriber():
    stats = Stats(0.0, wall_ms=10_000)
    messages = [NewMessage(1, "id", b"1", published_at_ms=ms) for ms in (7_000, 7_000, 9_000)]
    stats.delivered(messages, 0.0, 2)
    assert (stats.delivered_count, stats.delivery_times.sum) == (6, 14.0)
    assert dict(stats.delivery_times.cumulative())[1.0] == 2


async def test_what_comes_live_is_timed_for_each_subscriber(bench):
    for ack in ("auto", "auto", "explicit"):
        await bench.subscribe("t", ack=ack)
    await bench.publish("t")
    assert bench.broker.stats.delivery_times.count == 3


async def test_a_redelivery_is_not_timed(bench):
    connection, peer = await bench.subscribe("t")
    await bench.publish("t")
    connection.verbs.nack(Nack(peer.of("message")[0]["message_id"], delay_ms=0))
    await bench.advance(0.1)
    assert peer.attempts == [(1, 1), (1, 2)]
    assert bench.broker.stats.delivery_times.count == 1


async def test_ages_follow_a_wall_clock_that_is_set(bench):
    await bench.subscribe("t")
    bench.clock.ahead_s = 3_600.0
    bench.broker._ticked()
    await bench.publish("t")
    assert bench.broker.stats.delivery_times.sum == pytest.approx(0, abs=0.001)


async def test_the_time_of_an_ack_begins_with_the_hand_out(bench):
    connection, peer = await bench.subscribe("t")
    await bench.publish("t")
    await bench.advance(0.5)
    connection.verbs.ack(Ack(message_id=peer.of("message")[0]["message_id"]))
    times = bench.broker.stats.ack_times
    assert (times.count, times.sum) == (1, pytest.approx(0.5))


async def test_of_acks_up_to_a_number_the_last_is_timed(bench):
    connection, _ = await bench.subscribe("t")
    await bench.publish_many("t", 3)
    await bench.advance(0.5)
    connection.verbs.ack(Ack(topic="t", seq=3))
    times = bench.broker.stats.ack_times
    assert (times.count, times.sum) == (1, pytest.approx(0.5))


async def test_an_ack_after_an_extend_is_not_timed_since_its_begin_is_not_known(bench):
    connection, peer = await bench.subscribe("t")
    await bench.publish("t")
    message_id = peer.of("message")[0]["message_id"]
    connection.verbs.extend(Extend(message_id, ms=5_000))
    connection.verbs.ack(Ack(message_id=message_id))
    assert bench.broker.stats.ack_times.count == 0


async def test_only_so_many_acks_are_timed_in_one_second(bench):
    connection, peer = await bench.subscribe("t", ack_wait_ms=60_000)
    for _ in range(2):
        await bench.publish_many("t", ACKS_TIMED_COUNT + 5)
        for frame in peer.of("message"):
            connection.verbs.ack(Ack(message_id=frame["message_id"]))
        peer.frames.clear()
        bench.broker._ticked()
    assert bench.broker.stats.acked_count == 2 * (ACKS_TIMED_COUNT + 5)
    assert bench.broker.stats.ack_times.count == 2 * ACKS_TIMED_COUNT
