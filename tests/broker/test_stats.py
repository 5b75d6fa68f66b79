import pytest

from conduit.broker.stats import Stats


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
