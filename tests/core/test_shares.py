import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from conduit.core.shares import STALE_MIN_COUNT, Kept, Shares, cap_of


def kept(owner: int, key: str, at: float = 0.0) -> Kept[str]:
    return Kept(owner, key, at, f"{owner} {key}")


def test_up_to_the_bound_everything_stays():
    shares = Shares(3)
    assert [shares.put(kept(owner, "k")) for owner in (1, 2, 3)] == [None] * 3
    assert len(shares) == 3
    assert shares.get(2, "k").value == "2 k"
    assert shares.get(2, "other") is None
    assert shares.get(4, "k") is None


def test_beyond_it_whoever_has_the_most_loses_its_oldest():
    shares = Shares(4)
    for owner, key in [(1, "a"), (2, "a"), (2, "b"), (2, "c")]:
        shares.put(kept(owner, key))
    assert shares.put(kept(1, "b")).value == "2 a"
    assert shares.put(kept(3, "a")).owner in (1, 2)
    assert len(shares) == 4


def test_of_the_group_that_has_the_most_the_owner_that_has_the_most_loses_its_oldest():
    # Owners 10 to 19 are of one group, all others of another.
    shares = Shares(6, lambda owner: owner // 10)
    for owner in (11, 12, 13, 14):
        shares.put(kept(owner, "a"))
    shares.put(kept(1, "a"))
    shares.put(kept(1, "b"))
    # Each owner of the first group has less than the one of the second, and all of them more.
    assert shares.put(kept(1, "c")).owner in (11, 12, 13, 14)
    assert shares.put(kept(12, "b")).owner == 12
    assert shares.put(kept(1, "d")).owner == 1


def test_groups_that_are_pushed_out_leave_nothing_behind():
    shares = Shares(10, lambda owner: owner // 3)
    for owner in range(5_000):
        shares.put(kept(owner, "k", owner))
    assert len(shares._ranks._owners) <= 10
    assert shares.pop_until(5_000) == 10
    assert shares._ranks._owners == {}


def test_what_is_put_under_a_key_that_is_there_takes_its_place():
    shares = Shares(2)
    for at in range(5):
        assert shares.put(kept(1, "a", at)) is None
    shares.put(kept(1, "b", 5))
    assert [each.at for each in shares] == [4, 5]
    assert shares.put(kept(1, "c", 6)).key == "a"


def test_old_entries_go_in_slices():
    shares = Shares(100)
    for at in range(6):
        shares.put(kept(at % 2, f"k{at}", at))
    assert shares.pop_until(3, 3) == 3
    assert shares.pop_until(3, 3) == 1
    assert shares.pop_until(3, 3) == 0
    assert sorted(each.at for each in shares) == [4, 5]
    assert shares.pop_until(9) == 2
    assert len(shares) == 0


def test_owners_that_come_and_go_leave_nothing_behind():
    shares = Shares(10)
    shares.put(kept(0, "stays"))
    for owner in range(100, 5_000):
        for key in "abc":
            shares.put(kept(owner, key, owner))
        shares.drop(owner)
    assert (len(shares), set(shares._owners)) == (1, {0})
    assert len(shares._oldest) <= 2 + STALE_MIN_COUNT


def test_owners_that_are_pushed_out_leave_nothing_behind():
    shares = Shares(10)
    for owner in range(5_000):
        shares.put(kept(owner, "k", owner))
    assert (len(shares), len(shares._owners)) == (10, 10)
    assert len(shares._oldest) <= 20 + STALE_MIN_COUNT
    assert shares.pop_until(5_000) == 10


@pytest.mark.parametrize(
    ("sizes", "max_count", "cap"),
    [
        ([], 10, 10),
        ([5], 10, 10),
        ([50], 10, 10),
        ([1, 50], 10, 9),
        ([5, 5], 4, 2),
        ([1] * 9, 3, 0),
    ],
)
def test_the_cap_is_what_each_may_have(sizes, max_count, cap):
    assert cap_of(sizes, max_count) == cap


@given(st.lists(st.integers(1, 20), max_size=8), st.integers(0, 60))
def test_the_cap_is_the_most_for_which_all_have_no_more_than_the_bound(sizes, max_count):
    cap = cap_of(sizes, max_count)
    assert sum(min(size, cap) for size in sizes) <= max_count
    if sum(sizes) > max_count:
        assert sum(min(size, cap + 1) for size in sizes) > max_count


class AgainstLists(RuleBasedStateMachine):
    """Beside a list for each owner; 1 and 2 are a group, and so are 3 and 4."""

    MAX_COUNT = 6

    def __init__(self):
        super().__init__()
        self.shares = Shares(self.MAX_COUNT, lambda owner: (owner - 1) // 2)
        self.lists: dict[int, list[Kept]] = {}
        self.at = 0.0

    @rule(owner=st.integers(1, 4), key=st.sampled_from("abcdef"))
    def put(self, owner, key):
        self.at += 1
        new = kept(owner, key, self.at)
        mine = self.lists.setdefault(owner, [])
        mine[:] = [*(each for each in mine if each.key != key), new]
        gone = self.shares.put(new)
        if sum(map(len, self.lists.values())) > self.MAX_COUNT:
            theirs = self.lists[gone.owner]
            groups = [[1, 2], [3, 4]]
            sizes = {own: len(self.lists.get(own, [])) for own in (1, 2, 3, 4)}
            largest = max(groups, key=lambda group: sum(sizes[own] for own in group))
            group = next(group for group in groups if gone.owner in group)
            assert sum(sizes[own] for own in group) == sum(sizes[own] for own in largest)
            assert len(theirs) == max(sizes[own] for own in group)
            assert theirs.pop(0) is gone
        else:
            assert gone is None

    @rule(age=st.integers(0, 8), limit=st.none() | st.integers(1, 3))
    def pop(self, age, limit):
        old = [each for mine in self.lists.values() for each in mine if each.at <= self.at - age]
        count = self.shares.pop_until(self.at - age, limit)
        assert count == min(len(old), len(old) if limit is None else limit)
        for owner, mine in self.lists.items():
            left = [each for each in self.shares if each.owner == owner]
            assert left == mine[len(mine) - len(left) :]
            mine[:] = left

    @rule(owner=st.integers(1, 4))
    def drop(self, owner):
        self.shares.drop(owner)
        self.lists.pop(owner, None)

    @invariant()
    def they_have_the_same(self):
        assert len(self.shares) == sum(map(len, self.lists.values()))
        for owner, mine in self.lists.items():
            assert [each for each in self.shares if each.owner == owner] == mine
            assert all(self.shares.get(owner, each.key) is each for each in mine)


TestAgainstLists = AgainstLists.TestCase
TestAgainstLists.settings = settings(max_examples=60, stateful_step_count=40)
