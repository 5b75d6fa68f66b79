import pytest

from conduit.core.retries import NOBODY, Retries, Retry
from tests.core.handing import take_due

ALICE = 1


def test_each_is_taken_at_its_time_in_the_order_of_time():
    retries = Retries()
    for seq, at in ((1, 3.0), (2, 1.0), (3, 2.0)):
        retries.put_back(seq, Retry(attempt=1), at)

    assert retries.next_at(0.0) == 1.0
    assert [seq for seq, _ in take_due(retries, 0.9)] == []
    assert [seq for seq, _ in take_due(retries, 2.0)] == [2, 3]
    assert [seq for seq, _ in take_due(retries, 3.0)] == [1]


def test_one_that_is_out_is_never_due_and_one_that_waits_never_expires():
    retries = Retries()
    retries.put_out(1, Retry(attempt=1), ALICE, 1.0)
    retries.put_back(2, Retry(attempt=1), 1.0)

    assert [seq for seq, _ in take_due(retries, 9.0)] == [2]
    assert [seq for seq, _ in retries.take_expired(9.0)] == [1]


def test_one_that_goes_out_until_the_time_it_would_have_been_due_is_not_due():
    retries = Retries()
    retries.put_back(1, Retry(attempt=1), 1.0)
    retries.put_out(1, retries.take(1), ALICE, 1.0)

    assert list(take_due(retries, 1.0)) == []
    assert [seq for seq, _ in retries.take_expired(1.0)] == [1]


@pytest.mark.parametrize("gone", [True, False])
def test_a_time_that_no_longer_holds_is_skipped(gone):
    retries = Retries()
    retries.put_back(1, Retry(attempt=1), 1.0)
    retry = retries.take(1)
    if not gone:
        retries.put_back(1, retry, 5.0)

    assert list(take_due(retries, 4.9)) == []
    assert [seq for seq, _ in take_due(retries, 5.0)] == ([] if gone else [1])


def test_putting_back_at_the_same_time_again_hands_out_once():
    retries = Retries()
    retries.put_back(1, Retry(attempt=1), 1.0)
    retries.put_back(1, retries.take(1), 1.0)
    handed = []
    for seq, retry in take_due(retries, 1.0):
        retries.put_out(seq, retry, ALICE, 9.0)
        handed.append(seq)

    assert handed == [1]


def test_times_that_no_longer_hold_take_bounded_room_and_lose_none_that_do():
    retries = Retries()
    for seq in range(10):
        retries.put_back(seq, Retry(attempt=1), float(10 - seq))
    for at in range(100, 10_000):
        retries.put_out(10, retries.take(10) or Retry(attempt=1), ALICE, float(at))
        retries.put_back(11, retries.take(11) or Retry(attempt=1), float(at))
        retries.put_out(10, retries.take(10), ALICE, float(at) + 0.5)

    assert sum(map(len, retries._waiting)) + len(retries._deadlines) < 200
    assert [seq for seq, _ in take_due(retries, 10.0)] == list(range(9, -1, -1))
    assert [seq for seq, _ in retries.take_expired(10_000.0)] == [10]
    assert retries.by_seq[11].holder == NOBODY


def test_those_that_were_lost_come_after_those_that_were_not():
    retries = Retries()
    for seq, losses in ((1, 3), (2, 1), (3, 0), (4, 2), (5, 0)):
        retries.put_back(seq, Retry(attempt=1, losses=losses), 1.0 + seq / 10)

    assert [seq for seq, _ in take_due(retries, 2.0)] == [3, 5, 2, 1, 4]


def test_one_that_is_lost_once_more_is_found_in_its_new_rank_only():
    retries = Retries()
    retries.put_back(1, Retry(attempt=1), 1.0)
    retry = retries.take(1)
    retry.losses = 2
    retries.put_back(1, retry, 1.0)

    assert retries.first_due(2.0, range(2)) is None
    assert retries.first_due(2.0, range(2, 3)) == 1


def test_it_is_counted_who_is_out():
    retries = Retries()
    retries.put_out(1, Retry(attempt=1), ALICE, 1.0)
    retries.put_out(2, Retry(attempt=1, losses=2), ALICE, 2.0)
    assert (retries.out_count, retries.suspects_out_count) == (2, 1)

    assert [seq for seq, _ in retries.take_expired(1.0)] == [1]
    assert (retries.out_count, retries.suspects_out_count) == (1, 1)
    retries.put_back(2, retries.take(2), 5.0)
    assert (retries.out_count, retries.suspects_out_count) == (0, 0)
    assert retries.by_seq[2].last_holder == ALICE
    assert retries.take(3) is None
