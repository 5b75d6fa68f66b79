from hypothesis import given
from hypothesis import strategies as st

from conduit.core.own_interest import OwnInterest

A = ("acme", "", "a")
B = ("acme", "billing", "b")
C = ("acme", "", "c")


def test_changes_are_told_together_each_once_as_it_is_now():
    own = OwnInterest()
    assert own.put(A, 1)
    assert not own.put(A, 2)
    assert not own.put(B, 1)
    said = own.take(10)
    assert (said.version, said.changes, said.count_before) == (2, [(A, 2), (B, 1)], 0)
    assert own.take(10) is None
    own.put(A, 0)
    assert own.take(10) == (3, [(A, 0)], 2)
    assert own.state() == [(B, 1)]


def test_what_is_again_as_it_was_is_not_told():
    own = OwnInterest()
    own.put(A, 1)
    own.take(10)
    own.put(A, 2)
    own.put(A, 1)
    own.put(B, 0)
    assert own.untold_count == 2
    assert own.take(10) is None
    assert own.version == 2


def test_of_many_changes_a_part_is_told_at_a_time():
    own = OwnInterest()
    for number in range(25):
        own.put(("acme", "", f"t{number}"), 1)
    assert [len(own.take(10).changes) for _ in range(3)] == [10, 10, 5]
    assert (own.version, len(own), own.untold_count) == (4, 25, 0)


def test_above_the_bound_everything_is_wanted_until_there_is_room_again():
    own = OwnInterest(max_count=10)
    for number in range(11):
        own.put(("acme", "", f"t{number}"), 1)
    said = own.take(100)
    assert said == (2, None, 0)
    assert (own.has_all, len(own), own.state()) == (True, 0, [])
    own.put(("acme", "", "t0"), 0)
    own.put(("acme", "", "t1"), 0)
    # At the bound it would change to and fro.
    assert own.take(100) is None
    own.put(("acme", "", "t2"), 0)
    assert own.take(100) == (3, None, 0)
    assert not own.has_all
    assert len(own.state()) == len(own) == 8


@given(
    st.lists(st.tuples(st.sampled_from([A, B, C]), st.integers(0, 2)), max_size=40),
    st.integers(1, 3),
)
def test_who_takes_every_step_has_what_is_wanted(puts, step):
    own = OwnInterest()
    truth, followed = {}, {}
    for entry, count in puts:
        own.put(entry, count)
        truth[entry] = count
        said = own.take(step)
        followed |= dict(said.changes) if said else {}
    while own.untold_count:
        said = own.take(step)
        followed |= dict(said.changes) if said else {}
    wanted = {entry: count for entry, count in truth.items() if count}
    assert {entry: count for entry, count in followed.items() if count} == wanted
    assert dict(own.state()) == wanted
