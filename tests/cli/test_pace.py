from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from conduit.cli.pace import Pace


def test_without_a_rate_everything_is_due() -> None:
    pace = Pace(None, 100, 0.0)
    assert (pace.wait_s(0.0), pace.due_count(0.0)) == (0.0, 100)
    pace.send(100, 0.0)
    assert (pace.wait_s(0.0), pace.due_count(0.0)) == (0.0, 100)


def test_messages_are_due_one_by_one() -> None:
    pace = Pace(10.0, 100, 0.0)
    assert (pace.wait_s(0.0), pace.due_count(0.0)) == (0.0, 1)
    pace.send(1, 0.0)
    assert abs(pace.wait_s(0.0) - 0.1) < 1e-9


def test_what_became_due_during_a_slow_answer_goes_together_and_the_schedule_holds() -> None:
    pace = Pace(10.0, 100, 0.0)
    pace.send(1, 0.0)
    assert pace.due_count(1.0) == 10
    pace.send(10, 1.0)
    assert abs(pace.behind_s - 0.9) < 1e-9
    assert pace.wait_s(1.0) > 0


def test_a_request_has_its_limit_however_late_it_is() -> None:
    assert Pace(1000.0, 50, 0.0).due_count(60.0) == 50


def test_a_source_that_has_nothing_moves_the_schedule() -> None:
    pace = Pace(10.0, 100, 0.0)
    pace.send(1, 0.0)
    pace.starve(5.0)
    assert pace.due_count(5.1) == 1
    pace.send(1, 5.1)
    assert pace.behind_s < 1e-9


@given(
    rate=st.floats(0.1, 10_000),
    most=st.integers(1, 1000),
    pauses=st.lists(st.floats(0, 2), max_size=50),
)
def test_never_ahead_of_schedule(rate: float, most: int, pauses: list[float]) -> None:
    pace, now, sent = Pace(rate, most, 0.0), 0.0, 0
    for pause in pauses:
        now += pace.wait_s(now) + pause
        count = pace.due_count(now)
        pace.send(count, now)
        sent += count
        assert sent <= now * rate + 1 + 1e-6 * rate
