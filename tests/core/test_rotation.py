from hypothesis import given
from hypothesis import strategies as st

from conduit.core.rotation import Rotation


def made(*items: str) -> Rotation[str]:
    """Each belongs to whom its letter says."""
    rotation: Rotation[str] = Rotation()
    for item in items:
        rotation.put(item[0], item)
    return rotation


def taken(rotation: Rotation[str]) -> list[str]:
    return [rotation.take()[1] for _ in range(rotation.count)]


def test_one_of_each_comes_in_turn():
    assert taken(made("a1", "a2", "a3", "b1", "c1", "b2")) == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_who_comes_later_is_behind_those_who_wait():
    rotation = made("a1", "a2", "b1")
    assert rotation.take() == ("a", "a1")
    rotation.put("c", "c1")
    rotation.put("a", "a3")
    assert taken(rotation) == ["b1", "a2", "c1", "a3"]
    assert not rotation


def test_what_is_there_keeps_its_place_and_what_is_discarded_is_not():
    rotation = made("a1", "a2", "b1", "a1")
    assert rotation.count == 3
    rotation.discard("a", "a1")
    rotation.discard("a", "a1")
    rotation.discard("c", "c1")
    rotation.discard("b", "b1")
    assert taken(rotation) == ["a2"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5)), max_size=40))
def test_between_two_of_one_there_is_one_of_each_other_that_waits(pairs):
    rotation = made(*(f"{owner}{number}" for owner, number in pairs))
    waiting = {owner: len({each for each in pairs if each[0] == owner}) for owner in "abc"}
    last: dict[str, list[str]] = {}
    while rotation:
        owner = rotation.take()[1][0]
        # Since its turn before, each other one that had something had a turn.
        if owner in last:
            assert all(other in last[owner] for other in "abc" if other != owner and waiting[other])
        waiting[owner] -= 1
        for seen in last.values():
            seen.append(owner)
        last[owner] = []
    assert not any(waiting.values())
