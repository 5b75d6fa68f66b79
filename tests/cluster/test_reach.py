from hypothesis import given
from hypothesis import strategies as st

from conduit.cluster.reach import OUT_OF_REACH_S, Reach


def test_who_has_had_no_link_for_so_long_is_out_of_reach_until_there_is_one():
    reach = Reach()
    reach.know("ab", "a", 0.0)
    assert (reach.out(OUT_OF_REACH_S - 1), reach.next_in_s(1.0)) == (set(), OUT_OF_REACH_S - 1)
    reach.know("ab", "a", OUT_OF_REACH_S)
    assert (reach.out(OUT_OF_REACH_S), reach.next_in_s(OUT_OF_REACH_S)) == ({"b"}, None)
    reach.know("ab", "ab", OUT_OF_REACH_S + 1)
    assert reach.out(OUT_OF_REACH_S + 1) == set()


def test_who_has_gone_meanwhile_begins_anew():
    reach = Reach()
    reach.know("b", "", 0.0)
    reach.know("", "", 1.0)
    reach.know("b", "", 2.0)
    assert reach.out(OUT_OF_REACH_S + 1) == set()
    assert reach.out(OUT_OF_REACH_S + 2) == {"b"}


STEPS = st.tuples(st.sets(st.integers(0, 3)), st.sets(st.integers(0, 3)), st.floats(0, 4))


@given(st.lists(STEPS, max_size=40))
def test_each_is_out_of_reach_exactly_if_it_lived_without_a_link_for_so_long(steps):
    reach, now, since = Reach(), 0.0, dict[int, float]()
    for others, linked, passed_s in steps:
        now += passed_s
        since = {each: since.get(each, now) for each in others - linked}
        reach.know(others, linked, now)
        expected = {each for each, at in since.items() if now >= at + OUT_OF_REACH_S}
        assert reach.out(now) == expected
        if (next_in_s := reach.next_in_s(now)) is not None:
            assert reach.out(now + next_in_s + 1e-6) > expected
