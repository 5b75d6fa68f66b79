"""The delivery machine's story, one sentence at a time. `test_delivery_model.py` tries the rest."""

import pytest

from conduit.core.delivery import Delivery
from conduit.core.policy import REASON_TIMEOUT, Dead, Policy
from conduit.errors import StateError
from tests.support.delivery import Shelf, redelivered

ALICE, BOB = 1, 2


def machine(floor=0, in_flight=None, **policy):
    return Delivery(Policy(**policy), floor, {} if in_flight is None else in_flight)


def handed(last, **policy):
    """A machine that gave 1..last to Alice at time 0."""
    delivery = machine(**policy)
    delivery.hand(1, last, ALICE, 0.0)
    return delivery


def restarted(delivery, now):
    """What comes up after a crash that followed a flush: only what storage holds is left."""
    shelf = Shelf()
    shelf.flush(delivery, now)
    return shelf.restore(machine(), now)


# Handing out and acks -----------------------------------------------------------------------------


def test_acks_in_order_move_the_floor_and_leave_nothing_behind():
    delivery = handed(3)
    assert [delivery.ack(seq) for seq in (1, 2, 3)] == [True, True, True]

    assert (delivery.floor, delivery.cursor) == (3, 3)
    assert delivery.is_idle
    assert delivery.in_flight == {ALICE: 0}


def test_the_floor_waits_for_the_lowest_open_number():
    delivery = handed(5)
    for seq in (2, 3, 5):
        assert delivery.ack(seq)
    assert delivery.floor == 0

    assert delivery.ack(1)
    assert delivery.floor == 3
    assert delivery.ack(4)
    assert delivery.floor == 5


def test_numbers_are_handed_without_holes():
    delivery = handed(2)

    for first, last in ((2, 4), (4, 5), (3, 2)):
        with pytest.raises(StateError):
            delivery.hand(first, last, ALICE, 0.0)


def test_what_a_subscriber_that_never_acks_was_given_is_settled():
    delivery = machine()
    delivery.pass_over(3)
    delivery.pass_over(2)

    assert (delivery.floor, delivery.cursor, delivery.is_idle) == (3, 3, True)


def test_it_is_known_when_something_was_handed_out_for_the_first_time():
    delivery = machine(ack_wait_s=2.0)
    delivery.hand(1, 2, ALICE, 5.0)
    delivery.hand(3, 3, BOB, 6.0)
    assert [delivery.handed_at(seq) for seq in (1, 2, 3, 4)] == [5.0, 5.0, 6.0, None]

    delivery.extend(1, 6.0, 30.0)
    delivery.ack(2)
    delivery.set_policy(Policy(ack_wait_s=9.0))
    assert [delivery.handed_at(seq) for seq in (1, 2, 3)] == [None, None, None]


# Failure ------------------------------------------------------------------------------------------


def test_a_silent_subscriber_gets_five_attempts_in_31_seconds_and_then_a_dead_letter():
    delivery = handed(1)
    waits, now = [], 0.0
    while delivery.is_open(1):
        begun, now = now, delivery.next_deadline(now)
        delivery.expire(now - 0.001)
        assert delivery.history(1).holder == ALICE
        delivery.expire(now)
        waits.append(now - begun)
        redelivered(delivery, ALICE, now, limit=10)

    assert waits == [1, 2, 4, 8, 16]
    assert delivery.dead
    assert delivery.take_dead() == [Dead(1, 5, REASON_TIMEOUT)]
    assert (delivery.dead, delivery.take_dead()) == ([], [])
    assert (delivery.floor, delivery.in_flight) == (1, {ALICE: 0})


def test_a_redelivery_says_its_attempt_and_later_messages_flow_on_meanwhile():
    delivery = handed(1)
    delivery.hand(2, 3, ALICE, 0.9)
    delivery.expire(1.0)

    assert redelivered(delivery, BOB, 1.0, limit=10) == [(1, 2)]
    assert delivery.history(2).attempt == 1
    assert delivery.in_flight == {ALICE: 2, BOB: 1}


def test_jitter_spreads_redeliveries_over_a_tenth_of_the_wait():
    delivery = handed(1, ack_wait_s=10.0)
    delivery.expire(10.0, jitter=0.5)

    assert redelivered(delivery, ALICE, 10.4, limit=1) == []
    assert redelivered(delivery, ALICE, 10.5, limit=1) == [(1, 2)]


def test_a_nack_waits_for_its_delay_or_for_the_attempts_backoff():
    delivery = handed(2, ack_wait_s=0.5)
    assert delivery.nack(1, 1.0, 0.25, "busy")
    assert delivery.nack(2, 1.0, None, "busy")

    assert redelivered(delivery, ALICE, 1.25, limit=9) == [(1, 2)]
    assert redelivered(delivery, ALICE, 1.4, limit=9) == []
    assert redelivered(delivery, ALICE, 1.5, limit=9) == [(2, 2)]
    assert delivery.history(2).reason == "busy"


def test_the_backoff_after_a_nack_begins_with_a_second_at_most():
    delivery, now = handed(1, ack_wait_s=30.0, max_ack_wait_s=30.0, max_attempts=9), 0.0
    for wait_s in (1, 2, 4, 8, 16, 30, 30):
        assert delivery.nack(1, now, None, "busy")
        assert redelivered(delivery, ALICE, now + wait_s - 0.01, limit=9) == []
        now += wait_s
        assert len(redelivered(delivery, ALICE, now, limit=9)) == 1


def test_the_nack_of_the_last_attempt_is_a_death_with_its_reason():
    delivery = handed(1, max_attempts=2)
    delivery.nack(1, 0.0, 0.0, "first")
    redelivered(delivery, ALICE, 0.0, limit=1)
    delivery.nack(1, 0.0, 0.0, "second")

    assert delivery.take_dead() == [Dead(1, 2, "second")]
    assert (delivery.floor, delivery.is_idle) == (1, True)


def test_a_nack_counts_only_for_a_delivery_that_is_out():
    delivery = handed(2)
    delivery.nack(1, 0.0, 5.0, "busy")
    delivery.ack(2)

    assert not delivery.nack(1, 0.0, 0.0, "again")
    assert not delivery.nack(2, 0.0, 0.0, "late")
    assert not delivery.nack(3, 0.0, 0.0, "early")
    assert redelivered(delivery, ALICE, 4.9, limit=9) == []


def test_a_reject_is_a_death_at_once_out_or_waiting():
    delivery = handed(3)
    delivery.nack(2, 0.0, 60.0, "busy")

    assert delivery.reject(1, "poison")
    assert delivery.reject(2, "poison too")
    assert not delivery.reject(2, "again")
    assert delivery.take_dead() == [Dead(1, 1, "poison"), Dead(2, 1, "poison too")]
    assert delivery.in_flight == {ALICE: 1}
    assert delivery.floor == 2


def test_extend_gives_the_stated_time_or_the_attempts_wait_again():
    delivery = handed(2)
    assert delivery.extend(1, 0.9, None)
    assert delivery.extend(2, 0.9, 10.0)
    assert delivery.in_flight == {ALICE: 2}

    delivery.expire(1.8)
    assert delivery.waiting_count == 0
    delivery.expire(1.9)
    assert redelivered(delivery, ALICE, 1.9, limit=9) == [(1, 2)]
    delivery.expire(10.9)
    assert redelivered(delivery, ALICE, 10.9, limit=9) == [(1, 3), (2, 2)]


def test_an_extended_delivery_keeps_its_attempt_and_may_be_acked():
    delivery = handed(1)
    delivery.extend(1, 0.0, 10.0)

    assert delivery.history(1).attempt == 1
    assert delivery.ack(1)
    assert not delivery.extend(1, 0.0, 10.0)
    assert (delivery.floor, delivery.in_flight) == (1, {ALICE: 0})


def test_strict_order_holds_the_next_until_the_one_before_is_acked_or_dead():
    delivery = machine(max_attempts=2)
    log, now = [], 0.0
    while delivery.cursor < 3 or not delivery.is_idle:
        if delivery.is_idle:
            delivery.hand(delivery.cursor + 1, delivery.cursor + 1, ALICE, now)
            log.append((delivery.cursor, 1))
        if delivery.cursor != 2:
            delivery.ack(delivery.cursor)
            continue
        now = delivery.next_deadline(now)
        delivery.expire(now)
        log += redelivered(delivery, ALICE, now, limit=1)

    assert log == [(1, 1), (2, 1), (2, 2), (3, 1)]
    assert delivery.take_dead() == [Dead(2, 2, REASON_TIMEOUT)]


# A subscriber that is gone -------------------------------------------------------------------------


def test_what_a_subscriber_had_that_is_gone_goes_to_the_next_one_at_once():
    delivery = handed(3)
    delivery.hand(4, 4, BOB, 0.0)
    delivery.ack(2)

    assert delivery.release(ALICE, 0.5) == 2
    assert delivery.in_flight == {ALICE: 0, BOB: 1}
    assert redelivered(delivery, BOB, 0.5, limit=9) == [(1, 2), (3, 2)]
    assert delivery.release(ALICE, 0.5) == 0


def test_a_connection_that_was_closed_is_no_failure_and_kills_nothing():
    delivery = handed(1, max_attempts=2, max_lost=2)
    for attempt in range(2, 20):
        delivery.release(ALICE, 0.0)
        assert redelivered(delivery, ALICE, 0.0, limit=1) == [(1, attempt)]
    assert delivery.take_dead() == []

    delivery.expire(1000.0)
    assert delivery.take_dead() == []
    assert redelivered(delivery, ALICE, 1000.0, limit=1) == [(1, 20)]
    delivery.expire(2000.0)
    assert delivery.take_dead() == [Dead(1, 20, REASON_TIMEOUT)]


def test_time_without_a_subscriber_burns_no_attempt():
    delivery = handed(1)
    delivery.release(ALICE, 0.5)
    for hour in range(1, 100):
        delivery.expire(3600.0 * hour)

    assert redelivered(delivery, BOB, 360_000.0, limit=1) == [(1, 2)]


# Seek, retention, redrive -------------------------------------------------------------------------


@pytest.mark.parametrize("floor", [0, 2, 9])
def test_a_seek_begins_anew_and_acks_from_before_it_mean_nothing(floor):
    delivery = handed(3)
    delivery.nack(2, 0.0, 1.0, "busy")
    delivery.seek(floor)

    assert (delivery.floor, delivery.cursor, delivery.is_idle) == (floor, floor, True)
    assert delivery.in_flight == {ALICE: 0}
    assert not delivery.ack(3)
    assert redelivered(delivery, ALICE, 100.0, limit=9) == []
    delivery.hand(floor + 1, floor + 1, BOB, 0.0)
    assert delivery.history(floor + 1).attempt == 1


def test_a_redriven_message_starts_from_attempt_one_and_leaves_the_floor_where_it_is():
    delivery = handed(3, max_attempts=1)
    delivery.expire(1.0)
    delivery.take_dead()
    assert delivery.redrive(2, 2.0)

    assert (delivery.floor, delivery.is_open(2)) == (3, True)
    assert redelivered(delivery, BOB, 2.0, limit=9) == [(2, 1)]
    assert delivery.ack(2)
    assert delivery.floor == 3


def test_only_a_settled_message_can_be_redriven():
    delivery = handed(2)
    delivery.nack(2, 0.0, 9.0, "busy")

    assert not any(delivery.redrive(seq, 0.0) for seq in (0, 1, 2, 3))


def test_a_redriven_message_can_die_again():
    delivery = handed(1)
    delivery.reject(1, "first")
    delivery.redrive(1, 0.0)
    redelivered(delivery, ALICE, 0.0, limit=1)
    delivery.reject(1, "second")

    assert delivery.take_dead() == [Dead(1, 1, "first"), Dead(1, 1, "second")]


def test_a_redriven_message_survives_a_restart():
    delivery = handed(3)
    delivery.ack_through(3, ALICE)
    delivery.redrive(2, 0.0)
    delivery = restarted(delivery, 5.0)

    assert delivery.floor == 3
    assert redelivered(delivery, BOB, 5.0, limit=9) == [(2, 1)]


def test_a_shorter_ack_wait_holds_for_the_next_message_even_behind_a_longer_one():
    delivery = handed(1, ack_wait_s=60.0)
    delivery.set_policy(Policy(ack_wait_s=1.0))
    delivery.hand(2, 2, ALICE, 1.0)

    assert delivery.next_deadline(1.0) <= 2.0
    delivery.expire(2.0)
    assert redelivered(delivery, ALICE, 2.0, limit=9) == [(2, 2)]
    delivery.expire(59.9)
    assert delivery.history(1).attempt == 1
    delivery.expire(60.0)
    assert delivery.history(1).holder != ALICE
