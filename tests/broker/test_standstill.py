"""Time in which the process stood still counts against nobody."""

import pytest

from conduit.broker.standstill import Standstill

LATE_MAX_S = 2.0


class Clock:
    """A clock that the test moves."""

    def __init__(self):
        self.now = 1_000.0
        self.told = []

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def standstill(clock):
    return Standstill(clock, 1.0, LATE_MAX_S, clock.told.append)


def passed(standstill, clock, *steps_s):
    """What passes of its time while the clock goes on by these steps, with a look after each; and whether
    the looks were late."""
    began, late = standstill.now(), []
    for step_s in steps_s:
        clock.now += step_s
        late.append(standstill.look())
    return standstill.now() - began, late


def test_looks_that_come_in_time_or_a_little_late_lose_nothing(standstill, clock):
    standstill.look()
    assert passed(standstill, clock, 1.0, 1.25, 1.0 + LATE_MAX_S) == (5.25, [False] * 3)


def test_a_standstill_is_time_that_has_not_passed_and_the_next_look_is_for_reading(
    standstill, clock
):
    standstill.look()
    assert passed(standstill, clock, 1.0, 40.0, 1.0) == (
        1.0 + (1.0 + LATE_MAX_S) + 1.0,
        [False, True, False],
    )
    assert clock.told == [39.0]


def test_a_loop_that_is_always_busy_is_looked_at_all_the_same(standstill, clock):
    standstill.look()
    assert passed(standstill, clock, 5.0, 5.0, 5.0, 5.0)[1] == [True, False, True, False]


def test_the_time_never_runs_back(standstill, clock):
    standstill.look()
    clock.now += 40.0
    before = standstill.now()
    standstill.look()
    assert standstill.now() == before
    clock.now += 0.5
    assert standstill.now() == before + 0.5
