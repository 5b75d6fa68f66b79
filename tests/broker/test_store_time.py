"""A wall clock that is wrong, and is set: stamps, retention, idempotency keys and times to start at."""

import asyncio
import logging

import pytest

from conduit.broker.administer.browse import Window
from conduit.broker.administer.retention import RetentionRules
from conduit.broker.stamps import Stamps
from conduit.broker.store_time import FACT, StoreTime
from conduit.core.message import NewMessage, Retention
from conduit.core.timeline import SETTLED_MS
from conduit.errors import StoreUnavailable
from conduit.names import DEFAULT_TENANT
from conduit.protocol.codec import format_time, parse_time
from conduit.protocol.frames import Nack, Reject, StartAt
from conduit.storage.dead_letters import DeadFilter
from conduit.storage.memory import MemoryStore
from tests.broker.kit import Bench, ManualClock, running_broker
from tests.broker.stores import SlowStore

T = DEFAULT_TENANT
MINUTE_S, HOUR_S, DAY_S = 60, 3_600, 86_400


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def store():
    return MemoryStore()


def running(store: MemoryStore, clock: ManualClock):
    return running_broker(store, clock, housekeeping=RetentionRules(interval_s=3600))


async def created(bench: Bench, name: str, max_age_s: int | None = None) -> None:
    await bench.broker.topics.create(T, name, Retention(max_age_s=max_age_s))


async def published_ms(bench: Bench, name: str, **fields: object) -> int:
    return parse_time((await bench.publish(name, **fields)).published_at)


async def kept(bench: Bench, name: str) -> list[int]:
    """The numbers that a round of retention leaves."""
    await bench.broker._housekeeper.round()
    messages, _ = await bench.broker.messages.browse(T, name, Window(), 100)
    return [message.seq for message in messages]


def steps(bench: Bench, ahead_s: float) -> None:
    """The machine's clock is set; the broker notes it within a second."""
    bench.clock.ahead_s = ahead_s
    bench.broker._time.tick()


# Stamps ---------------------------------------------------------------------------------------------


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
        (state,) = await bench.broker.subscriptions.delivery_states(topic, 1)
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


# Retention --------------------------------------------------------------------------------------------


async def test_a_server_that_began_with_a_wrong_clock_removes_nothing_when_it_is_set(store, clock):
    clock.ahead_s = -30 * DAY_S
    async with running(store, clock) as bench:
        await created(bench, "t", max_age_s=7 * DAY_S)
        await bench.publish("t")
        clock.seconds += MINUTE_S
        steps(bench, 0)
        await bench.publish("t")
        assert await kept(bench, "t") == [1, 2]
    async with running(store, clock) as bench:
        assert await kept(bench, "t") == [1, 2]
        clock.seconds += 7 * DAY_S - MINUTE_S + 1
        assert await kept(bench, "t") == [2]
        clock.seconds += MINUTE_S
        assert await kept(bench, "t") == []


async def test_a_clock_that_jumps_30_days_ahead_for_a_minute_removes_nothing(store, clock):
    async with running(store, clock) as bench:
        await created(bench, "t", max_age_s=7 * DAY_S)
        await bench.publish("t")
        steps(bench, 30 * DAY_S)
        await bench.publish("t")
        assert await kept(bench, "t") == [1, 2]
        clock.seconds += MINUTE_S
        steps(bench, 0)
        await bench.publish("t")
        assert await kept(bench, "t") == [1, 2, 3]


async def test_what_is_published_before_anybody_has_noted_that_the_clock_was_set_back_is_kept(
    store, clock
):
    async with running(store, clock) as bench:
        await created(bench, "new", max_age_s=3600)
        bench.clock.seconds += 30
        steps(bench, 0.0)
        bench.clock.ahead_s = -2 * 3600
        for _ in range(5):
            bench.clock.seconds += 0.1
            await bench.publish("new")
        bench.clock.seconds += 2
        bench.broker._time.tick()
        assert await kept(bench, "new") == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("has_later_stamps", [False, True])
async def test_the_store_knows_that_the_clock_was_set_back_before_it_has_a_message_of_then(
    store, clock, has_later_stamps
):
    async with running(store, clock) as bench:
        await created(bench, "new", max_age_s=3600)
        if has_later_stamps:
            await created(bench, "other")
            await bench.publish("other")
        bench.clock.seconds += 30
        steps(bench, -2 * 3600)
        await bench.publish("new")
        known = await store.fact(FACT)
    # As if it had been killed.
    await store.keep_fact(FACT, known)
    bench.clock.seconds += 2
    async with running(store, bench.clock) as again:
        assert await kept(again, "new") == [1]


async def test_a_step_while_the_store_is_told_the_time_is_still_to_be_kept(clock):
    store = SlowStore()
    async with running(store, clock) as bench:
        await created(bench, "new", max_age_s=3600)
        clock.seconds += MINUTE_S + 1
        store.held.add("keep_fact")
        keeping = asyncio.get_running_loop().create_task(bench.broker._time.keep())
        await bench.until(lambda: store.waiting == ["keep_fact"])
        steps(bench, -2 * 3600)
        store.release()
        await keeping
        clock.seconds += 5
        await bench.publish("new")
        known = await store.fact(FACT)
    # As if it had been killed.
    await store.keep_fact(FACT, known)
    clock.seconds += 2
    async with running(store, clock) as again:
        assert await kept(again, "new") == [1]


async def test_a_stamp_of_the_future_keeps_a_message_for_twice_its_maximum_age_at_most(
    store, clock
):
    async with running(store, clock) as bench:
        await created(bench, "t", max_age_s=HOUR_S)
        steps(bench, 30 * DAY_S)
        await bench.publish("t")
        steps(bench, 0)
        assert await kept(bench, "t") == [1]
        clock.seconds += HOUR_S / 2
        await bench.publish("t")
        clock.seconds += HOUR_S / 2 + 1
        assert await kept(bench, "t") == [2]
        clock.seconds += HOUR_S + 1
        assert await kept(bench, "t") == []


async def test_dead_letters_and_what_was_deleted_are_not_older_for_a_step(store, clock):
    async with running(store, clock) as bench:
        await created(bench, "t")
        connection, peer = await bench.subscribe("t", subscription="s")
        await bench.publish("t")
        connection.verbs.reject(Reject(peer.of("message")[0]["message_id"]))
        await bench.flush()
        steps(bench, 300 * DAY_S)
        await bench.broker._housekeeper.round()
        assert await store.dead_count(T, DeadFilter()) == 1


async def test_after_a_boot_time_away_counts_when_the_clock_has_been_steady(store, clock, caplog):
    async with running(store, clock) as bench:
        await created(bench, "t", max_age_s=DAY_S)
        await bench.publish("t")
    clock.seconds += 2 * DAY_S
    clock.boot_id = "another boot"
    async with running(store, clock) as bench:
        assert await kept(bench, "t") == [1]
        clock.seconds += SETTLED_MS / 1000 + 1
        bench.broker._time.tick()
        assert await kept(bench, "t") == []


# Idempotency keys -------------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead_s", [30 * DAY_S, -30 * DAY_S, HOUR_S, 0])
@pytest.mark.parametrize("boots", [False, True])
async def test_a_key_used_a_minute_ago_is_known_whatever_the_clock_does(
    store, clock, ahead_s: float, boots: bool
):
    async with running(store, clock) as bench:
        await created(bench, "t")
        assert not (await bench.publish("t", idempotency_key="k")).duplicate
        clock.seconds += MINUTE_S
        steps(bench, ahead_s)
        bench.broker._keys.tick(clock.now())
        await bench.broker._housekeeper.round()
        assert (await bench.publish("t", idempotency_key="k")).duplicate
    if boots:
        clock.boot_id = "another boot"
    async with running(store, clock) as bench:
        assert (await bench.publish("t", idempotency_key="k")).duplicate
        clock.seconds += 600
        bench.broker._keys.tick(clock.now())
        assert not (await bench.publish("t", idempotency_key="k")).duplicate


# Times to start at ------------------------------------------------------------------------------------


async def test_a_start_by_time_misses_nothing_that_came_after_a_step_back(store, clock):
    async with running(store, clock) as bench:
        await created(bench, "t")
        since = format_time(clock.wall_ms())
        clock.seconds += 1
        steps(bench, -HOUR_S)
        await bench.publish("t", "after")
        _, peer = await bench.subscribe("t", start=StartAt(time=since))
        assert [message["payload"] for message in peer.of("message")] == ["after"]


# The log ----------------------------------------------------------------------------------------------


async def test_the_log_says_when_the_clock_was_set(store, clock, caplog):
    caplog.set_level(logging.INFO)
    async with running(store, clock) as bench:
        bench.broker._time.tick()
        clock.seconds += 1
        bench.broker._time.tick()
        assert not [record for record in caplog.records if "clock" in record.message]
        steps(bench, HOUR_S)
        steps(bench, 0)
    lines = [record.message for record in caplog.records if "clock" in record.message]
    assert ["set forward by 3600.0 s" in lines[0], "set back by 3600.0 s" in lines[1]] == [
        True,
        True,
    ]
    caplog.clear()
    clock.seconds += DAY_S
    clock.boot_id = "another boot"
    async with running(store, clock):
        (line,) = [record for record in caplog.records if "clock" in record.message]
        assert line.levelno == logging.INFO
        assert "86400.0 s ahead of where the server left it" in line.message
