"""A wall clock that is wrong, and is set: retention, idempotency keys and times to start at."""

import asyncio
import logging

import pytest

from conduit.broker.administer import retention
from conduit.broker.store_time import FACT
from conduit.core.timeline import SETTLED_MS
from conduit.protocol.codec import format_time
from conduit.protocol.frames import Reject, StartAt
from conduit.storage.dead_letters import DeadFilter
from conduit.storage.memory import MemoryStore
from tests.broker.kit import ManualClock
from tests.broker.stores import SlowStore
from tests.broker.wall_clock import (
    DAY_S,
    HOUR_S,
    MINUTE_S,
    T,
    created,
    kept,
    running,
    steps,
)
from tests.storage.given import letters_count


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def store():
    return MemoryStore()


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
        assert await letters_count(store, T, DeadFilter()) == 1


async def test_a_dead_letter_of_a_moment_in_which_the_clock_was_behind_is_kept(store, clock):
    async with running(store, clock) as bench:
        await created(bench, "t")
        connection, peer = await bench.subscribe("t", subscription="s")
        await bench.publish("t")
        steps(bench, 0)
        # Nobody looks at the clock in between.
        clock.ahead_s = -300 * DAY_S
        connection.verbs.reject(Reject(peer.of("message")[0]["message_id"]))
        clock.ahead_s = 0
        await bench.flush()
        await bench.broker._housekeeper.round()
        assert await letters_count(store, T, DeadFilter()) == 1


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


@pytest.mark.parametrize(("old_count", "is_late"), [(10, True), (5, False)])
async def test_a_key_used_after_the_clock_was_set_back_while_old_ones_are_forgotten_is_known(
    monkeypatch, store, clock, old_count: int, is_late: bool
):
    monkeypatch.setattr(retention, "SLICE_COUNT", 10)
    async with running(store, clock) as bench:
        await created(bench, "t")
        for number in range(old_count):
            await bench.publish("t", idempotency_key=str(number))
        clock.seconds += HOUR_S
        bench.broker._ticked()
        forget = store.forget_keys

        async def sets_the_clock_back(before_ms: int, limit: int) -> int:
            """After the first slice, or while the store works on it."""
            store.forget_keys = forget
            count = await forget(before_ms, limit) if is_late else 0
            clock.ahead_s -= 2 * HOUR_S
            await bench.publish("t", idempotency_key="k")
            return count if is_late else await forget(before_ms, limit)

        store.forget_keys = sets_the_clock_back
        await bench.broker._housekeeper.round()
        assert [known.key for known in await store.known_keys(0, 100)] == ["k"]


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
    assert "set forward by 3600.0 s: new messages have the new time" in lines[0]
    assert "set back by 3600.0 s: a topic's new messages have its latest time until" in lines[1]
    caplog.clear()
    clock.seconds += DAY_S
    clock.boot_id = "another boot"
    async with running(store, clock):
        (line,) = [record for record in caplog.records if "clock" in record.message]
        assert line.levelno == logging.INFO
        assert "86400.0 s ahead of where the server left it" in line.message
