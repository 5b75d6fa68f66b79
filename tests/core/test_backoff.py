import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.core.backoff import ack_wait_s, lost_wait_s

waits = st.floats(min_value=0.001, max_value=3600.0)
attempts = st.integers(min_value=1, max_value=10**30)
jitters = st.floats(min_value=0.0, max_value=1.0, exclude_max=True)


def test_five_attempts_from_one_second_take_31_seconds():
    schedule = [ack_wait_s(attempt, 1.0, 60.0, 0.0) for attempt in range(1, 6)]

    assert schedule == [1, 2, 4, 8, 16]
    assert sum(schedule) == 31


def test_the_wait_is_capped():
    assert [ack_wait_s(attempt, 1.0, 60.0, 0.0) for attempt in (6, 7, 8, 100)] == [32, 60, 60, 60]


def test_a_first_wait_above_the_cap_is_capped_too():
    assert ack_wait_s(1, 90.0, 60.0, 0.0) == 60


def test_jitter_stretches_the_wait_by_a_tenth_at_most():
    assert ack_wait_s(2, 1.0, 60.0, 0.5) == pytest.approx(2.1)
    assert ack_wait_s(9, 1.0, 60.0, 0.999) == pytest.approx(66, rel=0.001)


@given(attempts, waits, waits, jitters)
def test_any_attempt_waits_a_finite_time_between_the_first_wait_and_the_cap(
    attempt, wait_s, cap_s, jitter
):
    result = ack_wait_s(attempt, wait_s, cap_s, jitter)

    assert math.isfinite(result)
    assert min(wait_s, cap_s) <= result <= cap_s * 1.1


@given(attempts, waits, waits)
def test_no_attempt_waits_less_than_the_one_before(attempt, wait_s, cap_s):
    before = ack_wait_s(attempt, wait_s, cap_s, 0.0)

    assert before <= ack_wait_s(attempt + 1, wait_s, cap_s, 0.0)


def test_the_first_lost_connection_costs_no_wait_and_each_further_one_doubles_it_up_to_a_minute():
    waits = [lost_wait_s(losses) for losses in range(1, 11)]

    assert waits == [0, 1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_what_was_never_lost_waits_for_nothing():
    assert lost_wait_s(0) == 0


@given(attempts)
def test_any_number_of_losses_waits_a_minute_at_most_and_no_less_than_one_fewer(losses):
    assert lost_wait_s(losses - 1) <= lost_wait_s(losses) <= 60
