import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.cluster.links.liveness import PING_INTERVAL_S, PING_TIMEOUT_S, Pings
from conduit.errors import InvalidRequest

STEP_S = 0.25


def test_a_ping_goes_out_at_once_and_then_each_second():
    pings = Pings(0.0)
    sent = [now for now in range(0, 20) if pings.next(now * STEP_S) is not None]
    assert [now * STEP_S for now in sent] == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_whoever_answers_lives():
    pings = Pings(0.0)
    for step in range(400):
        number = pings.next(step * STEP_S)
        assert not pings.is_gone(step * STEP_S)
        if number is not None:
            assert pings.answered(number, step * STEP_S + 0.1) == pytest.approx(0.1)
    assert pings.round_trip_s == pytest.approx(0.1)


@given(st.integers(0, 40))
def test_whoever_does_not_is_gone_after_three_seconds(last_answered):
    pings = Pings(0.0)
    silent_since = None
    for step in range(400):
        now = step * STEP_S
        if pings.is_gone(now):
            assert silent_since is not None
            assert now - silent_since == PING_TIMEOUT_S
            return
        number = pings.next(now)
        if number is not None and number <= last_answered:
            pings.answered(number, now)
        elif number is not None and silent_since is None:
            silent_since = now
    raise AssertionError("it was never found")


def test_an_answer_counts_for_those_before_it():
    pings = Pings(0.0)
    for now in range(3):
        assert pings.next(now * PING_INTERVAL_S) == now + 1
    assert pings.answered(2, 2.5) == 1.5
    assert pings.answered(1, 2.6) is None
    assert not pings.is_gone(4.9)
    assert pings.is_gone(5.0)


def test_an_answer_to_what_was_not_sent_breaks_the_protocol():
    pings = Pings(0.0)
    with pytest.raises(InvalidRequest):
        pings.answered(1, 0.0)
    pings.next(0.0)
    pings.answered(1, 0.0)
    with pytest.raises(InvalidRequest):
        pings.answered(2, 0.0)
