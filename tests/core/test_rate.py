import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.core.rate import RateWindow


def naive_rate(events, now, window_s):
    """All events ever, counted anew."""
    begin = int(now) - window_s + 1
    return sum(count for count, at in events if int(at) >= begin) / (now - begin)


def test_a_steady_stream_shows_its_rate():
    rate = RateWindow(window_s=10)
    for tenth in range(1000, 1300):
        rate.add(5, tenth / 10)

    assert rate.per_second(130.0) == pytest.approx(50, rel=0.01)


def test_events_count_at_once_and_are_gone_after_the_window():
    rate = RateWindow(window_s=10)
    rate.add(19, 100.5)

    assert rate.per_second(100.5) == pytest.approx(2)
    assert rate.per_second(109.99) > 0
    assert rate.per_second(110.0) == 0


def test_a_window_that_saw_nothing_says_zero():
    assert RateWindow().per_second(12345.6) == 0


@pytest.mark.parametrize("gap_s", [9.9, 10, 10.1, 11, 20, 1e6])
def test_an_idle_gap_leaves_nothing_of_the_old_counts_in_the_new_ones(gap_s):
    rate = RateWindow(window_s=10)
    for second in range(100, 110):
        rate.add(1000, second)
    now = 109 + gap_s
    rate.add(1, now)

    left = sum(1000 for second in range(100, 110) if second > int(now) - 10)
    assert rate.per_second(now) == pytest.approx((left + 1) / (9 + now % 1))


@given(
    window_s=st.integers(2, 12),
    start=st.integers(0, 10**6),
    steps=st.lists(
        st.tuples(
            st.one_of(st.floats(0, 1.5), st.floats(0, 40)), st.integers(0, 1000), st.booleans()
        ),
        max_size=40,
    ),
)
def test_it_agrees_with_counting_all_events_anew(window_s, start, steps):
    rate, events, now = RateWindow(window_s), [], float(start)
    for step_s, count, looking in steps:
        now += step_s
        if looking:
            assert rate.per_second(now) == pytest.approx(naive_rate(events, now, window_s))
        else:
            rate.add(count, now)
            events.append((count, now))
    assert rate.per_second(now) == pytest.approx(naive_rate(events, now, window_s))
