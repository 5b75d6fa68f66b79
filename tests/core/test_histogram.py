import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.core.histogram import LONG_S, SHORT_S, Histogram


def test_a_value_counts_up_to_the_bounds_that_are_not_below_it():
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.5):
        histogram.add(value)
    assert list(histogram.cumulative()) == [(1.0, 2), (2.0, 3), (None, 4)]
    assert (histogram.count, histogram.sum) == (4, 5.5)


def test_many_of_one_value_are_counted_at_once():
    histogram = Histogram((1.0,))
    histogram.add(0.5, 1_000)
    histogram.add(3.0, 2)
    assert list(histogram.cumulative()) == [(1.0, 1_000), (None, 1_002)]
    assert histogram.sum == 506.0


@given(st.lists(st.floats(-10.0, 10.0), min_size=1), st.integers(1, 3))
def test_values_that_fall_are_counted_as_each_by_itself(values, count):
    values.sort(reverse=True)
    together, apart = Histogram((0.5, 1.0, 8.0)), Histogram((0.5, 1.0, 8.0))
    together.add_falling(values, count)
    for value in values:
        apart.add(value, count)
    assert list(together.cumulative()) == list(apart.cumulative())
    assert together.sum == pytest.approx(apart.sum)


def test_what_a_clock_that_was_set_makes_negative_is_0():
    histogram = Histogram((1.0,))
    histogram.add(-3_600.0)
    assert (histogram.count, histogram.sum) == (1, 0.0)


@pytest.mark.parametrize("bounds", [SHORT_S, LONG_S])
def test_the_bounds_rise(bounds):
    assert list(bounds) == sorted(set(bounds))
