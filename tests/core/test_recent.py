from hypothesis import given
from hypothesis import strategies as st

from conduit.core.recent import Recent


def test_what_comes_again_is_not_new_until_it_is_forgotten():
    recent = Recent(10)
    assert recent.add("a")
    assert not recent.add("a")
    recent.forget(["a", "b"])
    assert recent.add("a")


@given(st.lists(st.integers(0, 30), max_size=200), st.integers(1, 8))
def test_the_last_ones_are_known_and_no_more_than_twice_as_many(ids, count):
    recent = Recent(count)
    came: list[int] = []
    for id_ in ids:
        is_new = recent.add(str(id_))
        if id_ not in came:
            assert is_new
        elif id_ in _last(came, count):
            assert not is_new
        if is_new:
            came.append(id_)
        assert len(recent) <= 2 * count
        assert not recent.add(str(id_))


def _last(came, count):
    """The last that were taken as new: those have to be known."""
    return came[-count:]


def test_what_was_forgotten_is_forgotten_in_both_halves():
    recent = Recent(1)
    recent.add("a")
    recent.add("b")
    recent.forget(["a"])
    assert recent.add("a")
    assert not recent.add("b")
