"""Failures that are put off: too many deaths wait to be stored, or acks may be unread."""

import math

from conduit.core.delivery import Delivery
from conduit.core.policy import REASON_LOST, Dead, Policy
from tests.support.delivery import redelivered

ALICE, BOB = 1, 2


def handed(last, **policy):
    """A machine that gave 1..last to Alice at time 0."""
    delivery = Delivery(Policy(**policy), 0, {})
    delivery.hand(1, last, ALICE, 0.0)
    return delivery


def test_of_those_that_took_too_long_only_so_many_die_and_the_others_stay_out():
    delivery = handed(3, max_attempts=1)
    delivery.extend(3, 0.0, 0.5)
    assert delivery.expire(1.0, deaths_max=1) == 1

    (dead,) = delivery.take_dead()
    assert (dead.seq, delivery.floor, delivery.in_flight) == (1, 1, {ALICE: 2})
    assert delivery.next_deadline(1.0) == 2.0
    assert delivery.expire(1.9, deaths_max=9) == 0
    assert delivery.expire(2.0, deaths_max=9) == 2
    assert [dead.attempts for dead in delivery.take_dead()] == [1, 1]
    assert (delivery.is_idle, delivery.in_flight) == (True, {ALICE: 0})


def test_what_may_still_fail_does_so_where_nothing_may_die():
    delivery = handed(2, max_attempts=2)
    assert delivery.expire(1.0, deaths_max=0) == 2

    assert redelivered(delivery, ALICE, 1.0, limit=1) == [(1, 2)]
    assert [delivery.is_last(seq) for seq in (1, 2, 3)] == [True, True, False]
    assert delivery.expire(9.0, deaths_max=0) == 0
    assert (delivery.history(1).failures, delivery.in_flight) == (1, {ALICE: 1})


def test_of_those_that_were_lost_too_often_only_so_many_die_and_the_others_come_again():
    delivery = handed(3, max_lost=1)
    delivery.extend(3, 0.0, 9.0)
    assert delivery.release(ALICE, 0.0, lost=True, deaths_max=1) == 3

    assert delivery.take_dead() == [Dead(1, 1, REASON_LOST)]
    assert redelivered(delivery, BOB, 0.0, limit=9) == [(2, 2), (3, 2)]
    delivery.release(BOB, 0.0, lost=True)
    assert [dead.seq for dead in delivery.take_dead()] == [2, 3]


def test_what_somebody_has_whose_acks_may_be_unread_does_not_fail_yet():
    delivery = handed(2, max_attempts=1)
    delivery.hand(3, 3, BOB, 0.0)
    delivery.extend(2, 0.0, 0.5)
    assert delivery.expire(1.0, heard_until={ALICE: -math.inf, BOB: 1.0}) == 1

    assert [dead.seq for dead in delivery.take_dead()] == [3]
    assert delivery.in_flight == {ALICE: 2, BOB: 0}
    assert delivery.next_deadline(1.0) == 2.0
    assert delivery.ack(1)
    assert delivery.expire(2.0) == 1
    assert [dead.seq for dead in delivery.take_dead()] == [2]


def test_it_fails_only_if_it_is_known_what_was_said_up_to_its_own_deadline():
    delivery = handed(1, max_attempts=2)
    delivery.hand(2, 2, ALICE, 0.5)
    heard = {ALICE: 1.1}
    # Both put off: nobody has asked by then.
    assert delivery.expire(1.0, heard_until={ALICE: 0.9}) == 0
    assert delivery.expire(1.5, heard_until=heard) == 0
    # What is put off is judged by its deadline, not by the time to which it was put off.
    assert delivery.expire(2.0, heard_until=heard) == 1
    assert delivery.expire(2.5, heard_until=heard) == 0
    assert delivery.expire(3.5, heard_until={ALICE: 2.5}) == 1
    # The next attempt has a deadline of its own.
    assert redelivered(delivery, ALICE, 9.0, limit=9) == [(1, 2), (2, 2)]
    deadline = delivery.next_deadline(9.0)
    assert delivery.expire(deadline, heard_until={ALICE: deadline - 0.1}) == 0
    assert delivery.extend(1, deadline, 5.0)
    assert delivery.expire(deadline + 1.0, heard_until={ALICE: deadline}) == 1
    assert delivery.expire(deadline + 5.0, heard_until={ALICE: deadline + 4.9}) == 0
