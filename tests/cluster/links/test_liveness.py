import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.cluster.links.liveness import HEARD_MAX_S, PING_INTERVAL_S, PING_TIMEOUT_S, Pings
from conduit.errors import InvalidRequest

STEP_S = 0.25


def test_a_ping_goes_out_at_once_and_then_each_half_second():
    pings = Pings(0.0, 0.0)
    sent = [now for now in range(0, 20) if pings.next(now * STEP_S, 0.0) is not None]
    assert [now * STEP_S for now in sent] == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5]


def test_whoever_answers_lives():
    pings = Pings(0.0, 0.0)
    for step in range(400):
        number = pings.next(step * STEP_S, 0.0)
        assert not pings.is_gone(step * STEP_S)
        if number is not None:
            assert pings.answered(number, step * STEP_S + 0.1) == pytest.approx(0.1)
    assert pings.round_trip_s == pytest.approx(0.1)


@given(st.integers(0, 40))
def test_whoever_does_not_is_gone_after_three_seconds(last_answered):
    pings = Pings(0.0, 0.0)
    silent_since = None
    for step in range(400):
        now = step * STEP_S
        if pings.is_gone(now):
            assert silent_since is not None
            assert now - silent_since == PING_TIMEOUT_S
            return
        number = pings.next(now, 0.0)
        if number is not None and number <= last_answered:
            pings.answered(number, now)
        elif number is not None and silent_since is None:
            silent_since = now
    raise AssertionError("it was never found")


def test_an_answer_counts_for_those_before_it():
    pings = Pings(0.0, 0.0)
    for now in range(3):
        assert pings.next(now * PING_INTERVAL_S, 0.0) == now + 1
    assert pings.answered(2, 2.5) == 2.5 - PING_INTERVAL_S
    assert pings.answered(1, 2.6) is None
    gone_at = 2 * PING_INTERVAL_S + PING_TIMEOUT_S
    assert not pings.is_gone(gone_at - 0.1)
    assert pings.is_gone(gone_at)


def test_what_comes_counts_for_a_while_after_what_the_other_side_has_answered():
    """By a clock that goes on while the process stands still."""
    pings = Pings(0.0, 100.0)
    assert pings.counts(100.0 + HEARD_MAX_S)
    first, second = pings.next(0.0, 101.0), pings.next(0.5, 101.5)
    assert not pings.counts(100.1 + HEARD_MAX_S)
    assert first is not None
    assert second is not None
    pings.answered(first, 0.9)
    assert pings.counts(101.0 + HEARD_MAX_S)
    assert not pings.counts(101.1 + HEARD_MAX_S)
    pings.answered(second, 0.9)
    assert pings.counts(101.5 + HEARD_MAX_S)


def test_who_may_have_given_this_side_up_is_not_heard_any_more():
    """Each pings, and gives the other up: what comes from then on does not count, whatever was late."""
    assert HEARD_MAX_S + 2 * PING_INTERVAL_S <= PING_TIMEOUT_S


def test_an_answer_to_what_was_not_sent_breaks_the_protocol():
    pings = Pings(0.0, 0.0)
    with pytest.raises(InvalidRequest):
        pings.answered(1, 0.0)
    pings.next(0.0, 0.0)
    pings.answered(1, 0.0)
    with pytest.raises(InvalidRequest):
        pings.answered(2, 0.0)
