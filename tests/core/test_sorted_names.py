import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.core.sorted_names import SEARCH_STEP_COUNT, SINGLE_MAX_COUNT, SortedNames


def made(names):
    found = SortedNames()
    for name in names:
        found.add(name)
    return found


@pytest.mark.parametrize("count", [1, SINGLE_MAX_COUNT, 3 * SINGLE_MAX_COUNT])
def test_pages_have_every_name_once_and_in_order(count):
    names = [f"n{number}" for number in range(count)]
    random.Random(count).shuffle(names)
    found, page, after = made(names), [], None
    while some := found.after(after, 7):
        page += some
        after = some[-1]
    assert page == sorted(names)


def test_a_page_begins_behind_a_name_that_is_gone():
    found = made(["a", "b", "c"])
    found.remove("b")
    assert found.after("b", 10) == ["c"]


def test_what_is_not_there_cannot_be_removed():
    with pytest.raises(ValueError, match="b"):
        made(["a", "c"]).remove("b")


def test_names_that_were_added_since_are_in_the_next_page():
    found = made(["a", "c"])
    assert found.after(None, 10) == ["a", "c"]
    found.add("b")
    assert (found.after("a", 10), len(found)) == (["b", "c"], 3)


def test_only_names_with_a_text_are_given():
    found = made(["ab", "ba", "cc", "xax"])
    assert list(found.containing("a", None)) == [["ab", "ba", "xax"]]
    assert list(found.containing("a", "ab")) == [["ba", "xax"]]


def test_a_search_is_steps_between_which_names_come_and_go():
    found = made([f"n{number:05}" for number in range(2 * SEARCH_STEP_COUNT + 1)])
    steps = found.containing("0", None)
    last = next(steps)[-1]
    found.remove(last)
    found.add(f"{last}0")
    found.add("a0")
    assert next(steps)[0] == f"{last}0"
    assert len(list(steps)) == 1


class Counted(str):
    """A name; counts how often names are looked at."""

    looks = 0

    def __lt__(self, other):
        Counted.looks += 1
        return str.__lt__(self, other)

    def __contains__(self, text):
        Counted.looks += 1
        return str.__contains__(self, text)


def looks(call) -> int:
    Counted.looks = 0
    call()
    return Counted.looks


def test_what_a_page_costs_does_not_follow_from_how_many_names_there_are():
    found = made([Counted(f"n{number:05}") for number in range(10_000)])
    found.after(None, 1)
    behind = Counted("n04999")
    assert looks(lambda: found.after(behind, 7)) <= 2 * 14
    assert looks(lambda: next(found.containing("n", behind))) <= 2 * 14 + SEARCH_STEP_COUNT
    assert looks(lambda: found.add(Counted("n04999b"))) == 0
    assert looks(lambda: found.after(behind, 7)) <= 4 * 14
    assert looks(lambda: found.remove(behind)) <= 2 * 14


@given(
    names=st.sets(st.text("ab.", min_size=1, max_size=4)),
    prefix=st.text("ab.", max_size=2),
    after=st.none() | st.text("ab.", max_size=3),
)
def test_a_page_of_a_prefix_is_what_begins_with_it(names, prefix, after):
    expected = sorted(
        name for name in names if name.startswith(prefix) and (after is None or name > after)
    )
    assert made(names).after(after, 1_000, prefix) == expected
    assert made(names).after(after, 2, prefix) == expected[:2]
