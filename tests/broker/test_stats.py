import pytest

from conduit.broker.stats import SAMPLES_COUNT_MAX, Gauges, Stats

NOTHING = Gauges(topic_count=0, subscriber_count=0, backlog_count=0)


def test_a_rate_is_the_growth_of_its_counter():
    stats = Stats(100.0)
    stats.published_count += 45
    stats.tick(101.0, 0)
    stats.published_count += 45
    stats.tick(102.0, 0)
    assert stats.rates(109.5).published == pytest.approx(90 / 9.5, abs=0.01)
    assert stats.rates(109.5).acked == 0
    assert stats.rates(130.0).published == 0


def test_what_was_counted_once_is_not_counted_again():
    stats = Stats(100.0)
    stats.acked_count += 9
    for now in (101.0, 102.0, 103.0):
        stats.tick(now, 0)
    assert stats.rates(103.0).acked == pytest.approx(1)


def test_a_sample_is_due_every_five_seconds():
    stats = Stats(100.0)
    due = []
    for now in range(101, 121):
        if stats.tick(float(now), 0):
            stats.sample(float(now), now * 1000, NOTHING)
            due.append(now)
    assert due == [105, 110, 115, 120]
    assert [sample.at_ms for sample in stats.history] == [105_000, 110_000, 115_000, 120_000]


def test_the_history_forgets_the_oldest():
    stats = Stats(0.0)
    for number in range(SAMPLES_COUNT_MAX + 3):
        stats.sample(float(number), number * 1000, NOTHING)
    assert len(stats.history) == SAMPLES_COUNT_MAX
    assert stats.history[0].at_ms == 3_000
