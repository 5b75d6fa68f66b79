"""When a subscriber is known to have heard what it was told."""

from hypothesis import given
from hypothesis import strategies as st

from conduit.core.hearing import Hearing


def test_who_had_nothing_out_has_heard_it_with_the_first_delivery_that_it_settles():
    hearing: Hearing[str] = Hearing()
    assert not hearing.told
    hearing.tell(["a", "b"], 0)
    assert hearing.told
    assert hearing.settle(1) == ["a", "b"]
    assert not hearing.told


def test_what_was_out_before_proves_nothing():
    hearing: Hearing[str] = Hearing()
    hearing.tell(["a"], 3)
    assert [hearing.settle(1) for _ in range(4)] == [[], [], [], ["a"]]


def test_what_was_told_later_and_is_proved_proves_what_was_told_before():
    hearing: Hearing[str] = Hearing()
    hearing.tell(["a"], 5)
    # Four of the five have left it in other ways since.
    hearing.tell(["b"], 1)
    assert hearing.settle(1) == []
    assert hearing.settle(1) == ["a", "b"]


def test_nothing_told_is_nothing_to_be_heard():
    hearing: Hearing[str] = Hearing()
    hearing.tell([], 0)
    assert not hearing.told
    assert hearing.settle(9) == []


_steps = st.lists(
    st.sampled_from(["tell", "hand", "settle old", "settle new", "fail"]), max_size=60
)


@given(_steps)
def test_nothing_is_taken_for_heard_before_a_delivery_that_followed_it_was_settled(steps):
    hearing: Hearing[int] = Hearing()
    out: list[int] = []
    handed = proved = 0
    for number, step in enumerate(steps, 1):
        heard: list[int] = []
        if step == "tell":
            hearing.tell([number], len(out))
        elif step == "hand":
            out.append(number)
            handed += 1
        elif out:
            taken = out.pop(0 if step == "settle old" else -1)
            if step != "fail":
                proved = max(proved, taken)
                heard = hearing.settle(1)
        assert all(told < proved for told in heard)


@given(_steps)
def test_what_was_told_is_heard_once_and_in_its_order(steps):
    hearing: Hearing[int] = Hearing()
    told: list[int] = []
    heard: list[int] = []
    for number, step in enumerate(steps):
        if step == "tell":
            told.append(number)
            hearing.tell([number], number % 4)
        else:
            heard += hearing.settle(1)
    assert heard + hearing.settle(len(steps) + 4) == told
