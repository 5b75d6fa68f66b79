"""What happens to a delivery whose connection is lost, and to one that loses connection after connection."""

import pytest

from conduit.core.delivery import REASON_LOST, Dead, Delivery
from conduit.core.policy import Policy
from tests.support.delivery import Shelf, redelivered

ALICE, BOB = 1, 2


def handed(last, **policy):
    """A machine that gave 1..last to Alice at time 0."""
    delivery = Delivery(Policy(**policy), 0, {})
    delivery.hand(1, last, ALICE, 0.0)
    return delivery


def lost_again(delivery, now):
    """Bob takes the only number, which is due, and loses his connection at once; when it is due again."""
    delivery.hand_again(1, BOB, now)
    delivery.release(BOB, now, lost=True)
    if delivery.is_idle:
        return None
    at = delivery.history(1).at
    assert delivery.next_deadline(now) <= at
    assert redelivered(delivery, BOB, at - 0.001, limit=1) == []
    return at


def test_a_lost_connection_brings_it_again_at_once_and_then_after_1_2_4_up_to_60_seconds():
    delivery = handed(1, max_lost=10)
    delivery.release(ALICE, 0.0, lost=True)
    waits, now = [], 0.0
    while (at := lost_again(delivery, now)) is not None:
        waits.append(at - now)
        now = at

    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    assert delivery.take_dead() == [Dead(1, 10, REASON_LOST)]
    assert (delivery.floor, delivery.in_flight) == (1, {ALICE: 0, BOB: 0})


def test_losses_without_a_limit_kill_nothing():
    delivery, now = handed(1, max_lost=None), 0.0
    delivery.release(ALICE, now, lost=True)
    for _ in range(100):
        now = lost_again(delivery, now)

    assert delivery.take_dead() == []
    assert delivery.history(1).losses == 101
    assert delivery.history(1).failures == 0


def test_losses_and_failures_are_counted_apart():
    delivery = handed(1, max_attempts=2, max_lost=2)
    delivery.release(ALICE, 0.0, lost=True)
    assert redelivered(delivery, ALICE, 0.0, limit=1) == [(1, 2)]
    delivery.nack(1, 0.0, 0.0, "busy")
    assert redelivered(delivery, ALICE, 0.0, limit=1) == [(1, 3)]
    assert delivery.take_dead() == []

    delivery.release(ALICE, 0.0, lost=True)
    assert delivery.take_dead() == [Dead(1, 3, REASON_LOST)]


def test_what_was_never_lost_goes_before_what_was_lost_once():
    delivery = handed(2)
    delivery.release(ALICE, 0.0, lost=True)
    delivery.hand(3, 4, ALICE, 0.0)
    delivery.expire(1.0)

    assert redelivered(delivery, BOB, 1.0, limit=9) == [(3, 2), (4, 2), (1, 2), (2, 2)]


def suspects(last):
    """A machine in which 1..last were lost twice at time 0, so that they are due at 1."""
    delivery = handed(last)
    delivery.release(ALICE, 0.0, lost=True)
    redelivered(delivery, ALICE, 0.0, limit=last)
    delivery.release(ALICE, 0.0, lost=True)
    return delivery


def test_a_suspect_is_never_due_with_the_others_and_only_one_is_out():
    delivery = suspects(2)
    assert delivery.due_suspect(0.9) is None
    assert (delivery.due(1.0), delivery.due_suspect(1.0)) == (None, 1)

    delivery.hand_again(1, BOB, 1.0)
    assert delivery.due_suspect(1.0) is None
    delivery.extend(1, 1.0, 9.0)
    assert delivery.due_suspect(1.0) is None
    delivery.ack(1)
    assert delivery.due_suspect(1.0) == 2


@pytest.mark.parametrize(
    "end",
    [
        lambda delivery: delivery.nack(1, 1.0, 5.0, "busy"),
        lambda delivery: delivery.reject(1, "poison"),
        lambda delivery: delivery.ack_through(1, BOB),
        lambda delivery: delivery.release(BOB, 1.0, lost=True),
        lambda delivery: delivery.expire(2.0),
    ],
)
def test_the_next_suspect_has_its_turn_however_the_one_before_ended(end):
    delivery = suspects(2)
    delivery.hand_again(1, BOB, 1.0)
    end(delivery)

    assert delivery.due_suspect(2.0) == 2


def test_a_suspect_that_was_given_back_is_due_at_once():
    delivery = suspects(2)
    delivery.hand_again(1, BOB, 1.0)
    delivery.release(BOB, 1.0)

    assert delivery.due_suspect(1.0) == 1


def test_a_suspect_that_is_out_keeps_no_message_from_those_who_are_none():
    delivery = suspects(1)
    delivery.hand_again(1, BOB, 1.0)
    delivery.hand(2, 2, ALICE, 1.0)
    delivery.nack(2, 1.0, 0.0, "busy")

    assert delivery.due(1.0) == 2


def test_a_redriven_suspect_is_no_suspect():
    delivery = suspects(1)
    delivery.reject(1, "poison")
    delivery.redrive(1, 1.0)

    assert (delivery.due(1.0), delivery.history(1).losses) == (1, 0)


def test_losses_survive_a_restart_and_nobody_is_taken_for_a_holder_of_before():
    delivery = suspects(1)
    delivery.hand_again(1, BOB, 1.0)
    shelf = Shelf()
    shelf.flush(delivery, 1.0)
    shelf.restore(delivery, 5.0)

    assert (delivery.due(5.0), delivery.due_suspect(5.0)) == (None, 1)
    assert delivery.ack_through(1, BOB) == 0
    assert delivery.history(1).losses == 2
