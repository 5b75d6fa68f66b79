"""A wall clock that is wrong, and is set: stamps are those of the moment, and never run back in a topic."""

import asyncio

import pytest

from conduit.broker.administer.browse import Window
from conduit.broker.stamps import Stamps
from conduit.broker.store_time import StoreTime
from conduit.core.message import NewMessage, Retention
from conduit.errors import StoreUnavailable
from conduit.protocol.codec import parse_time
from conduit.protocol.frames import Nack
from conduit.storage.memory import MemoryStore
from tests.broker.kit import ManualClock
from tests.broker.stores import SlowStore
from tests.broker.wall_clock import (
    DAY_S,
    HOUR_S,
    T,
    created,
    published_ms,
    running,
    steps,
)


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def store():
    return MemoryStore()


async def test_a_stamp_is_what_the_wall_clock_says_at_the_moment_and_no_deadline_moves(
    store, clock
):
    clock.ahead_s = -30 * DAY_S
    async with running(store, clock) as bench:
        await created(bench, "t")
        _, peer = await bench.subscribe("t", ack_wait_ms=1000)
        assert await published_ms(bench, "t") == clock.wall_ms()
        steps(bench, 0)
        assert await published_ms(bench, "t") == clock.wall_ms()
        await created(bench, "u")
        assert bench.broker.topics.get(T, "u").created_at_ms == clock.wall_ms()
        await bench.advance(0.5)
        assert peer.attempts == [(1, 1), (2, 1)]
        for _ in range(2):
            await bench.advance(0.5)
        assert peer.attempts == [(1, 1), (2, 1), (1, 2), (2, 2)]


async def test_the_time_of_the_next_attempt_is_shown_by_the_wall_clock(store, clock):
    async with running(store, clock) as bench:
        await created(bench, "t")
        connection, peer = await bench.subscribe("t", subscription="s")
        await bench.publish("t")
        connection.verbs.nack(Nack(peer.of("message")[0]["message_id"], delay_ms=60_000))
        steps(bench, HOUR_S)
        topic = bench.broker.topics.get(T, "t")
        (state,) = await bench.broker.subscriptions.delivery_states(topic, 1, limit=9)
        assert state.next_attempt_at_ms == clock.wall_ms() + 60_000


async def test_of_a_topic_stamps_never_run_back_and_other_topics_have_the_right_time(store, clock):
    async with running(store, clock) as bench:
        for name in ("t", "u", "empty"):
            await created(bench, name)
        clock.ahead_s = 2 * HOUR_S
        high_ms = await published_ms(bench, "t")
        clock.ahead_s = 0
        clock.seconds += 1
        assert await published_ms(bench, "t") == high_ms
        receipts = await bench.publish_many("t", 2)
        assert {parse_time(receipt.published_at) for receipt in receipts} == {high_ms}
        assert await published_ms(bench, "u") == clock.wall_ms()
        assert await published_ms(bench, "empty") == clock.wall_ms()
        clock.seconds += 2 * HOUR_S
        assert await published_ms(bench, "t") == clock.wall_ms()


async def test_one_commit_may_have_messages_of_different_times(store, clock):
    async with running(store, clock) as bench:
        await created(bench, "t")
        await created(bench, "u")
        clock.ahead_s = HOUR_S
        high_ms = await published_ms(bench, "t")
        clock.ahead_s = 0
        told: list[tuple[str, int]] = []
        for name in ("u", "t", "u"):
            bench.broker.publish(
                T,
                bench.request(name),
                lambda receipt: told.append((receipt.topic, parse_time(receipt.published_at))),
            )
        await bench.until(lambda: len(told) == 3)
        now_ms = clock.wall_ms()
        assert told == [("u", now_ms), ("t", high_ms), ("u", now_ms)]
        messages, _ = await bench.broker.messages.browse(T, "t", Window(), 10)
        assert [message.published_at_ms for message in messages] == [high_ms, high_ms]


async def test_a_clock_that_catches_up_while_another_shard_reads_what_came_last_ends_no_committer(
    clock,
):
    store = SlowStore()
    stamps = Stamps(store, StoreTime(store, clock))
    for topic_id in (1, 2, 3):
        await store.topic_create(T, f"t{topic_id}", Retention(), 0)
        message = NewMessage(topic_id, f"id{topic_id}", b"1")
        ahead = stamps.give([message], clock.wall_ms())
        if ahead is not None:
            await ahead
        await store.append([message])
    highest_ms = clock.wall_ms()
    clock.ahead_s -= 5
    known, read, other = (NewMessage(topic_id, "", b"1") for topic_id in (1, 2, 3))
    await stamps.give([known], clock.wall_ms())
    store.held.add("last_stamps")
    waiting = asyncio.get_running_loop().create_task(stamps.give([known, read], clock.wall_ms()))
    for _ in range(10):
        await asyncio.sleep(0)
    assert store.waiting == ["last_stamps"]
    clock.seconds += 10
    ahead = stamps.give([other], clock.wall_ms())
    store.release()
    if ahead is not None:
        await ahead
    await waiting
    # Not lower than anything in the topic.
    assert highest_ms <= known.published_at_ms <= clock.wall_ms()
    assert highest_ms <= read.published_at_ms <= clock.wall_ms()


async def nothing_is_kept(name: str, value: bytes) -> None:
    """In place of `Store.keep_fact`."""


@pytest.mark.parametrize("boots", [False, True])
@pytest.mark.parametrize("stops", [True, False])
@pytest.mark.parametrize("ahead_s", [90, 2 * HOUR_S])
async def test_stamps_do_not_run_back_over_a_restart(
    store, clock, boots: bool, stops: bool, ahead_s: float
):
    async with running(store, clock) as bench:
        await created(bench, "t")
        clock.ahead_s = ahead_s
        high_ms = await published_ms(bench, "t")
        if not stops:
            # Nothing is kept any more: as if it were killed.
            store.keep_fact = nothing_is_kept
    clock.ahead_s = 0
    clock.seconds += 10
    if boots:
        clock.boot_id = "another boot"
    async with running(store, clock) as bench:
        await created(bench, "new")
        assert await published_ms(bench, "t") == high_ms
        assert await published_ms(bench, "new") == clock.wall_ms()


async def test_a_stamp_that_another_node_gave_is_not_passed_below_after_the_first_publish(
    store, clock
):
    async with running(store, clock) as bench, running(store, clock) as other:
        await created(bench, "t")
        await other.broker.topics.ensure(T, "t")
        clock.ahead_s = HOUR_S
        bench.broker._time.tick()
        high_ms = await published_ms(other, "t")
        clock.ahead_s = 0
        assert [await published_ms(bench, "t") for _ in range(2)] == [high_ms, high_ms]


async def test_a_store_that_cannot_say_what_came_last_holds_no_publish_up(store, clock):
    async def fails(*args, **kwargs):
        raise StoreUnavailable("the log cannot be read")

    async with running(store, clock) as bench:
        await created(bench, "t")
        clock.ahead_s = HOUR_S
        high_ms = await published_ms(bench, "t")
        clock.ahead_s = 0
        store.last_stamps = fails
        assert await published_ms(bench, "t") == high_ms


async def test_what_came_last_is_asked_for_all_topics_of_a_commit_at_once(store, clock):
    asked: list[int] = []

    async def last_stamps(topic_ids):
        asked.append(len(topic_ids))
        return await type(store).last_stamps(store, topic_ids)

    async with running(store, clock) as bench:
        for number in range(20):
            await created(bench, f"t{number}")
        clock.ahead_s = HOUR_S
        await bench.publish("t0")
        clock.ahead_s = 0
        store.last_stamps = last_stamps
        told: list[object] = []
        for number in [*range(20), 3]:
            bench.broker.publish(T, bench.request(f"t{number}"), told.append)
        await bench.until(lambda: len(told) == 21)
        assert asked == [20]
        await bench.publish("t7")
        assert asked == [20]


async def test_a_commit_without_messages_is_stamped_while_the_clock_is_behind(store, clock):
    store_time = StoreTime(store, clock)
    store_time.highest_ms = clock.wall_ms() + 1
    waiting = Stamps(store, store_time).give([], clock.wall_ms())
    assert waiting is not None
    await waiting
