"""Mistakes that other brokers' delivery machines are known to have made, as tests for this one.

Each names the report: NATS JetStream (nats-io/nats-server) and Apache Pulsar issues by number.
"""

import msgspec

from conduit.core.delivery import REASON_TIMEOUT, Dead, Delivery
from conduit.core.policy import Policy
from tests.support.delivery import Shelf, redelivered

ALICE, BOB = 1, 2


def handed(last, **policy):
    """A machine that gave 1..last to Alice at time 0."""
    delivery = Delivery(Policy(**policy), 0, {})
    delivery.hand(1, last, ALICE, 0.0)
    return delivery


def flushed(delivery, now=0.0):
    """What storage holds after a flush."""
    shelf = Shelf()
    shelf.flush(delivery, now)
    return shelf


def stored(floor, cursor, snapshot):
    """What storage holds that was written by a version before."""
    shelf = Shelf()
    shelf.floor, shelf.cursor, shelf.open = floor, cursor, msgspec.msgpack.encode(snapshot)
    return shelf


def restored(shelf, now, **policy):
    return shelf.restore(Delivery(Policy(**policy), 0, {}), now)


def test_acking_a_redelivery_while_later_ones_are_pending_moves_the_floor_to_its_own_number():
    """nats-server #5008: the floor took the redelivery's number instead of the original's."""
    delivery = handed(1)
    delivery.hand(2, 5, ALICE, 0.5)
    delivery.expire(1.0)
    redelivered(delivery, BOB, 1.0, limit=1)
    assert delivery.ack(1)

    assert delivery.floor == 1
    assert delivery.open_count == 4


def test_a_dead_letter_lets_the_floor_advance():
    """nats-server #8102: the floor stalled behind messages that had used up their attempts."""
    delivery = handed(3, max_attempts=1)
    delivery.ack(2)
    delivery.expire(1.0)

    assert [dead.seq for dead in delivery.take_dead()] == [1, 3]
    assert (delivery.floor, delivery.is_idle, delivery.next_deadline(1.0)) == (3, True, None)


def test_what_died_stays_dead_after_a_restart_and_takes_no_room():
    """nats-server #4427: exhausted messages came back after a restart, above the window."""
    delivery = handed(2, max_attempts=2)
    for now in (1.0, 3.0):
        delivery.expire(now)
        redelivered(delivery, ALICE, now, limit=1)
    assert delivery.take_dead() == [Dead(1, 2, REASON_TIMEOUT)]
    delivery = restored(flushed(delivery), 100.0, max_attempts=2)

    assert delivery.in_flight == {}
    assert redelivered(delivery, BOB, 100.0, limit=9) == [(2, 3)]


def test_messages_that_retention_takes_while_they_are_pending_hold_nothing_up():
    """nats-server #6387: the redelivery of a message that was gone blocked the consumer for ever.

    Whoever hands them out finds them missing, says so, and settles them like any other.
    """
    delivery = handed(2)
    delivery.nack(1, 0.0, 5.0, "busy")
    delivery.pass_over(10)
    assert (delivery.cursor, delivery.open_count) == (10, 2)

    assert delivery.ack(2)
    for seq, _ in redelivered(delivery, BOB, 5.0, limit=9):
        delivery.ack(seq)
    assert (delivery.floor, delivery.is_idle) == (10, True)
    assert delivery.in_flight == {ALICE: 0, BOB: 0}


def test_a_redriven_message_that_retention_took_from_the_log_is_still_given():
    delivery = handed(3)
    delivery.reject(2, "poison")
    delivery.redrive(2, 0.0)
    delivery.pass_over(10)

    assert redelivered(delivery, BOB, 0.0, limit=9) == [(2, 1)]


def test_a_cumulative_ack_does_not_settle_a_redriven_message_that_nobody_was_given_yet():
    delivery = handed(3)
    delivery.reject(2, "poison")
    delivery.redrive(2, 0.0)

    assert delivery.ack_through(3, ALICE) == 2
    assert redelivered(delivery, BOB, 0.0, limit=9) == [(2, 1)]
    assert delivery.ack_through(3, ALICE) == 0
    assert delivery.ack_through(3, BOB) == 1
    assert (delivery.floor, delivery.is_idle) == (3, True)


def test_in_strict_order_the_lowest_is_not_overslept_behind_a_later_one_that_is_due():
    """Both were redriven; the first failed and waits, and the second must wait for it."""
    delivery = handed(2, max_attempts=3)
    for seq in (1, 2):
        delivery.reject(seq, "poison")
        delivery.redrive(seq, 0.0)
    delivery.hand_again(1, ALICE, 0.0)
    delivery.nack(1, 0.0, 5.0, "busy")
    delivery.expire(2.0)

    assert (delivery.lowest_open(), delivery.due(2.0)) == (1, 2)
    assert delivery.next_deadline(2.0) == 5.0


def test_after_a_crash_before_the_flush_late_acks_skip_nothing():
    """nats-server #6469 and #6566: an ack for a number that the new owner did not know as delivered
    moved its pointer over unacked ones."""
    delivery = handed(2)
    shelf = flushed(delivery)
    delivery.hand(3, 6, ALICE, 0.0)
    delivery = restored(shelf, 1.0)

    assert [delivery.ack(seq) for seq in (5, 6, 2)] == [False, False, True]
    assert (delivery.floor, delivery.cursor) == (0, 2)
    assert redelivered(delivery, BOB, 1.0, limit=9) == [(1, 2)]
    delivery.hand(3, 6, BOB, 1.0)
    assert delivery.history(5).attempt == 1


def test_the_progress_of_an_idle_topic_is_complete_without_another_ack():
    """yahoo/pulsar #180: the cursor was stored with the next ack only, so an idle topic's was old."""
    delivery = handed(3)
    for seq in (3, 1, 2):
        delivery.ack(seq)
    delivery = restored(flushed(delivery), 1000.0)

    assert (delivery.floor, delivery.cursor, delivery.is_idle) == (3, 3, True)
    assert redelivered(delivery, BOB, 1000.0, limit=9) == []


def test_attempts_and_waits_survive_a_restart():
    delivery = handed(2)
    delivery.expire(1.0)
    redelivered(delivery, ALICE, 1.0, limit=1)
    delivery.nack(1, 1.0, 30.0, "busy")
    delivery = restored(flushed(delivery), 2.0)

    assert redelivered(delivery, BOB, 2.0, limit=9) == [(2, 2)]
    assert delivery.history(1).reason == "busy"
    assert redelivered(delivery, BOB, 30.9, limit=9) == []
    assert redelivered(delivery, BOB, 31.0, limit=9) == [(1, 3)]


def test_one_ancient_unacked_message_keeps_the_state_small():
    """Pulsar #25985: the state grew with the backlog behind the oldest unacked message."""
    delivery = handed(1, ack_wait_s=1e6, max_ack_wait_s=1e6)
    for first in range(2, 100_000, 50):
        delivery.hand(first, first + 49, BOB, float(first))
        for seq in range(first + 49, first - 1, -1):
            assert delivery.ack(seq)

    shelf = flushed(delivery)
    assert (shelf.floor, shelf.cursor) == (0, 100_001)
    assert len(shelf.open) < 16
    assert len(list(delivery.runs)) == 1


def test_state_is_proportional_to_what_is_open_however_it_is_scattered():
    delivery = handed(1000)
    for seq in range(2, 1001, 2):
        delivery.ack(seq)

    assert delivery.open_count == len(list(delivery.runs)) == 500
    assert len(flushed(delivery).open) < 500 * 8


def test_the_stored_form_is_pinned_because_older_progress_must_stay_readable():
    """Pulsar #7554: a new way of writing ranges lost those that were written the old way."""
    delivery = handed(5)
    delivery.ack(2)
    delivery.nack(5, 0.0, 12.5, "busy")
    retry = [5, 1, 10_500, "busy", 1, 0]
    pinned = [[[1, 1], [3, 4]], [], [2000, [[*retry, False]]], []]

    assert msgspec.msgpack.decode(flushed(delivery, 2.0).open) == pinned
    # Before it was stored what was redriven.
    for row in (pinned, [[[1, 1], [3, 4]], [], [2000, [retry]], []]):
        delivery = restored(stored(0, 5, row), 20.0)
        assert redelivered(delivery, BOB, 20.0, limit=9) == [(1, 2), (3, 2), (4, 2), (5, 2)]


def test_progress_that_was_stored_before_there_were_pages_is_readable():
    old = [[[1, 1], [3, 4]], [[5, [1, 12.5, 0, "busy", 1, 0, ALICE]]]]
    delivery = restored(stored(0, 5, old), 10.0)

    assert redelivered(delivery, BOB, 10.0, limit=9) == [(1, 2), (3, 2), (4, 2)]
    assert redelivered(delivery, BOB, 12.5, limit=9) == [(5, 2)]


def test_progress_that_was_stored_before_losses_were_counted_is_readable():
    old = [[[1, 1], [3, 4]], [[5, [1, 12.5, 0, "busy", 1]], [6, [3, 9.0, 7, "", 2]]]]
    delivery = restored(stored(0, 6, old), 20.0)

    history = delivery.history(6)
    assert (history.losses, history.last_holder, history.failures) == (0, 0, 2)
    assert delivery.history(5).reason == "busy"
    assert redelivered(delivery, BOB, 20.0, limit=9) == [(1, 2), (3, 2), (4, 2), (5, 2), (6, 4)]
