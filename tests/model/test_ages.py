"""What the model takes for too old: the wall clock counts where nothing else knows how long it was."""

import pytest

from conduit.storage.dead_letters import DeadBounds
from tests.model.oracle import letters
from tests.model.oracle.ages import KEPT_S
from tests.model.oracle.log import Violation
from tests.model.oracle.news import Former, News
from tests.model.oracle.state import Letter, State

DAY_S = 86_400.0
PLACE = ("", 1, 1)


@pytest.fixture
def state():
    """A dead letter is stored, of nobody who has a name."""
    state = State(now=100.0)
    state.letters[PLACE] = Letter("d1", 1, "rejected", since=state.now)
    return state


def boot(state, ahead_s):
    """The machine was off, and its clock is so much later."""
    state.ages.booted(state.now)
    state.clock_set(ahead_s)


def wait(state, seconds):
    state.advance(state.now + seconds)


def drop(state):
    """The store has no letters any more."""
    letters.dropped(state, DeadBounds(), set())


def is_kept(state):
    """Whether it would be a fault of the store to have dropped it."""
    try:
        drop(state)
    except Violation:
        return True
    return False


def test_a_letter_that_is_dropped_and_is_not_one_too_many_is_seen_until_it_is_two_weeks_old(state):
    wait(state, 13 * DAY_S)
    with pytest.raises(Violation, match="are dropped of 1"):
        drop(state)
    wait(state, DAY_S)
    drop(state)
    assert not state.letters


def test_by_how_much_the_clock_went_ahead_while_the_machine_was_off_counts_when_it_is_settled(
    state,
):
    boot(state, 30 * DAY_S)
    wait(state, 599.0)
    assert is_kept(state)
    wait(state, 1.0)
    assert not is_kept(state)


def test_a_clock_that_is_set_while_the_machine_runs_makes_nothing_older(state):
    state.clock_set(30 * DAY_S)
    wait(state, 700.0)
    assert is_kept(state)


@pytest.mark.parametrize("is_told", [False, True])
def test_a_step_that_the_store_was_not_told_of_counts_as_time_that_the_machine_was_off(
    state, is_told
):
    state.clock_set(30 * DAY_S)
    if is_told:
        state.ages.kept()
    boot(state, 0.0)
    wait(state, 600.0)
    assert is_kept(state) == is_told


def test_a_clock_that_is_put_right_before_it_is_settled_makes_nothing_older(state):
    boot(state, 30 * DAY_S)
    wait(state, 500.0)
    state.clock_set(-30 * DAY_S)
    wait(state, 700.0)
    assert is_kept(state)


def test_what_came_when_the_machine_was_on_again_is_no_older_for_it(state):
    boot(state, 30 * DAY_S)
    wait(state, 1.0)
    state.letters[PLACE].since = state.now
    wait(state, 700.0)
    assert is_kept(state)


def test_of_a_topic_that_is_gone_for_too_long_somebody_may_be_told_and_nobody_has_to_be():
    news = News()
    former = Former("e1", 1, 3)
    news.is_gone("a", former)
    news.store("a", former, 100.0)
    news.forget(lambda since: since <= 100.0 - KEPT_S)
    assert news.former == {"a": former}
    news.forget(lambda since: since <= 100.0)
    assert (news.former, news.stored, news.may_be) == ({}, {}, {"a": [former]})
