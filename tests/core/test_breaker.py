from random import Random

import pytest

from conduit.core.breaker import FAILURES_MIN_COUNT, WAIT_MAX_S, Breaker, State


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(FAILURES_MIN_COUNT):
        breaker.ask(now)
        breaker.failed(now, 0.5)
    return breaker


def test_a_few_failures_hold_up_nobody():
    breaker = Breaker()
    for _ in range(FAILURES_MIN_COUNT - 1):
        breaker.failed(0.0, 0.5)
    assert (breaker.state, breaker.opens_at) == (State.CLOSED, 0.0)


def test_failures_beside_successes_hold_up_nobody():
    breaker = Breaker()
    for _ in range(100):
        breaker.failed(0.0, 0.5)
        breaker.succeeded()
    assert breaker.state is State.CLOSED


def test_after_some_failures_in_a_row_nobody_asks_for_a_while():
    breaker = opened(7.0)
    assert breaker.state is State.OPEN
    assert 7.0 < breaker.opens_at < 7.5


def test_what_was_asked_before_and_fails_later_lengthens_no_wait():
    breaker = opened()
    before = breaker.opens_at
    for _ in range(1_000):
        breaker.failed(0.1, 0.9)
    assert breaker.opens_at == before


def test_one_asks_for_all_and_the_others_wait_even_if_it_never_hears_anything():
    breaker = opened()
    now = breaker.opens_at
    breaker.ask(now)
    assert breaker.state is State.PROBING
    assert breaker.opens_at > now


def test_waits_grow_up_to_a_bound_and_a_success_ends_them():
    breaker, now, waits = opened(), 0.0, []
    for _ in range(10):
        now = breaker.opens_at
        breaker.ask(now)
        breaker.failed(now, 0.0)
        waits.append(breaker.opens_at - now)
    assert waits == sorted(waits)
    assert waits[-1] == pytest.approx(WAIT_MAX_S / 2)
    breaker.ask(breaker.opens_at)
    breaker.succeeded()
    assert (breaker.state, breaker.opens_at) == (State.CLOSED, 0.0)
    assert opened().opens_at < WAIT_MAX_S


def test_however_many_want_to_a_store_that_is_away_is_asked_a_few_times_a_second():
    breaker, random, asked_count = Breaker(), Random(3), 0
    for tick in range(10_000):
        now = tick / 1_000
        for _ in range(5):
            if now >= breaker.opens_at:
                asked_count += 1
                breaker.ask(now)
                breaker.failed(now, random.random())
    assert 10 <= asked_count <= 25
