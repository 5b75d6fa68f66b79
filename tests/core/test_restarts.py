import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.core.backoff import JITTER_MAX
from conduit.core.restarts import ENDS_MAX_COUNT, LASTING_S, WAIT_FIRST_S, WAIT_MAX_S, Restarts


def waits(count: int, **beside: int) -> list[float | None]:
    """Of one that ends as soon as it serves, beside others that do serve."""
    restarts = Restarts(1 + beside.get("serving", 0))
    for which in range(1, 1 + beside.get("serving", 0)):
        restarts.serves(which, 0.0)
    return [restarts.ended(0, 0.0, 0.0) for _ in range(count)]


def test_waits_grow_up_to_a_bound_as_long_as_another_one_serves():
    found = waits(30, serving=1)
    assert found[:4] == [WAIT_FIRST_S, 2 * WAIT_FIRST_S, 4 * WAIT_FIRST_S, 8 * WAIT_FIRST_S]
    assert found[-1] == WAIT_MAX_S


def test_one_that_does_not_last_is_given_up_when_nobody_serves():
    found = waits(ENDS_MAX_COUNT)
    assert found[-1] is None
    assert None not in found[:-1]


def test_who_has_lasted_is_started_again_as_if_it_had_never_ended():
    restarts = Restarts(1)
    for _ in range(ENDS_MAX_COUNT - 1):
        restarts.ended(0, 0.0, 0.0)
    restarts.serves(0, 1.0)
    assert restarts.serving_count == 1
    assert restarts.ended(0, 1.0 + LASTING_S, 0.0) == WAIT_FIRST_S
    assert (restarts.ends_in_a_row(0), restarts.serving_count) == (1, 0)


def test_who_served_for_a_moment_has_not_lasted():
    restarts = Restarts(1)
    for end in range(ENDS_MAX_COUNT):
        restarts.serves(0, float(end))
        wait_s = restarts.ended(0, end + LASTING_S - 1, 0.0)
    assert wait_s is None


# Which one, whether it serves or ends, how long after the event before, and the dice.
EVENTS = st.tuples(
    st.integers(0, 2), st.booleans(), st.floats(0, 2 * LASTING_S), st.floats(0, 1, exclude_max=True)
)


@given(st.lists(EVENTS, max_size=80))
def test_nobody_is_given_up_beside_one_that_serves_and_every_wait_has_its_bounds(events):
    restarts, now = Restarts(3), 0.0
    serving: set[int] = set()
    ends = [0, 0, 0]
    for which, has_begun, passed_s, roll in events:
        now += passed_s
        if has_begun:
            serving.add(which)
            restarts.serves(which, now)
            continue
        serving.discard(which)
        ends[which] += 1
        wait_s = restarts.ended(which, now, roll)
        assert restarts.serving_count == len(serving)
        assert restarts.ends_in_a_row(which) <= ends[which]
        if wait_s is None:
            assert not serving
            assert ends[which] >= ENDS_MAX_COUNT
        else:
            assert WAIT_FIRST_S <= wait_s <= WAIT_MAX_S * (1 + JITTER_MAX)


@pytest.mark.parametrize("roll", [0.0, 0.5, 0.99])
def test_those_that_ended_together_start_at_different_times(roll):
    restarts = Restarts(2)
    restarts.serves(1, 0.0)
    assert restarts.ended(0, 0.0, roll) == pytest.approx(WAIT_FIRST_S * (1 + JITTER_MAX * roll))


def test_one_end_of_a_worker_that_lasts_is_not_the_end_of_all():
    restarts = Restarts(2)
    for _ in range(20):
        restarts.ended(1, 0.0, 0.0)
    restarts.serves(0, 0.0)
    assert restarts.ended(0, 10 * LASTING_S, 0.0) == WAIT_FIRST_S
    assert restarts.ended(1, 10 * LASTING_S, 0.0) is not None
