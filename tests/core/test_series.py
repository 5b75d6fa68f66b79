import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.core.series import GROWTH_MAX, RESOLUTIONS, Resolution, Series

SHORT = (Resolution(1, 5), Resolution(5, 4), Resolution(60, 3))


def fed(seconds: int, by: int = 1) -> Series:
    """One counter that grows by so much in a second, and a level that is the second."""
    series = Series(0.0, [0], 1, SHORT)
    for second in range(1, seconds + 1):
        series.add(float(second), second * 1000, [second * by], [second])
    return series


def test_each_resolution_has_what_was_counted_in_each_of_its_intervals():
    series = fed(12, by=3)
    fine = [*series.points(1)]
    assert [(each.at_ms, each.growth[0], each.levels[0]) for each in fine] == [
        (second * 1000, 3, second) for second in range(8, 13)
    ]
    coarse = [*series.points(5)]
    assert [(each.at_ms, each.growth[0], each.elapsed_s) for each in coarse] == [
        (5_000, 15, 5.0),
        (10_000, 15, 5.0),
    ]
    assert [*series.points(60)] == []


def test_the_newest_can_be_asked_for_alone():
    series = fed(12)
    assert [each.at_ms for each in series.points(1, 2)] == [11_000, 12_000]
    assert [*series.points(1, 100)] == [*series.points(1)]
    with pytest.raises(KeyError):
        series.points(7)


def test_what_was_counted_while_nobody_called_is_in_one_longer_interval():
    series = fed(3)
    series.add(100.0, 100_000, [500], [0])
    series.add(101.0, 101_000, [501], [0])
    *_, long, after = series.points(1)
    assert (long.growth[0], long.elapsed_s) == (497, 97.0)
    assert (after.growth[0], after.elapsed_s) == (1, 1.0)


def test_what_was_counted_before_it_began_is_in_none():
    series = Series(0.0, [100], 0, SHORT)
    series.add(1.0, 1_000, [103], [])
    assert [each.growth[0] for each in series.points(1)] == [3]


def test_a_counter_that_begins_anew_is_not_less_than_nothing():
    series = fed(3)
    series.add(4.0, 4_000, [2], [0])
    *_, last = series.points(1)
    assert last.growth[0] == 2


def test_what_is_too_large_for_a_point_stays_at_its_bound():
    series = Series(0.0, [0], 1, SHORT)
    series.add(1.0, 0, [GROWTH_MAX + 7], [1 << 70])
    (point,) = series.points(1)
    assert (point.growth[0], point.levels[0]) == (GROWTH_MAX, (1 << 63) - 1)


def test_the_resolutions_get_coarser_and_reach_further():
    reach = [each.interval_s * each.points_max_count for each in RESOLUTIONS]
    assert reach == sorted(reach) == [300, 3_600, 86_400]


steps = st.lists(
    st.tuples(st.floats(0.01, 30.0), st.integers(0, 1_000), st.integers(0, 1_000)), max_size=200
)


@given(steps)
def test_no_count_is_lost_or_counted_twice_in_any_resolution(steps):
    everything = tuple(Resolution(interval_s, 10_000) for interval_s in (1, 5, 60))
    series, bounded = Series(0.0, [0, 0], 1, everything), Series(0.0, [0, 0], 1, SHORT)
    now, counters, at = 0.0, [0, 0], {0.0: (0, 0)}
    for seconds, one, other in steps:
        now += seconds
        counters = [counters[0] + one, counters[1] + other]
        at[round(now * 1000) / 1000] = tuple(counters)
        for each in (series, bounded):
            each.add(now, round(now * 1000), counters, [counters[0]])
    for resolution in SHORT:
        points = [*series.points(resolution.interval_s)]
        # The sum of all points is what the counters were at the last of them.
        told = at[points[-1].at_ms / 1000] if points else (0, 0)
        assert tuple(sum(each.growth[n] for each in points) for n in (0, 1)) == told
        assert all(each.elapsed_s > 0 for each in points)
        assert [each.at_ms for each in points] == sorted(each.at_ms for each in points)
        assert sum(each.elapsed_s for each in points) == pytest.approx(
            points[-1].at_ms / 1000 if points else 0, abs=0.001 * (len(points) + 1)
        )
        # One with a bound has the end of the same.
        kept = [*bounded.points(resolution.interval_s)]
        assert kept == points[-resolution.points_max_count :]
        assert len(kept) <= resolution.points_max_count
