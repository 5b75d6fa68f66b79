import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.core.histogram import LONG_S, SHORT_S, Histogram, quantile


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


def test_of_no_values_there_is_no_quantile():
    assert quantile((1.0,), (0, 0), 0.5) is None
    # A node of another version has sent none.
    assert quantile((1.0,), (), 0.5) is None


def test_a_quantile_lies_between_two_bounds_as_far_as_its_number_does():
    assert quantile((1.0, 2.0), (0, 4, 0), 0.5) == 1.5
    assert quantile((1.0, 2.0), (3, 1, 0), 0.5) == pytest.approx(2 / 3)
    assert quantile((1.0, 2.0), (1, 0, 3), 0.99) == 2.0


@given(st.lists(st.floats(0.0, 9.0), min_size=1), st.floats(0.01, 1.0))
def test_a_quantile_is_off_by_less_than_what_is_between_two_bounds(values, part):
    bounds = (1.0, 2.0, 4.0, 8.0, 16.0)
    histogram = Histogram(bounds)
    for value in values:
        histogram.add(value)
    exactly = sorted(values)[math.ceil(part * len(values)) - 1]
    found = quantile(bounds, histogram.counts, part)
    lower = max((bound for bound in (0.0, *bounds) if bound < exactly), default=0.0)
    upper = min(bound for bound in bounds if bound >= exactly)
    assert found is not None
    assert lower - 1e-6 <= found <= upper + 1e-6


@given(st.lists(st.tuples(st.booleans(), st.floats(0.0, 9.0)), min_size=1))
def test_counts_of_two_nodes_together_are_those_of_all_values(values):
    bounds = (1.0, 2.0, 4.0, 8.0, 16.0)
    one, other, both = Histogram(bounds), Histogram(bounds), Histogram(bounds)
    for is_one, value in values:
        (one if is_one else other).add(value)
        both.add(value)
    summed = [a + b for a, b in zip(one.counts, other.counts, strict=True)]
    assert quantile(bounds, summed, 0.99) == quantile(bounds, both.counts, 0.99)
