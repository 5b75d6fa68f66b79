"""Which subscriptions somebody should look at."""

import asyncio

import pytest

from conduit.broker.administer.attention import (
    GROWTH_MAX_S,
    LOOK_INTERVAL_S,
    MARK_INTERVAL_S,
    STALE_INTERVALS_COUNT,
    TENANTS_STEP_COUNT,
    TROUBLED_MAX_COUNT,
    TROUBLES,
    Attended,
    Troubled,
    worst,
)
from conduit.broker.administer.quotas import Quota
from conduit.broker.waiting import result_of
from conduit.limits import TenantLimits
from conduit.protocol.frames import Nack
from tests.broker.kit import Bench, running_broker

T, OTHER = "default", "other"
STALE_S = STALE_INTERVALS_COUNT * LOOK_INTERVAL_S


@pytest.fixture
async def bench():
    async with running_broker() as bench:
        yield bench


async def look(bench: Bench, tenant: str | None = T, after_s: float = LOOK_INTERVAL_S) -> Attended:
    await bench.flush()
    await bench.broker.subscriptions._counting.round()
    bench.clock.seconds += after_s
    bench.broker.attention.of(tenant)
    await bench.until(lambda: bench.broker.attention._looking is None)
    return bench.broker.attention.of(tenant)


async def create(bench: Bench, name: str, topic: str = "t", tenant: str = T) -> None:
    settings = bench.durable_settings()
    await bench.broker.subscriptions.create(tenant, name, topic, settings, None)


def told(seen: Attended) -> list[tuple[str, str, int]]:
    return [(each.trouble, each.name, each.lag) for each in seen.subscriptions]


async def test_before_the_first_look_nothing_is_known(bench: Bench):
    assert bench.broker.attention.of(T).age_s is None
    await bench.broker.attention.looked()
    assert bench.broker.attention.of(T) == Attended(age_s=0.0)


async def test_what_was_seen_long_ago_is_looked_at_again_before_it_is_told(bench: Bench):
    await create(bench, "s")
    await bench.publish_many("t", 1)
    assert told(await look(bench)) == [("absent", "s", 1)]
    await bench.broker.subscriptions.delete(T, "s")
    bench.clock.seconds += STALE_S
    seen = bench.broker.attention.of(T)
    assert (told(seen), seen.age_s) == ([("absent", "s", 1)], STALE_S)
    await bench.until(lambda: bench.broker.attention._looking is None)
    await create(bench, "s")
    await look(bench)
    await bench.broker.subscriptions.delete(T, "s")
    bench.clock.seconds += STALE_S + 1
    await bench.broker.attention.looked()
    assert told(bench.broker.attention.of(T)) == []


async def test_very_many_are_looked_at_more_rarely_and_what_is_older_is_fresh(bench, monkeypatch):
    monkeypatch.setattr("conduit.broker.administer.attention.LOOKED_AT_PER_S", 0.05)
    await create(bench, "s")
    assert told(await look(bench)) == []
    await bench.publish_many("t", 1)
    assert told(await look(bench)) == []
    seen = await look(bench)
    assert (told(seen), seen.age_s, seen.interval_s) == ([("absent", "s", 1)], 0.0, 20.0)
    bench.clock.seconds += 2 * seen.interval_s
    assert bench.broker.attention.of(T).is_fresh
    # However many they are, once a minute.
    for number in range(5):
        await create(bench, f"more-{number}")
    assert bench.broker.attention.of(T).interval_s == 60.0


async def test_the_next_tenant_of_a_name_is_told_nothing_of_the_one_before(bench: Bench):
    await bench.broker.topics.create(OTHER, "t")
    for tenant in (T, OTHER):
        await create(bench, "s", tenant=tenant)
    await bench.publish_many("t", 1)
    request = bench.request("t", 1)
    await result_of(lambda answer: bench.broker.publish(OTHER, request, answer))
    assert (await look(bench, None)).counts == {"absent": 2}
    bench.broker.forget_tenant(OTHER)
    assert told(bench.broker.attention.of(OTHER)) == []
    whole = bench.broker.attention.of(None)
    assert ([each.tenant for each in whole.subscriptions], whole.counts) == ([T], {"absent": 1})
    # Also if it goes while they are being looked at.
    bench.clock.seconds += LOOK_INTERVAL_S
    bench.broker.attention.of(None)
    bench.broker.forget_tenant(OTHER)
    await bench.until(lambda: bench.broker.attention._looking is None)
    assert bench.broker.attention.of(None).counts == {"absent": 1}


async def test_one_that_nobody_is_attached_to_and_one_that_is_paused_are_told_of(bench: Bench):
    for name in ("absent", "held"):
        await create(bench, name)
    await bench.broker.subscriptions.pause(T, "held")
    await bench.subscribe("t", subscription="settled", ack="auto")
    await bench.publish_many("t", 3)
    seen = await look(bench)
    assert told(seen) == [("absent", "absent", 3), ("paused", "held", 3)]
    assert seen.counts == {"absent": 1, "paused": 1}
    assert told(await look(bench, OTHER)) == []
    assert told(await look(bench, None)) == told(seen)


async def test_one_that_is_full_is_told_of_as_the_worst(bench: Bench):
    async with running_broker(max_pending_retries=1) as small:
        connection, peer = await small.subscribe("t", subscription="s", ack_wait_ms=600_000)
        await small.publish_many("t", 2)
        connection.verbs.nack(Nack(peer.of("message")[0]["message_id"], delay_ms=600_000))
        (one,) = (await look(small)).subscriptions
        assert (one.trouble, one.pending_retry_count, one.subscriber_count) == ("full", 1, 1)


async def test_one_is_slow_if_its_lag_has_grown_in_a_minute_although_somebody_is_attached(bench):
    await bench.subscribe("t", subscription="s", ack_wait_ms=600_000)
    await bench.publish_many("t", 50)
    await look(bench)
    assert told(await look(bench, after_s=MARK_INTERVAL_S)) == []
    await bench.publish_many("t", 150)
    (one,) = (await look(bench)).subscriptions
    assert (one.trouble, one.lag, one.grown_count) == ("slow", 200, 150)
    assert one.grown_in_s == pytest.approx(MARK_INTERVAL_S + LOOK_INTERVAL_S)
    # Once it does not grow any more it is not.
    for _ in range(2):
        await look(bench, after_s=MARK_INTERVAL_S)
    assert told(await look(bench, after_s=MARK_INTERVAL_S)) == []


async def test_looks_are_no_closer_than_their_interval(bench: Bench):
    await look(bench)
    await create(bench, "s")
    await bench.publish_many("t", 1)
    assert told(await look(bench, after_s=LOOK_INTERVAL_S / 2)) == []
    assert told(await look(bench, after_s=LOOK_INTERVAL_S / 2)) == [("absent", "s", 1)]


async def test_growth_is_not_known_of_what_was_not_known_here_then(bench: Bench):
    for name in ("a", "b", "zero"):
        await create(bench, name, name)
    await bench.publish_many("a", 300)
    await bench.publish_many("b", 1)
    await look(bench)
    # Another node has had it meanwhile.
    record = bench.broker._owned.get(T, "a")
    bench.broker._engine.lags.by_id[record.subscription_id].unknown()
    await bench.publish_many("zero", 2)
    found = {each.name: each.grown_count for each in (await look(bench)).subscriptions}
    assert found == {"a": None, "b": 0, "zero": 2}
    # It is from the next time on.
    await look(bench, after_s=MARK_INTERVAL_S)
    await bench.publish_many("a", 1)
    found = {each.name: each.grown_count for each in (await look(bench)).subscriptions}
    assert found == {"a": 1, "b": 0, "zero": 2}


async def test_what_was_long_ago_says_nothing_of_how_fast_it_is_now(bench: Bench):
    await bench.subscribe("t", subscription="s", ack_wait_ms=600_000)
    await bench.publish_many("t", 50)
    await look(bench)
    await bench.publish_many("t", 500)
    assert told(await look(bench, after_s=GROWTH_MAX_S + 1)) == []


async def test_of_very_many_those_are_told_that_lag_most(bench: Bench):
    names = [f"s{number:02}" for number in range(30)]
    for number, name in enumerate(names):
        await create(bench, name, name)
        await bench.publish_many(name, 1 + number * 7 % 30)
    seen = await look(bench)
    assert [each.lag for each in seen.subscriptions] == list(range(30, 10, -1))
    assert seen.counts == {"absent": 30}
    assert told(bench.broker.attention.of(None)) == told(seen)


async def test_a_late_start_and_a_seek_back_make_nothing_slow(bench: Bench):
    seek = bench.broker.subscriptions.seek
    await bench.subscribe("t", subscription="sought", ack_wait_ms=600_000)
    await bench.publish_many("t", 500)
    await seek(T, "sought", "new", dry_run=False)
    await look(bench)
    await seek(T, "sought", "earliest", dry_run=False)
    await bench.subscribe("t", subscription="late", start="earliest", ack_wait_ms=600_000)
    await bench.flush()
    lags = [lag.count for lag in bench.broker._engine.lags.by_id.values()]
    assert lags == [500, 500]
    assert told(await look(bench)) == []
    # Slow is what grows from then on.
    await look(bench, after_s=MARK_INTERVAL_S)
    await bench.publish_many("t", 200)
    assert told(await look(bench)) == []
    await look(bench, after_s=MARK_INTERVAL_S)
    assert {one.trouble for one in (await look(bench)).subscriptions} == {"slow"}


def one(trouble: str, number: int) -> Troubled:
    return Troubled(
        tenant=T,
        name=f"{trouble}{number}",
        trouble=trouble,
        lag=number,
        grown_count=None,
        grown_in_s=None,
        subscriber_count=0,
        pending_retry_count=0,
    )


def test_a_thousand_of_one_trouble_do_not_hide_another():
    some = [one("absent", number) for number in range(1_000)]
    found = worst([*some, one("paused", 1), one("slow", 2), one("new", 3)])
    assert len(found) == TROUBLED_MAX_COUNT
    assert [found[0].name, found[1].name] == ["slow2", "absent999"]
    assert [each.name for each in found[-2:]] == ["paused1", "new3"]
    assert [each.lag for each in found[1:-2]] == list(range(999, 999 - 17, -1))
    assert len(worst([one(trouble, n) for trouble in TROUBLES for n in range(9)])) == 20


async def test_a_tenant_near_a_bound_is_told_of(bench: Bench):
    bench.broker.allowances.set_limits(T, TenantLimits(topics=5, subscriptions=5))
    for number in range(4):
        await bench.broker.topics.create(T, f"t{number}")
    await create(bench, "s", "t0")
    expected = [Quota(tenant=T, limit="topics", used=4, max=5)]
    assert (await look(bench)).quotas == expected
    assert (await look(bench, None)).quotas == expected
    assert (await look(bench, OTHER)).quotas == []
    await bench.broker.topics.delete(T, "t3")
    assert (await look(bench)).quotas == []


async def test_bounds_of_all_tenants_are_looked_at_in_steps_and_not_for_each_question(bench: Bench):
    allowances, number = bench.broker.allowances, 5 * TENANTS_STEP_COUNT
    for count in range(number):
        allowances.set_limits(f"t{count}", TenantLimits(topics=10))
    await look(bench)
    allowances.set_limits(T, TenantLimits(topics=1))
    await bench.broker.topics.create(T, "t")
    assert [quota.used for quota in bench.broker.attention.of(T).quotas] == [1]
    assert bench.broker.attention.of(None).quotas == []
    bench.clock.seconds += LOOK_INTERVAL_S
    bench.broker.attention.of(T)
    turns = 0
    while bench.broker.attention._looking is not None:
        await asyncio.sleep(0)
        turns += 1
    assert turns > number / TENANTS_STEP_COUNT
    assert [quota.tenant for quota in bench.broker.attention.of(None).quotas] == [T]


async def test_a_rate_near_its_bound_is_told_of(bench: Bench):
    bench.broker.allowances.set_limits(T, TenantLimits(publishes_per_s=10))
    bench.broker.allowances.of(T).counts.published_count += 9
    (quota,) = bench.broker.attention.of(None).quotas or (await look(bench, after_s=0)).quotas
    assert (quota.limit, quota.used, quota.max) == ("publishes_per_s", 9, 10)
