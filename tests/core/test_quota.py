from hypothesis import given
from hypothesis import strategies as st

from conduit.core.quota import AGE_MAX_S, CLEARED_TO, Kind, Quota

REQUEST, ANSWER, MESSAGE = Kind.REQUEST, Kind.ANSWER, Kind.MESSAGE


def quota(max_bytes=1_000, each_max_bytes=1_000) -> Quota[str]:
    return Quota(max_bytes, each_max_bytes)


def test_what_each_has_is_a_level_and_not_a_change():
    some = quota()
    for size in (100, 300, 200):
        some.keep("a", REQUEST, size, 0.0)
    some.keep("a", ANSWER, 50, 0.0)
    some.keep("b", ANSWER, 5, 0.0)
    assert some.total_bytes == 255
    assert (some.bytes_by_kind[REQUEST], some.bytes_by_kind[ANSWER]) == (200, 55)


def test_who_has_let_go_counts_no_more_and_may_let_go_again():
    some = quota()
    some.keep("a", REQUEST, 100, 0.0)
    some.keep("a", ANSWER, 100, 0.0)
    some.let_go("a")
    some.let_go("a")
    assert some.total_bytes == 0
    assert not any(some.bytes_by_kind.values())


def test_nobody_gives_way_while_there_is_room():
    some = quota()
    assert not some.keep("a", REQUEST, 1_000, 0.0)


def test_who_takes_less_than_before_makes_nobody_give_way():
    some = quota()
    some.keep("a", REQUEST, 900, 0.0)
    assert some.keep("b", REQUEST, 900, 0.0)
    assert not some.keep("b", REQUEST, 800, 0.0)


def test_who_has_kept_most_for_longest_gives_way_first():
    some = quota()
    some.keep("large and new", REQUEST, 450, 9.0)
    some.keep("large and old", REQUEST, 400, 0.0)
    some.keep("small and old", REQUEST, 10, 0.0)
    assert some.keep("newcomer", REQUEST, 300, 9.5)
    assert some.to_give_way(10.0) == [("large and old", REQUEST)]


def test_so_many_give_way_that_the_next_ones_find_room():
    some = quota()
    for number in range(11):
        some.keep(str(number), REQUEST, 100, float(number))
    assert [who for who, _ in some.to_give_way(11.0)] == ["0", "1", "2"]
    assert some.total_bytes <= 1_000 * CLEARED_TO


def test_a_new_request_of_an_old_connection_is_new():
    some = quota()
    some.keep("old", REQUEST, 500, 0.0)
    some.keep("old", REQUEST, 0, 1.0)
    some.keep("other", REQUEST, 400, 50.0)
    some.keep("old", REQUEST, 700, 59.0)
    assert some.to_give_way(60.0) == [("other", REQUEST)]


def test_a_little_that_is_kept_for_a_day_does_not_outweigh_an_attack():
    some = quota()
    some.keep("for a day", MESSAGE, 20, 0.0)
    some.keep("attack", REQUEST, 990, 86_000.0)
    assert some.to_give_way(86_000.0 + AGE_MAX_S) == [("attack", REQUEST)]


def test_who_has_more_than_one_may_gives_way_although_there_is_room():
    some = quota(max_bytes=10_000, each_max_bytes=1_000)
    some.keep("b", REQUEST, 900, 0.0)
    some.keep("a", REQUEST, 600, 9.0)
    assert some.keep("a", ANSWER, 600, 9.0)
    assert [who for who, _ in some.to_give_way(9.0)] == ["a"]
    assert some.total_bytes == 900


def test_who_gives_way_is_told_of_what_it_keeps_most():
    some = quota()
    some.keep("a", REQUEST, 400, 0.0)
    some.keep("a", ANSWER, 700, 0.0)
    assert some.to_give_way(0.0) == [("a", ANSWER)]


STEP = st.tuples(st.sampled_from("abcd"), st.sampled_from(Kind), st.integers(0, 600), st.booleans())


@given(st.lists(STEP, max_size=60))
def test_the_sums_are_those_of_all_and_never_stay_above_the_bound(steps):
    some, known = quota(max_bytes=1_000, each_max_bytes=800), {}
    for now, (who, kind, size, leaves) in enumerate(steps):
        if leaves:
            some.let_go(who)
            known = {key: value for key, value in known.items() if key[0] != who}
            continue
        known[who, kind] = size
        if some.keep(who, kind, size, float(now)):
            gone = {leaving for leaving, _ in some.to_give_way(float(now))}
            known = {key: value for key, value in known.items() if key[0] not in gone}
        assert some.total_bytes == sum(known.values()) == sum(some.bytes_by_kind.values())
        assert some.total_bytes <= 1_000
        assert all(sum(v for k, v in known.items() if k[0] == one) <= 800 for one in "abcd")
