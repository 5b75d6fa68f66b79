"""While something goes on between two nodes the model knows less; what it knows nevertheless, it must see."""

from contextlib import nullcontext

import pytest

from tests.model.linked.bounds import Bounds, Told
from tests.model.oracle.delivery import Delivery, Place
from tests.model.oracle.from_peers import Seen
from tests.model.oracle.line import Line
from tests.model.oracle.log import Topic, Violation

# Of ten messages: up to 4 all are settled, 5 is out with `one` as its second attempt, and has failed once; so
# much was agreed. Since then 6 was handed out and acked, without an answer.
SURE = Place(6, 4, {5: Delivery(2, failures=1)})
LATEST = Place(7, 4, {5: Delivery(2, failures=1)})


def bounds(*, is_lost=False, is_killed=False):
    found = Bounds(Line(Topic(1, "a", "e"), 0), SURE, LATEST, is_auto=False, is_lost=is_lost)
    found.is_killed = is_killed
    found.held[5] = ("one", 2)
    return found


def frame(seq, attempt=1, failures=0):
    return Seen(type="message", topic="a", seq=seq, attempt=attempt, failures=failures)


def violation(pattern):
    return nullcontext() if pattern is None else pytest.raises(Violation, match=pattern)


@pytest.mark.parametrize(
    ("is_lost", "given", "wrong"),
    [
        (False, frame(5, 3, 1), None),
        (False, frame(5, 2, 1), "came as attempt 2"),
        (False, frame(5, 3, 2), "it has failed 1 to 1 times"),
        (False, frame(5, 3, 0), "it has failed 1 to 1 times"),
        (False, frame(4), "settled for good"),
        (True, frame(4), "settled for good"),
        # It was acked, and nobody was told that it is stored.
        (False, frame(6), None),
        (False, frame(7), None),
    ],
)
def test_what_comes_is_what_can_come(is_lost, given, wrong):
    with violation(wrong):
        bounds(is_lost=is_lost).give("two", given)


@pytest.mark.parametrize(("is_killed", "wrong"), [(False, "twice as attempt 1"), (True, None)])
def test_an_attempt_is_one_hand_out_if_its_owner_was_not_killed(is_killed, wrong):
    found = bounds(is_lost=True, is_killed=is_killed)
    found.give("one", frame(7))
    with violation(wrong):
        found.give("two", frame(7))


@pytest.mark.parametrize(
    ("is_killed", "wrong"), [(False, "for the first time after 8"), (True, None)]
)
def test_first_attempts_come_to_each_in_order_if_their_owner_was_not_killed(is_killed, wrong):
    found = bounds(is_lost=True, is_killed=is_killed)
    found.give("one", frame(8))
    with violation(wrong):
        found.give("one", frame(7))


@pytest.mark.parametrize(
    ("is_lost", "attempt", "wrong"),
    [
        # It was on its way when its node stood still.
        (False, 1, None),
        (False, 3, "settled for good"),
        (True, 1, "settled for good"),
    ],
)
def test_what_was_confirmed_since_comes_again_only_from_before_that(is_lost, attempt, wrong):
    found = bounds(is_lost=is_lost)
    found.give("one", frame(7, 2))
    found.acked(7)
    with violation(wrong):
        found.give("two", frame(7, attempt))


@pytest.mark.parametrize(
    ("seq", "told", "wrong"),
    [
        (5, Told("in_flight", 2), None),
        (5, Told("acked", 0), "nobody acked it"),
        (5, Told("dead", 2), "nobody rejected or failed it"),
        (5, Told("pending", 0), "and now it was not"),
        (4, Told("retrying", 1), "settled for good"),
        (6, Told("acked", 0), None),
        (6, Told("retrying", 1), None),
        (6, Told("pending", 0), None),
        (7, Told("acked", 0), "nobody acked it"),
    ],
)
def test_what_is_found_in_the_end_can_be_so(seq, told, wrong):
    with violation(wrong):
        bounds().check(seq, told)


@pytest.mark.parametrize(("how", "state"), [("ack", "acked"), ("reject", "dead"), ("nack", "dead")])
def test_what_was_asked_may_have_been_done(how, state):
    found = bounds()
    found.tries(5, how)
    found.check(5, Told(state, 2))


def test_a_nack_is_one_failure_more_at_most():
    found = bounds()
    found.tries(5, "nack")
    found.give("two", frame(5, 3, 2))
    with violation("it has failed 1 to 2 times"):
        found.give("two", frame(5, 4, 3))
