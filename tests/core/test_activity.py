from hypothesis import given
from hypothesis import strategies as st

from conduit.core.activity import COUNT_MAX, LATELY_ROUNDS_COUNT, ROUNDS_COUNT, Activity

START = 1_000


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=80))
def test_it_has_the_counts_of_the_last_rounds_and_their_sum_lately(rounds):
    activity = Activity(START)
    for number, (published, delivered) in enumerate(rounds, START):
        activity.add(number, published, delivered)
    empty = [(0, 0)] * ROUNDS_COUNT
    expected = (empty + rounds)[-ROUNDS_COUNT:]
    assert activity.published() == [each[0] for each in expected]
    assert activity.delivered() == [each[1] for each in expected]
    assert activity.lately == sum(map(sum, expected[-LATELY_ROUNDS_COUNT:]))


@given(st.integers(0, ROUNDS_COUNT + 5))
def test_it_is_quiet_once_nothing_has_happened_in_all_of_them(quiet_count):
    activity = Activity(START)
    activity.add(START, 1, 0)
    for number in range(START + 1, START + 1 + quiet_count):
        activity.add(number, 0, 0)
    assert activity.is_quiet == (quiet_count >= ROUNDS_COUNT)
    assert (sum(activity.published()) == 0) == activity.is_quiet


def test_what_is_too_large_for_a_round_stays_at_its_bound():
    activity = Activity(START)
    activity.add(START, COUNT_MAX + 5, 0)
    assert activity.published(1) == [COUNT_MAX]
    assert activity.lately == COUNT_MAX
