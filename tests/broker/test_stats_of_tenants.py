"""What is counted for one tenant."""

import pytest

from conduit.broker.allowances import Allowances, Usage
from conduit.broker.counts import Counts
from conduit.broker.stats import Gauges
from conduit.broker.waiting import result_of
from conduit.limits import NO_LIMITS
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.frames import Ack, Nack, Reject, Subscribe
from tests.broker.kit import Bench, ManualClock, Peer

OTHER = "other"


async def published(bench: Bench, tenant: str, topic: str, count: int) -> None:
    requests = [bench.request(topic, number) for number in range(count)]
    await result_of(lambda told: bench.broker.publish_batch(tenant, requests, told))
    await bench.rest()


async def subscribed(bench: Bench, tenant: str, topic: str, **fields):
    connection = bench.broker.connect(tenant, peer := Peer())
    await connection.subscribe(Subscribe(topic, **fields))
    await bench.rest()
    return connection, peer


def counts(bench: Bench, tenant: str) -> tuple[int, ...]:
    seen = bench.broker.stats_of(tenant).counts
    return (
        seen.published_count,
        seen.delivered_count,
        seen.redelivered_count,
        seen.acked_count,
        seen.dead_lettered_count,
    )


@pytest.mark.parametrize("fields", [{}, {"subscription": "s"}])
async def test_all_that_is_done_is_counted_for_its_tenant_and_for_the_node(bench: Bench, fields):
    connection, peer = await subscribed(bench, T, "t", ack_wait_ms=60_000, **fields)
    await subscribed(bench, OTHER, "t", ack="auto")
    await published(bench, T, "t", 6)
    await published(bench, OTHER, "t", 2)
    ids = [frame["message_id"] for frame in peer.of("message")]
    connection.verbs.ack(Ack(ids[0]))
    connection.verbs.ack(Ack(topic="t", seq=3))
    connection.verbs.nack(Nack(ids[3], delay_ms=0))
    connection.verbs.reject(Reject(ids[4]))
    await bench.advance(1.0)
    assert counts(bench, T) == (6, 7, 1, 3, 1)
    assert counts(bench, OTHER) == (2, 2, 0, 0, 0)
    stats = bench.broker.stats
    assert (stats.published_count, stats.delivered_count, stats.acked_count) == (8, 9, 3)


async def test_what_a_tenant_has_is_told_without_what_others_have(bench: Bench):
    for tenant, count in ((T, 2), (OTHER, 1)):
        for number in range(count):
            await bench.broker.topics.create(tenant, f"t{number}")
            settings = bench.durable_settings()
            await bench.broker.subscriptions.create(
                tenant, f"s{number}", f"t{number}", settings, None
            )
            await published(bench, tenant, f"t{number}", 3)
    connection, peer = await subscribed(bench, T, "t0", subscription="s0")
    bench.broker.allowances.of(T).enter()
    connection.verbs.reject(Reject(peer.of("message")[0]["message_id"]))
    connection.verbs.nack(Nack(peer.of("message")[1]["message_id"], delay_ms=60_000))
    await bench.flush()
    await bench.broker.subscriptions._counting.round()
    seen = bench.broker.stats_of(T)
    assert seen.gauges == Gauges(
        topic_count=2, subscriber_count=1, backlog_count=5, connection_count=1
    )
    assert seen.connection_count == 1
    assert bench.broker.stats_of(OTHER).gauges == Gauges(
        topic_count=1, subscriber_count=0, backlog_count=3
    )
    assert bench.broker.gauges().backlog_count == 8
    assert await bench.broker.usage_of(T) == Usage(
        connections=1,
        subscriptions=2,
        topics=2,
        stored_bytes=6,
        dead_letters=1,
        pending_retries=1,
    )
    connection.close()
    await bench.broker.subscriptions.delete(T, "s0")
    await bench.broker.topics.delete(T, "t1")
    gauges = bench.broker.stats_of(T).gauges
    assert (gauges.topic_count, gauges.subscriber_count) == (1, 0)
    assert bench.broker.stats_of("nobody").gauges == Gauges(
        topic_count=0, subscriber_count=0, backlog_count=0
    )


def test_a_rate_is_the_growth_since_a_mark_of_ten_seconds_ago_or_more():
    made = Counts(100.0)
    made.published_count += 50
    assert made.rates(100.0).published == 50
    assert made.rates(105.0).published == 10
    made.mark(110.0)
    assert made.rates(110.0).published == 5
    made.mark(120.0)
    assert made.rates(125.0).published == 0
    made.acked_count += 45
    assert made.rates(125.0).acked == 3


def test_each_tenant_is_marked_once_in_ten_seconds():
    clock = ManualClock()
    allowances = Allowances(NO_LIMITS, clock)
    held = [allowances.of(f"tenant-{number}") for number in range(25)]
    for second in range(40):
        for allowance in held:
            allowance.counts.published_count += 1
        clock.seconds += 1
        allowances.tick(clock.seconds)
        if second > 20:
            rates = [each.counts.rates(clock.seconds).published for each in held]
            assert set(rates) == {1.0}
            ages = [clock.seconds - each.counts._marks[0].at for each in held]
            assert min(ages) >= 10
            assert max(ages) <= 30


async def test_what_was_done_for_a_tenant_that_is_gone_is_forgotten_and_who_leaves_later_is_taken_off(
    bench: Bench,
):
    connection, _ = await subscribed(bench, OTHER, "t", ack="auto")
    await published(bench, OTHER, "t", 2)
    bench.broker.forget_tenant(OTHER)
    assert counts(bench, OTHER) == (0, 0, 0, 0, 0)
    connection.close(lost=False)
    assert bench.broker.stats_of(OTHER).gauges.subscriber_count == 0
    bench.broker.forget_tenant("nobody")
