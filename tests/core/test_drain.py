import pytest

from conduit.core.drain import Drain, Pace

PACE = Pace(window_s=10.0, min_bytes_per_s=100.0)


def looks(unread, step_s=1.0, written=lambda number: 0):
    """What each look finds, one a second; nothing is written meanwhile, unless it is said."""
    drain = Drain()
    return [
        drain.is_too_slow(written(number), size, number * step_s, PACE)
        for number, size in enumerate(unread)
    ]


def test_who_takes_nothing_is_too_slow_after_the_window():
    assert looks([5_000] * 11) == [False] * 10 + [True]


def test_who_takes_the_least_that_it_must_is_not_too_slow():
    assert not any(looks([100_000 - 100 * second for second in range(900)]))


def test_who_takes_a_little_less_is_too_slow_however_much_there_is():
    assert any(looks([100_000 - 90 * second for second in range(900)]))


def test_what_was_taken_fast_at_first_does_not_count_for_ever():
    assert any(looks([1_000_000, *[1_000] * 23]))


def test_who_takes_as_much_as_is_written_is_not_too_slow():
    assert not any(looks([5_000] * 100, written=lambda number: 150 * number))
    assert any(looks([5_000] * 100, written=lambda number: 50 * number))


def test_when_more_was_written_than_is_counted_time_begins_anew():
    assert not any(looks([5_000] * 10 + [6_000] * 10))
    assert any(looks([5_000] * 10 + [6_000] * 12))


@pytest.mark.parametrize("step_s", [0.5, 3.0, 30.0])
def test_the_pace_is_the_same_however_often_it_is_looked(step_s):
    assert not any(looks([100_000 - 100 * n * step_s for n in range(20)], step_s))
    assert any(looks([100_000 - 90 * n * step_s for n in range(25)], step_s))
