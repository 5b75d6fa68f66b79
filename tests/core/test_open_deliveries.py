"""What is open and where: acks and what is due, by the machine that decides about it."""

from conduit.core.delivery import Delivery
from conduit.core.policy import Policy
from tests.support.delivery import redelivered

ALICE, BOB = 1, 2


def machine(in_flight=None):
    return Delivery(Policy(), 0, {} if in_flight is None else in_flight)


def handed(last):
    """A machine that gave 1..last to Alice at time 0."""
    delivery = machine()
    delivery.hand(1, last, ALICE, 0.0)
    return delivery


def test_an_ack_counts_once_and_only_for_what_was_handed():
    delivery = handed(2)
    assert delivery.ack(2)

    assert not delivery.ack(2)
    assert not delivery.ack(3)
    assert not delivery.ack(0)
    assert delivery.in_flight == {ALICE: 1}


def test_a_cumulative_ack_settles_what_its_sender_has_up_to_the_number_and_nothing_of_others():
    delivery = handed(2)
    delivery.hand(3, 4, BOB, 0.0)
    delivery.hand(5, 6, ALICE, 0.0)
    delivery.ack(1)

    assert delivery.ack_through(5, ALICE) == 2
    assert (delivery.floor, delivery.open_count) == (2, 3)
    assert delivery.in_flight == {ALICE: 1, BOB: 2}
    assert delivery.ack_through(5, ALICE) == 0
    assert delivery.ack_through(9, BOB) == 2
    assert (delivery.floor, delivery.is_open(6)) == (5, True)


def test_the_open_numbers_are_those_that_are_out_and_those_that_wait():
    delivery = handed(5)
    delivery.ack(2)
    delivery.nack(4, 0.0, 30.0, "busy")
    assert sorted(delivery.open_numbers()) == [1, 3, 4, 5]
    assert list(machine().open_numbers()) == []


def test_a_cumulative_ack_settles_what_its_sender_had_last_before_it_failed():
    delivery = handed(4)
    delivery.nack(1, 0.0, 30.0, "busy")
    delivery.nack(2, 0.0, 0.0, "busy")
    delivery.hand_again(2, BOB, 0.0)
    delivery.nack(3, 0.0, 0.0, "busy")
    delivery.hand_again(3, BOB, 0.0)
    delivery.nack(3, 0.0, 30.0, "busy")

    assert delivery.ack_through(9, ALICE) == 2
    assert [seq for seq in range(1, 5) if delivery.is_open(seq)] == [2, 3]
    assert delivery.in_flight == {ALICE: 0, BOB: 1}
    assert delivery.ack_through(9, BOB) == 2
    assert (delivery.floor, delivery.in_flight) == (4, {ALICE: 0, BOB: 0})


def test_a_cumulative_ack_settles_what_has_been_extended_or_had_before_the_policy_changed():
    delivery = handed(2)
    delivery.extend(1, 0.0, 9.0)
    delivery.set_policy(Policy())

    assert delivery.ack_through(2, BOB) == 0
    assert delivery.ack_through(2, ALICE) == 2
    assert (delivery.is_idle, delivery.in_flight) == (True, {ALICE: 0})


def test_a_cumulative_ack_beyond_what_was_handed_settles_no_future_message():
    delivery = handed(2)

    assert delivery.ack_through(100, ALICE) == 2
    assert (delivery.floor, delivery.cursor) == (2, 2)
    delivery.hand(3, 3, ALICE, 0.0)
    assert delivery.is_open(3)


def test_two_topics_of_a_subscription_share_the_holders_window():
    in_flight = {}
    orders, quakes = machine(in_flight=in_flight), machine(in_flight=in_flight)
    orders.hand(1, 3, ALICE, 0.0)
    quakes.hand(1, 2, ALICE, 0.0)
    assert in_flight == {ALICE: 5}

    orders.ack(1)
    quakes.ack_through(2, ALICE)
    assert in_flight == {ALICE: 2}


def test_nobody_gets_more_than_there_is_room_for_and_the_oldest_due_goes_first():
    delivery = handed(4)
    for seq, delay_s in ((4, 1.0), (2, 2.0), (3, 3.0), (1, 9.0)):
        delivery.nack(seq, 0.0, delay_s, "busy")

    assert redelivered(delivery, BOB, 5.0, limit=0) == []
    assert redelivered(delivery, BOB, 5.0, limit=2) == [(4, 2), (2, 2)]
    assert redelivered(delivery, BOB, 5.0, limit=2) == [(3, 2)]
