"""What the log has lost, until the subscriber knows it."""

from itertools import pairwise

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from conduit.core.delivery import Delivery
from conduit.core.lost import Lost
from conduit.core.pages import Moment, Snapshot
from conduit.core.policy import Policy

POLICY = Policy(ack_wait_s=1.0, max_ack_wait_s=60.0, max_attempts=5, max_lost=20)


def lost(*ranges: tuple[int, int]) -> Lost:
    found = Lost()
    for first, last in ranges:
        found.add(first, last)
    return found


def machine(floor: int = 0) -> Delivery:
    return Delivery(POLICY, floor, {})


def test_it_is_owed_until_it_is_heard_and_heard_once():
    owed = lost((1, 5), (9, 9))
    assert owed
    assert (owed.hear(1, 5), owed.hear(1, 5), owed.hear(9, 9)) == (True, False, True)
    assert not owed


def test_what_is_lost_holds_the_floor_until_it_is_heard():
    delivery = machine(3)
    delivery.pass_over(10)
    delivery.lost.add(4, 10)
    delivery.hand(11, 12, 1, 0.0)
    assert delivery.ack(11)
    assert (delivery.floor, delivery.is_idle) == (3, False)
    delivery.lost.hear(4, 10)
    assert delivery.floor == 11


def test_a_redriven_number_that_is_lost_does_not_move_the_floor_back():
    delivery = machine()
    delivery.hand(1, 9, 1, 0.0)
    delivery.ack_through(9, 1)
    assert delivery.redrive(2, 0.0)
    delivery.ack(2)
    delivery.lost.add(2, 2)
    assert delivery.floor == 9


def test_it_is_stored_and_restored_with_what_is_open():
    delivery = machine()
    delivery.pass_over(5)
    delivery.lost.add(1, 5)
    delivery.hand(6, 9, 1, 0.0)
    at = Moment(0.0, 0)
    stored = msgspec.msgpack.encode(delivery.snapshot(at)[0])
    again = machine()
    snapshot = msgspec.msgpack.decode(stored, type=Snapshot)
    again.restore(delivery.floor, delivery.cursor, (snapshot, {}), at)
    assert again.lost.joined() == [(1, 5)]
    assert (again.floor, again.cursor) == (0, 9)


def test_a_redriven_number_that_is_stored_as_lost_together_with_what_is_above_the_floor_does_not_move_it():
    """The floor would say that 3 was heard of: who is told of the topic when it is deleted would not be of
    that."""
    delivery = machine()
    delivery.hand(1, 2, 1, 0.0)
    delivery.ack_through(2, 1)
    assert delivery.redrive(2, 0.0)
    delivery.ack(2)
    delivery.lost.add(2, 2)
    delivery.pass_over(3)
    delivery.lost.add(3, 3)
    at = Moment(0.0, 0)
    again = machine()
    again.restore(delivery.floor, delivery.cursor, delivery.snapshot(at), at)
    assert again.lost.joined() == [(2, 3)]
    assert (delivery.floor, again.floor) == (2, 2)


def test_who_begins_anew_need_not_hear_of_it():
    delivery = machine()
    delivery.pass_over(5)
    delivery.lost.add(1, 5)
    delivery.seek(2)
    assert not delivery.lost
    assert delivery.floor == 2


_ranges = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 5)), max_size=12)


@given(_ranges)
def test_joined_ranges_have_the_same_numbers_and_do_not_touch(pairs):
    ranges = [(first, first + more) for first, more in pairs]
    joined = lost(*ranges).joined()
    assert _numbers(joined) == _numbers(ranges)
    assert all(one[1] + 1 < other[0] for one, other in pairwise(joined))


def _numbers(ranges: list[tuple[int, int]]) -> set[int]:
    return {seq for first, last in ranges for seq in range(first, last + 1)}
