"""What is stored of deliveries with a history, and how long what waits there still waits."""

from conduit.core.delivery import EXPIRE_MAX_COUNT, Delivery
from conduit.core.pages import INLINE_MAX_COUNT
from conduit.core.policy import Policy
from conduit.core.retries import PAGE_COUNT
from tests.support.delivery import Shelf, redelivered

ALICE = 1
HOUR_MS = 3_600_000


def nacked(count, delay_s=10.0):
    """A machine in which 1..count wait."""
    delivery = Delivery(Policy(), 0, {})
    delivery.hand(1, count, ALICE, 0.0)
    for seq in range(1, count + 1):
        delivery.nack(seq, 0.0, delay_s, "away")
    return delivery


def restored(shelf, now, wall_ms=None):
    return shelf.restore(Delivery(Policy(), 0, {}), now, wall_ms)


def due(delivery, now):
    return [seq for seq, _ in redelivered(delivery, ALICE, now, limit=10**6)]


def test_few_are_stored_in_the_row_alone():
    shelf, delivery = Shelf(), nacked(INLINE_MAX_COUNT)

    assert shelf.flush(delivery, 0.0) == []
    assert len(due(restored(shelf, 10.0), 10.0)) == INLINE_MAX_COUNT


def test_of_many_the_pages_are_written_that_changed():
    shelf, delivery = Shelf(), nacked(10 * PAGE_COUNT)
    assert shelf.flush(delivery, 0.0) == list(range(11))
    assert len(shelf.open) < 16
    assert shelf.flush(delivery, 1.0) == []

    delivery.ack(3 * PAGE_COUNT)
    delivery.reject(7 * PAGE_COUNT + 1, "poison")
    assert shelf.flush(delivery, 2.0) == [3, 7]
    left = set(range(1, 10 * PAGE_COUNT + 1)) - {3 * PAGE_COUNT, 7 * PAGE_COUNT + 1}
    assert set(due(restored(shelf, 10.0), 10.0)) == left


def test_a_page_with_nothing_left_is_removed_and_with_the_last_one_the_row_is_used_again():
    shelf, delivery = Shelf(), nacked(2 * PAGE_COUNT - 1)
    shelf.flush(delivery, 0.0)
    delivery.ack_through(PAGE_COUNT - 1, ALICE)
    assert shelf.flush(delivery, 0.0) == [0]
    assert list(shelf.pages) == [1]

    delivery.ack_through(2 * PAGE_COUNT - 1, ALICE)
    assert shelf.flush(delivery, 0.0) == [1]
    delivery.hand(2 * PAGE_COUNT, 2 * PAGE_COUNT, ALICE, 0.0)
    delivery.nack(2 * PAGE_COUNT, 0.0, 1.0, "away")
    assert shelf.flush(delivery, 0.0) == []
    assert due(restored(shelf, 1.0), 1.0) == [2 * PAGE_COUNT]


def test_pages_whose_answer_was_lost_are_written_again():
    shelf, delivery = Shelf(), nacked(2 * PAGE_COUNT)
    shelf.flush(delivery, 0.0)
    delivery.ack(1)
    assert shelf.flush(delivery, 0.0, is_lost=True) == [0]
    delivery.ack(2 * PAGE_COUNT)
    assert shelf.flush(delivery, 0.0) == [0, 2]


def test_a_machine_that_was_loaded_writes_what_changes_in_it_and_removes_what_it_found():
    shelf = Shelf()
    shelf.flush(nacked(2 * PAGE_COUNT), 0.0)
    delivery = restored(shelf, 0.0)
    delivery.ack(PAGE_COUNT)
    assert shelf.flush(delivery, 0.0) == [1]
    for seq in range(1, PAGE_COUNT):
        delivery.ack(seq)
    assert shelf.flush(delivery, 0.0) == [0]
    assert list(shelf.pages) == [1, 2]


def test_what_was_out_is_in_a_page_after_a_restart_and_its_attempts_count():
    shelf, delivery = Shelf(), nacked(2 * PAGE_COUNT, delay_s=0.0)
    delivery.hand(2 * PAGE_COUNT + 1, 2 * PAGE_COUNT + 2, ALICE, 0.0)
    delivery.hand_again(1, ALICE, 0.0)
    shelf.flush(delivery, 0.0)
    delivery = restored(shelf, 1.0)
    assert shelf.flush(delivery, 1.0) == [2]
    assert delivery.history(1).attempt == 2
    assert set(due(restored(shelf, 1.0), 1.0)) == set(range(1, 2 * PAGE_COUNT + 3))


def test_a_wait_is_no_longer_after_a_restart_with_a_clock_that_was_set_back():
    for count in (1, 2 * PAGE_COUNT):
        shelf = Shelf()
        shelf.flush(nacked(count), 4.0, wall_ms=HOUR_MS)
        delivery = restored(shelf, 100.0, wall_ms=0)

        assert due(delivery, 105.9) == []
        assert len(due(delivery, 106.0)) == count


def test_time_that_passed_while_the_process_was_away_is_waited_for():
    for count in (1, 2 * PAGE_COUNT):
        shelf = Shelf()
        shelf.flush(nacked(count), 4.0, wall_ms=HOUR_MS)
        delivery = restored(shelf, 100.0, wall_ms=HOUR_MS + 5_000)

        assert due(delivery, 100.9) == []
        assert len(due(delivery, 101.0)) == count


def test_a_machine_that_is_not_stored_remembers_no_changes():
    delivery = Delivery(Policy(), 0, {}, is_stored=False)
    delivery.hand(1, 1_000, ALICE, 0.0)
    for seq in range(1, 1_001):
        delivery.nack(seq, 0.0, 0.0, "")

    assert not delivery.retries.changed


def test_so_many_fail_at_one_call_and_the_others_at_the_next():
    delivery = Delivery(Policy(), 0, {})
    delivery.hand(1, EXPIRE_MAX_COUNT + 5, ALICE, 0.0)
    delivery.extend(2, 0.0, 0.5)

    assert delivery.expire(1.0) == EXPIRE_MAX_COUNT
    assert delivery.next_deadline(1.0) <= 1.0
    assert (delivery.expire(1.0), delivery.expire(1.0)) == (5, 0)
    assert delivery.waiting_count == EXPIRE_MAX_COUNT + 5
    assert delivery.in_flight == {ALICE: 0}
