import pytest

from conduit.core.retries import NOBODY, SUSPECT_LOSSES, Retries, Retry

ALICE = 1
ALL = range(SUSPECT_LOSSES + 1)


def due(retries, now, ranks=ALL):
    """Take all that are due, in order."""
    taken = []
    while (seq := retries.first_due(now, ranks)) is not None:
        retries.take(seq)
        taken.append(seq)
    return taken


def expired(retries, now):
    return [seq for seq, _ in retries.take_expired(now)]


def entries(retries):
    return sum(map(len, (retries._waits, retries._deadlines, *retries._over)))


def test_each_is_due_at_its_time_in_the_order_of_time():
    retries = Retries()
    for seq, at in ((1, 3.0), (2, 1.0), (3, 2.0)):
        retries.put_back(seq, Retry(attempt=1), at)

    assert retries.next_at(0.0) == 1.0
    assert due(retries, 0.9) == []
    assert due(retries, 2.0) == [2, 3]
    assert due(retries, 3.0) == [1]


def test_asking_what_is_due_takes_nothing():
    retries = Retries()
    retries.put_back(1, Retry(attempt=1), 1.0)

    assert [retries.first_due(1.0, ALL), retries.first_due(1.0, ALL)] == [1, 1]
    assert 1 in retries.by_seq


def test_a_lower_rank_is_due_first_however_long_the_others_wait():
    retries = Retries()
    for seq, losses in ((1, 3), (2, 2), (3, 1), (4, 0)):
        retries.put_back(seq, Retry(attempt=1, losses=losses), float(seq))

    assert due(retries, 9.0, range(0)) == []
    assert due(retries, 9.0, range(2)) == [4, 3]
    assert due(retries, 9.0, range(2, 3)) == [1, 2]


def test_one_that_has_come_into_another_rank_is_found_in_that_one_only():
    retries = Retries()
    retries.put_back(1, Retry(attempt=1), 1.0)
    retry = retries.take(1)
    retry.losses = 1
    retries.put_back(1, retry, 1.0)

    assert retries.first_due(1.0, range(1)) is None
    assert retries.first_due(1.0, range(1, 2)) == 1


def test_one_that_is_out_is_never_due_and_one_that_waits_never_expires():
    retries = Retries()
    retries.put_out(1, Retry(attempt=1), ALICE, 1.0)
    retries.put_back(2, Retry(attempt=1), 1.0)

    assert due(retries, 9.0) == [2]
    assert expired(retries, 9.0) == [1]


def test_one_that_goes_out_until_the_time_it_would_have_been_due_is_not_due():
    retries = Retries()
    retries.put_back(1, Retry(attempt=1), 1.0)
    retries.put_out(1, retries.take(1), ALICE, 1.0)

    assert due(retries, 1.0) == []
    assert expired(retries, 1.0) == [1]


@pytest.mark.parametrize("gone", [True, False])
def test_a_time_that_no_longer_holds_is_skipped(gone):
    retries = Retries()
    retries.put_back(1, Retry(attempt=1), 1.0)
    retry = retries.take(1)
    if not gone:
        retries.put_back(1, retry, 5.0)

    assert due(retries, 4.9) == []
    assert due(retries, 5.0) == ([] if gone else [1])


def test_putting_back_at_the_same_time_again_hands_out_once():
    retries = Retries()
    retries.put_back(1, Retry(attempt=1), 1.0)
    retries.put_back(1, retries.take(1), 1.0)
    handed = []
    while (seq := retries.first_due(1.0, ALL)) is not None:
        retries.put_out(seq, retries.take(seq), ALICE, 9.0)
        handed.append(seq)

    assert handed == [1]


def test_who_had_it_last_is_known_while_nobody_has_it():
    retries = Retries()
    retries.put_out(1, Retry(attempt=1), ALICE, 1.0)
    for _ in range(2):
        retries.put_back(1, retries.take(1), 2.0)
        assert (retries.by_seq[1].holder, retries.by_seq[1].last_holder) == (NOBODY, ALICE)


def test_those_that_are_out_and_the_suspects_among_them_are_counted():
    retries = Retries()
    retries.put_out(1, Retry(attempt=1), ALICE, 1.0)
    retries.put_out(2, Retry(attempt=1, losses=SUSPECT_LOSSES), ALICE, 2.0)
    retries.put_back(3, Retry(attempt=1, losses=SUSPECT_LOSSES), 1.0)
    assert (retries.out_count, retries.suspects_out_count) == (2, 1)

    assert retries.take(4) is None
    retries.take(3)
    retries.take(1)
    assert (retries.out_count, retries.suspects_out_count) == (1, 1)
    assert expired(retries, 2.0) == [2]
    assert (retries.out_count, retries.suspects_out_count) == (0, 0)


def test_a_wait_that_is_over_is_no_next_time_but_a_deadline_that_has_passed_is():
    retries = Retries()
    retries.put_back(1, Retry(attempt=1), 1.0)
    assert retries.next_at(1.0) is None

    retries.put_out(2, Retry(attempt=1), ALICE, 0.5)
    assert retries.next_at(1.0) == 0.5


@pytest.mark.parametrize("losses", [0, 1, SUSPECT_LOSSES])
@pytest.mark.parametrize("stale", [True, False])
def test_a_wait_that_is_over_hides_no_later_one(losses, stale):
    retries = Retries()
    retries.put_back(1, Retry(attempt=1, losses=losses), 1.0)
    retries.put_back(2, Retry(attempt=1, losses=losses), 5.0)
    if stale:
        retries.take(1)

    assert retries.next_at(2.0) == 5.0
    assert due(retries, 2.0) == ([] if stale else [1])


def test_times_that_no_longer_hold_take_bounded_room_and_lose_none_that_do():
    retries = Retries()
    for seq in range(10):
        retries.put_back(seq, Retry(attempt=1, losses=seq % 3), float(10 - seq))
    out, back = Retry(attempt=1), Retry(attempt=1)
    for at in range(100, 10_000):
        retries.take(10)
        retries.put_out(10, out, ALICE, float(at))
        retries.take(11)
        retries.put_back(11, back, float(at))
        retries.take(10)
        retries.put_out(10, out, ALICE, float(at) + 0.5)

    assert entries(retries) < 200
    assert retries.out_count == 1
    assert due(retries, 10.0) == [9, 6, 3, 0, 7, 4, 1, 8, 5, 2]
    assert expired(retries, 10_000.0) == [10]
    assert retries.by_seq[11].holder == NOBODY


@pytest.mark.parametrize("now", [0.0, 1.0])
def test_what_is_settled_takes_no_room_until_its_time_would_have_come(now):
    retries = Retries()
    for seq in range(10_000):
        retries.put_out(seq, Retry(attempt=1), ALICE, 3600.0)
        retries.put_back(10_000 + seq, Retry(attempt=1, losses=seq % 3), 1.0)
    retries.first_due(now, ALL)
    for seq in range(1, 20_000):
        retries.take(seq)

    assert entries(retries) < 400
    assert expired(retries, 3600.0) == [0]


class Opaque(dict):
    """Looked up in, never looked through."""

    def __iter__(self):
        raise AssertionError("all that is open was looked at")

    items = keys = values = __iter__


def opaque(seqs):
    retries = Retries()
    for seq in seqs:
        retries.put_out(seq, Retry(attempt=1), ALICE, 5.0)
        retries.put_back(seq, retries.take(seq), 10.0)
    retries.by_seq = Opaque(retries.by_seq)
    return retries


def test_the_lowest_numbers_are_found_without_looking_at_all_of_them():
    retries = opaque(range(1, 1_001))
    for seq in range(1, 50):
        assert (retries.lowest(), retries.lowest_above(0)) == (seq, seq)
        retries.take(seq)


def test_a_number_below_the_floor_is_the_lowest_and_holds_no_floor_back():
    retries = opaque([2, 3, 7, 9])
    assert (retries.lowest(), retries.lowest_above(3)) == (2, 7)
    retries.take(7)
    assert (retries.lowest(), retries.lowest_above(3)) == (2, 9)
    retries.take(2)
    assert (retries.lowest(), retries.lowest_above(3)) == (3, 9)
    retries.take(9)
    assert retries.lowest_above(3) is None


def test_a_cumulative_ack_looks_at_what_it_settles_and_at_no_more():
    retries = opaque(range(1, 1_001))
    assert retries.take_through(0, ALICE) == []
    assert len(retries.take_through(20, ALICE)) == 20
    assert retries.take_through(20, ALICE) == []
    assert retries.take_through(1_000, ALICE + 1) == []


def test_what_a_holder_has_is_taken_and_what_it_had_is_not_its_own_any_more():
    retries = Retries()
    for seq in (3, 1, 2):
        retries.put_out(seq, Retry(attempt=1), ALICE, 1.0)
    retries.put_back(2, retries.take(2), 1.0)

    assert [seq for seq, _ in retries.take_held(ALICE)] == [1, 3]
    assert retries.take_through(3, ALICE) == []
    assert (list(retries.by_seq), retries.waiting.count, retries.out_count) == ([2], 1, 0)


def test_what_was_swept_is_found_by_its_number_and_by_its_holder_as_before():
    retries = Retries()
    for seq in range(1, 500):
        retries.put_out(seq, Retry(attempt=1), ALICE, 1.0)
        retries.put_back(seq, retries.take(seq), 1.0)
    for seq in range(1, 480):
        retries.take(seq)

    assert sum(map(len, retries._held.values())) + len(retries._numbers) < 300
    assert (retries.lowest(), retries.lowest_above(100)) == (480, 480)
    assert len(retries.take_through(490, ALICE)) == 11


def test_what_those_share_who_have_no_retries_stays_empty():
    idle, retries = Retries(), Retries()
    for seq in range(1, 300):
        retries.put_out(seq, Retry(attempt=1), ALICE, 1.0)
        retries.put_back(seq, retries.take(seq), 1.0)
        retries.first_due(2.0, range(2))
    retries.lowest_above(5)
    list(retries.take_held(ALICE))

    assert (idle.lowest(), idle.next_at(9.0), idle.first_due(9.0, range(2))) == (None, None, None)
    assert list(idle.take_expired(9.0)) == list(idle.take_held(ALICE)) == []
    assert idle.take_through(9, ALICE) == []
    idle.put_back(1, Retry(attempt=1), 1.0)
    assert (idle.lowest(), Retries().lowest()) == (1, None)
