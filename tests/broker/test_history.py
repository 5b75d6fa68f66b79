"""What the history of a node and of tenants says, on a clock that is moved by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.broker.counts import Counts, Seen
from conduit.broker.history import (
    BY_INTERVAL,
    HISTORIES_MAX_COUNT,
    KEPT_S,
    RETRY_AFTER_MAX_S,
    Histories,
    Sample,
)
from conduit.broker.stats import Gauges, Stats
from conduit.core.histogram import SHORT_S, quantile
from conduit.errors import Overloaded
from tests.broker.kit import Bench, running_broker

T, OTHER = "default", "other"


class Told:
    """A history without a broker: two tenants, and what the levels are."""

    def __init__(self) -> None:
        self.stats = Stats(0.0)
        self.counts: dict[str, Counts] = {}
        self.gauges = Gauges(topic_count=1, subscriber_count=0, backlog_count=0)
        self.histories = Histories(0.0, self.stats, lambda: self.gauges, self.look)
        self.now = 0.0

    def look(self, tenant: str) -> Seen:
        counts = self.counts.setdefault(tenant, Counts(0.0))
        return Seen(counts, counts.rates(self.now), self.gauges, 0)

    def wait(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now += 1.0
            self.histories.sample(self.now, int(self.now * 1000))


@pytest.fixture
def told() -> Told:
    return Told()


def test_a_point_has_the_rates_of_its_interval_and_what_there_was_at_its_end(told: Told):
    told.stats.published_count += 100
    told.wait(4)
    told.gauges = Gauges(topic_count=2, subscriber_count=3, backlog_count=4, connection_count=5)
    told.wait(1)
    assert [sample.rates.published for sample in told.histories.of(None, 1)] == [100, 0, 0, 0, 0]
    assert [(sample.rates.published, sample.gauges) for sample in told.histories.of(None)] == [
        (20, told.gauges)
    ]


def test_it_is_bounded_in_each_resolution(told: Told):
    told.wait(400)
    assert len(told.histories.of(None, 1)) == BY_INTERVAL[1].points_max_count == 300
    assert [sample.at_ms for sample in told.histories.of(None, 1, 2)] == [399_000, 400_000]
    assert len(told.histories.of(None, 60)) == 6


def test_latencies_are_those_of_the_interval_and_not_of_all_time(told: Told):
    told.stats.publish_times.add(5.0, 1_000)
    told.wait(5)
    told.stats.publish_times.add(0.002, 10)
    told.wait(5)
    slow, fast = told.histories.of(None)
    assert quantile(SHORT_S, slow.publish_counts, 0.99) == pytest.approx(5.0, rel=0.01)
    assert quantile(SHORT_S, fast.publish_counts, 0.99) == pytest.approx(0.0025, rel=0.01)
    assert (sum(fast.publish_counts), sum(fast.delivery_counts)) == (10, 0)


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0.0, 20.0)), min_size=1, max_size=40))
def test_latencies_of_fine_points_together_are_those_of_a_coarse_one(times):
    told = Told()
    for second in range(60):
        for at, took_s in times:
            if at == second % 10:
                told.stats.delivery_times.add(took_s)
        told.wait(1)
    (coarse,) = told.histories.of(None, 60)
    for interval_s in (1, 5):
        every = [sample.delivery_counts for sample in told.histories.of(None, interval_s)]
        assert [sum(some) for some in zip(*every, strict=True)] == list(coarse.delivery_counts)


def test_a_tenant_has_one_from_the_first_look_on_without_what_was_before(told: Told):
    told.look(T).counts.published_count = 70
    told.wait(10)
    assert told.histories.of(T) == []
    told.look(T).counts.published_count += 5
    told.wait(5)
    assert told.histories.of(T) == [
        Sample(15_000, told.look(T).rates.__class__(1.0, 0, 0, 0, 0), told.gauges, [], [])
    ]


def test_counts_of_a_tenant_that_begin_anew_are_no_negative_rates(told: Told):
    told.look(T).counts.acked_count = 70
    told.histories.of(T)
    told.counts[T] = Counts(0.0)
    told.wait(5)
    assert [sample.rates.acked for sample in told.histories.of(T)] == [0]


def test_of_more_tenants_than_have_room_those_keep_theirs_that_go_on_asking(told: Told):
    names = [f"tenant-{number}" for number in range(HISTORIES_MAX_COUNT)]
    for name in names:
        told.histories.of(name)
    told.wait(5)
    with pytest.raises(Overloaded) as refused:
        told.histories.of("late")
    assert refused.value.retry_after_s == RETRY_AFTER_MAX_S
    assert [len(told.histories.of(name)) for name in names] == [1] * len(names)
    # One that nobody asks for any more makes room.
    told.wait(int(KEPT_S) - 1)
    for name in names[1:]:
        told.histories.of(name)
    with pytest.raises(Overloaded) as refused:
        told.histories.of("late")
    assert refused.value.retry_after_s == pytest.approx(1.0)
    told.wait(1)
    assert told.histories.of("late") == []
    told.wait(5)
    assert len(told.histories.of("late")) == 1
    with pytest.raises(Overloaded):
        told.histories.of(names[0])


@pytest.fixture
async def bench():
    async with running_broker() as bench:
        yield bench


async def test_the_broker_goes_on_with_it_every_second(bench: Bench):
    bench.broker.count_connections = lambda: 14
    bench.broker.histories.of(T)
    await bench.broker.topics.create(T, "t")
    await bench.broker.topics.create(OTHER, "t")
    await bench.publish_many("t", 3)
    for _ in range(6):
        bench.clock.seconds += 1.0
        bench.broker._ticked()
    (own,) = bench.broker.histories.of(None)
    assert (own.rates.published, own.gauges.topic_count, own.gauges.connection_count) == (
        0.6,
        2,
        14,
    )
    (of_tenant,) = bench.broker.histories.of(T)
    assert (of_tenant.rates.published, of_tenant.gauges.topic_count) == (0.6, 1)
    assert bench.broker.histories.of(OTHER) == []
