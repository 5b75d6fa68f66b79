"""Subscribers that leave, connections that are lost."""

from conduit.core.delivery import REASON_LOST, REASON_TIMEOUT, Dead
from tests.core.handing import redeliver
from tests.core.test_delivery import ALICE, BOB, handed, machine


def test_what_a_lost_subscriber_had_goes_to_the_next_one_at_once():
    delivery = handed(3)
    delivery.hand(4, 4, BOB, 0.0)
    delivery.ack(2)

    assert delivery.release(ALICE, 0.5) == 2
    assert delivery.in_flight == {ALICE: 0, BOB: 1}
    assert redeliver(delivery, BOB, 0.5, limit=9) == [(1, 2), (3, 2)]
    assert delivery.release(ALICE, 0.5) == 0


def test_a_lost_connection_is_no_failure_and_kills_nothing():
    delivery = handed(1, max_attempts=2)
    for attempt in range(2, 20):
        delivery.release(ALICE, 0.0)
        assert redeliver(delivery, ALICE, 0.0, limit=1) == [(1, attempt)]
    assert delivery.take_dead() == []

    delivery.expire(1000.0)
    assert delivery.take_dead() == []
    assert redeliver(delivery, ALICE, 1000.0, limit=1) == [(1, 20)]
    delivery.expire(2000.0)
    assert delivery.take_dead() == [Dead(1, 20, REASON_TIMEOUT)]


def test_losses_make_it_wait_and_then_kill_it():
    delivery, now = handed(1, max_lost=5), 0.0
    for attempt, wait_s in ((2, 0), (3, 1), (4, 2), (5, 4)):
        assert delivery.release(ALICE, now, lost=True) == 1
        assert redeliver(delivery, ALICE, now + wait_s - 0.1, limit=1) == []
        now += wait_s
        assert redeliver(delivery, ALICE, now, limit=1) == [(1, attempt)]
        assert delivery.history(1).failures == 0
    delivery.release(ALICE, now, lost=True)
    assert delivery.take_dead() == [Dead(1, 5, REASON_LOST)]
    assert (delivery.floor, delivery.is_idle, delivery.in_flight) == (1, True, {ALICE: 0})


def test_suspects_come_last_and_one_at_a_time():
    delivery = handed(3, max_lost=None)
    for _ in range(2):
        delivery.release(ALICE, 0.0, lost=True)
        redeliver(delivery, ALICE, 0.0, limit=9)
    delivery.hand(4, 4, ALICE, 0.0)
    delivery.nack(4, 0.0, 1.0, "busy")

    assert delivery.due(0.5) is delivery.due_suspect(0.5) is None
    assert redeliver(delivery, BOB, 1.0, limit=9) == [(4, 2), (1, 3)]
    assert delivery.due_suspect(1.0) is None
    delivery.ack(1)
    assert redeliver(delivery, BOB, 1.0, limit=9) == [(2, 3)]
    delivery.release(BOB, 1.0)
    assert redeliver(delivery, ALICE, 1.0, limit=9) == [(4, 3), (2, 4)]


def test_whoever_is_forgotten_has_its_room_back_in_the_shared_count():
    in_flight = {}
    one, other = machine(in_flight=in_flight), machine(in_flight=in_flight)
    one.hand(1, 3, ALICE, 0.0)
    one.nack(2, 0.0, 0.0, "busy")
    redeliver(one, BOB, 0.0, limit=1)
    other.hand(1, 1, ALICE, 0.0)
    one.forget()

    assert in_flight == {ALICE: 1, BOB: 0}
    assert one.is_idle


def test_time_without_a_subscriber_burns_no_attempt():
    delivery = handed(1)
    delivery.release(ALICE, 0.5)
    for hour in range(1, 100):
        delivery.expire(3600.0 * hour)

    assert redeliver(delivery, BOB, 360_000.0, limit=1) == [(1, 2)]
