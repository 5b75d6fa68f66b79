import pytest

from conduit.core.retries import NOBODY, Retries, Retry

ALICE = 1


def test_each_is_taken_at_its_time_in_the_order_of_time():
    retries = Retries()
    for seq, at in ((1, 3.0), (2, 1.0), (3, 2.0)):
        retries.put_back(seq, Retry(attempt=1), at)

    assert retries.next_at() == 1.0
    assert [seq for seq, _ in retries.take_due(0.9)] == []
    assert [seq for seq, _ in retries.take_due(2.0)] == [2, 3]
    assert [seq for seq, _ in retries.take_due(3.0)] == [1]


def test_one_that_is_out_is_never_due_and_one_that_waits_never_expires():
    retries = Retries()
    retries.put_out(1, Retry(attempt=1), ALICE, 1.0)
    retries.put_back(2, Retry(attempt=1), 1.0)

    assert [seq for seq, _ in retries.take_due(9.0)] == [2]
    assert [seq for seq, _ in retries.take_expired(9.0)] == [1]


def test_one_that_goes_out_until_the_time_it_would_have_been_due_is_not_due():
    retries = Retries()
    retries.put_back(1, Retry(attempt=1), 1.0)
    retries.put_out(1, retries.by_seq[1], ALICE, 1.0)

    assert list(retries.take_due(1.0)) == []
    assert [seq for seq, _ in retries.take_expired(1.0)] == [1]


@pytest.mark.parametrize("gone", [True, False])
def test_a_time_that_no_longer_holds_is_skipped(gone):
    retries = Retries()
    retries.put_back(1, Retry(attempt=1), 1.0)
    retry = retries.by_seq.pop(1)
    if not gone:
        retries.put_back(1, retry, 5.0)

    assert list(retries.take_due(4.9)) == []
    assert [seq for seq, _ in retries.take_due(5.0)] == ([] if gone else [1])


def test_putting_back_at_the_same_time_again_hands_out_once():
    retries = Retries()
    retries.put_back(1, Retry(attempt=1), 1.0)
    retries.put_back(1, retries.by_seq.pop(1), 1.0)
    handed = []
    for seq, retry in retries.take_due(1.0):
        retries.put_out(seq, retry, ALICE, 9.0)
        handed.append(seq)

    assert handed == [1]


def test_times_that_no_longer_hold_take_bounded_room_and_lose_none_that_do():
    retries = Retries()
    for seq in range(10):
        retries.put_back(seq, Retry(attempt=1), float(10 - seq))
    for at in range(100, 10_000):
        retries.put_out(10, retries.by_seq.get(10, Retry(attempt=1)), ALICE, float(at))
        retries.put_back(11, retries.by_seq.get(11, Retry(attempt=1)), float(at))
        retries.put_out(10, retries.by_seq[10], ALICE, float(at) + 0.5)

    assert len(retries._waiting) + len(retries._deadlines) < 200
    assert [seq for seq, _ in retries.take_due(10.0)] == list(range(9, -1, -1))
    assert [seq for seq, _ in retries.take_expired(10_000.0)] == [10]
    assert retries.by_seq[11].holder == NOBODY
