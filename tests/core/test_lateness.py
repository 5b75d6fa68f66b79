from hypothesis import given
from hypothesis import strategies as st

from conduit.core.lateness import Lateness


def test_the_worst_of_the_window_is_told_and_is_gone_after_it():
    lateness = Lateness(window_s=10)
    lateness.add(0.3, 100.5)
    lateness.add(0.1, 101.0)
    assert lateness.worst_s(101.0) == 0.3
    assert lateness.worst_s(109.9) == 0.3
    assert lateness.worst_s(110.0) == 0.1
    assert lateness.worst_s(111.0) == 0


def test_early_is_not_late():
    lateness = Lateness()
    lateness.add(-1.0, 5.0)
    assert lateness.worst_s(5.0) == 0


@given(
    st.lists(st.tuples(st.floats(0, 15), st.floats(-1, 100)), max_size=40),
    st.integers(2, 12),
    st.floats(0, 30),
)
def test_it_says_what_looking_at_all_of_them_anew_says(steps, window_s, after_s):
    lateness, now, seen = Lateness(window_s), 0.0, []
    for step_s, late_s in steps:
        now += step_s
        lateness.add(late_s, now)
        seen.append((int(now), late_s))
    now += after_s
    begin = int(now) - window_s + 1
    expected = max((late_s for second, late_s in seen if second >= begin), default=0.0)
    assert lateness.worst_s(now) == max(0.0, expected)
