import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.core.quota import AGE_MAX_S, CLEARED_TO, STILL_TAKING_S, Kind, Quota

REQUEST, ANSWER, MESSAGE, QUEUE = Kind.REQUEST, Kind.ANSWER, Kind.MESSAGE, Kind.QUEUE


def quota(max_bytes=1_000, each_max_bytes=1_000) -> Quota[str]:
    """Who is called `name@address` has that address; the least rate is 10 bytes a second."""
    return Quota(max_bytes, each_max_bytes, 10.0, lambda who: who.partition("@")[2])


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


def gone(some, now):
    return [who for who, _ in some.to_give_way(now)]


@pytest.mark.parametrize("kind", [REQUEST, MESSAGE])
def test_a_large_body_that_comes_steadily_stays_where_many_small_ones_stand_still(kind):
    some = quota(max_bytes=1_000, each_max_bytes=10_000)
    for number in range(30):
        some.keep(f"small {number}", kind, 20, 0.0)
    for second in range(1, 11):
        is_full = some.keep("large", kind, 41 * second, float(second))
    assert is_full
    left = gone(some, 10.0)
    assert "large" not in left
    assert len(left) == 7


@pytest.mark.parametrize("kind", [ANSWER, QUEUE])
def test_who_takes_what_he_was_sent_stays_where_others_take_nothing(kind):
    some = quota(each_max_bytes=10_000)
    some.keep("reads", kind, 800, 0.0)
    some.keep("reads not", kind, 200, 0.0)
    for second in range(1, 11):
        some.keep("reads", kind, 800 - 10 * second, float(second))
    some.keep("reads not", kind, 301, 3.0)
    assert gone(some, 10.0) == ["reads not"]


def test_progress_below_the_least_rate_is_none_and_a_burst_is_none_for_later():
    some = quota(each_max_bytes=10_000)
    some.keep("trickles", REQUEST, 300, 0.0)
    some.keep("burst", REQUEST, 1, 0.0)
    some.keep("burst", REQUEST, 300, 1.0)
    some.keep("steady", REQUEST, 300, 0.0)
    for second in range(1, 11):
        some.keep("trickles", REQUEST, 300 + second, float(second))
        some.keep("steady", REQUEST, 300 + 10 * second, float(second))
    assert gone(some, 10.0) == ["trickles"]
    some.keep("other", REQUEST, 400, 10.0)
    assert gone(some, 10.0) == ["burst"]


def test_progress_that_the_size_does_not_show_counts_when_it_is_told():
    some = quota(each_max_bytes=10_000)
    some.keep("reads and is sent more", QUEUE, 800, 0.0)
    some.keep("stands still", QUEUE, 300, 0.0)
    some.moved("reads and is sent more", QUEUE, 9.0)
    some.moved("reads and is sent more", REQUEST, 9.0)
    some.moved("unknown", QUEUE, 9.0)
    assert gone(some, 10.0) == ["stands still"]


def test_of_those_who_stand_still_the_address_that_keeps_most_goes_first():
    some = quota(each_max_bytes=10_000)
    for number in range(9):
        some.keep(f"{number}@many", REQUEST, 80, float(number) / 10)
    some.keep("1@one", REQUEST, 300, 0.0)
    assert gone(some, 10.0) == ["0@many", "1@many"]


@given(st.lists(st.tuples(st.integers(1, 300), st.sampled_from("abc")), min_size=8, max_size=30))
def test_an_address_that_keeps_less_than_another_one_leaves_nothing_behind_it(sizes):
    some = quota(each_max_bytes=10_000)
    kept = {}
    for number, (size, address) in enumerate(sizes):
        some.keep(f"{number}@{address}", REQUEST, size, 0.0)
        kept[f"{number}@{address}"] = size
    for who in gone(some, STILL_TAKING_S + 1):
        totals = {a: sum(v for k, v in kept.items() if k.endswith(a)) for a in "abc"}
        assert totals[who[-1]] == max(totals.values())
        del kept[who]


def test_who_goes_on_gives_way_when_nobody_stands_still_or_that_is_not_enough():
    some = quota(each_max_bytes=10_000)
    some.keep("still", REQUEST, 100, 0.0)
    some.keep("large", REQUEST, 800, 9.0)
    some.keep("small", REQUEST, 200, 9.0)
    assert gone(some, 10.0) == ["still", "large"]


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
