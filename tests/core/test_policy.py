import pytest

from conduit.core.policy import Policy


def test_each_attempt_may_take_twice_as_long_up_to_the_cap_and_jitter_adds_a_tenth_at_most():
    policy = Policy(ack_wait_s=2.0, max_ack_wait_s=10.0)
    assert [policy.wait_s(attempt) for attempt in (1, 2, 3, 4, 100)] == [2, 4, 8, 10, 10]
    assert policy.spread_s(2, 0.0) == 0.0
    assert policy.spread_s(2, 0.5) == pytest.approx(0.2)
    assert policy.wait_s(2, 0.5) == pytest.approx(4.2)


@pytest.mark.parametrize(("ack_wait_s", "waits"), [(30.0, [1, 2, 4]), (0.25, [0.25, 0.5, 1])])
def test_who_says_that_it_failed_waits_a_second_or_less_and_then_twice_as_long(ack_wait_s, waits):
    policy = Policy(ack_wait_s=ack_wait_s)
    assert [policy.nack_wait_s(failure, 0.0) for failure in (1, 2, 3)] == waits
    assert policy.nack_wait_s(100, 0.0) == 60.0


def test_so_many_failures_kill_and_so_many_losses_unless_they_have_no_limit():
    policy = Policy(max_attempts=3, max_lost=2)
    assert [policy.kills_failed(failures) for failures in (2, 3, 4)] == [False, True, True]
    assert [policy.kills_lost(losses) for losses in (1, 2, 3)] == [False, True, True]
    assert not Policy(max_lost=None).kills_lost(1_000_000)
