from hypothesis import given
from hypothesis import strategies as st

from conduit.core.seats import Seats


def filled(seats: Seats, owner: str) -> int:
    """How many it gets."""
    count = 0
    while seats.is_free_for(owner):
        seats.take(owner)
        count += 1
    return count


def test_who_is_alone_has_all_of_them():
    seats = Seats(8)
    assert filled(seats, "a") == 8
    seats.leave("a")
    assert filled(seats, "a") == 1


def test_who_comes_when_all_are_taken_gets_an_equal_share_and_no_more():
    seats = Seats(8)
    assert filled(seats, "a") == 8
    assert filled(seats, "b") == 4
    assert filled(seats, "c") == 2
    assert filled(seats, "d") == 2
    # There are twice as many as there should be.
    assert filled(seats, "e") == 0
    for _ in range(9):
        seats.leave("b" if seats.count > 12 else "a")
    assert filled(seats, "b") >= 1


def test_who_leaves_is_forgotten():
    seats = Seats(2)
    with seats.taken("a"), seats.taken("a"), seats.taken("b"):
        assert seats.count == 3
    assert (seats.count, seats._owners) == (0, {})


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), max_size=60))
def test_whoever_has_none_gets_one_until_there_are_twice_as_many(steps):
    seats, have = Seats(6), dict.fromkeys("abcd", 0)
    for owner, comes in steps:
        if comes and seats.is_free_for(owner):
            seats.take(owner)
            have[owner] += 1
        elif not comes and have[owner]:
            seats.leave(owner)
            have[owner] -= 1
        assert seats.count == sum(have.values()) <= 12
        if seats.count < 12:
            assert all(seats.is_free_for(each) for each in "abcd" if not have[each])
