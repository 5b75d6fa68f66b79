"""Failures that are put off: too many deaths wait to be stored, or acks may be unread."""

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
    assert delivery.expire(1.0, unheard=[ALICE]) == 1

    assert [dead.seq for dead in delivery.take_dead()] == [3]
    assert delivery.in_flight == {ALICE: 2, BOB: 0}
    assert delivery.next_deadline(1.0) == 2.0
    assert delivery.ack(1)
    assert delivery.expire(2.0) == 1
    assert [dead.seq for dead in delivery.take_dead()] == [2]
