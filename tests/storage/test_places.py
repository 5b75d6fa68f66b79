import random

from conduit.core.message import Message
from conduit.storage.memory.places import CHUNK_MAX_COUNT, Places


def add(places: Places, ids: range, now_ms: int) -> None:
    chunk = places.chunk_for(now_ms)
    for number in ids:
        chunk[f"id-{number}"] = number + 1


def remove(places: Places, number: int, added_ms: int) -> None:
    places.remove_all([Message(f"id-{number}", number, added_ms, b"")])


def test_what_was_added_is_found_until_it_is_removed():
    places = Places()
    add(places, range(3), 1)
    assert [places.get(f"id-{n}") for n in range(4)] == [1, 2, 3, None]
    remove(places, 1, 1)
    remove(places, 1, 1)
    remove(places, 5, 5)
    assert [places.get(f"id-{n}") for n in range(3)] == [1, None, 3]


def test_many_are_found_and_removed_in_any_order_and_leave_nothing():
    places, dice, added_ms = Places(), random.Random(1), {}
    for first in range(0, 10 * CHUNK_MAX_COUNT, 512):
        # Several chunks begin in one millisecond.
        now_ms = first // 20_000
        add(places, range(first, first + 512), now_ms)
        added_ms |= dict.fromkeys(range(first, first + 512), now_ms)
    assert len(places) == len(added_ms)
    left = list(added_ms)
    dice.shuffle(left)
    while left:
        number = left.pop()
        remove(places, number, added_ms.pop(number))
        if len(left) % 997 == 0:
            assert len(places) == len(left)
            assert all(places.get(f"id-{each}") == each + 1 for each in left[:100])
            assert places.get(f"id-{number}") is None
    assert len(places) == 0


def test_many_are_removed_at_once_in_runs_that_begin_anywhere():
    places, dice = Places(), random.Random(1)
    ids = range(10 * CHUNK_MAX_COUNT)
    for first in range(0, len(ids), 512):
        add(places, ids[first : first + 512], first // 20_000)
    runs = [ids[start : start + 700] for start in range(0, len(ids), 700)]
    dice.shuffle(runs)
    left = len(ids)
    for run in runs:
        gone = [Message(f"id-{n}", n, (n - n % 512) // 20_000, b"") for n in run]
        places.remove_all(gone)
        # What is gone already changes nothing.
        places.remove_all(gone[:2])
        left -= len(run)
        assert len(places) == left
        assert places.get(f"id-{run[0]}") is None
    assert len(places._chunks) <= 2


def test_a_few_old_ids_do_not_hold_the_room_of_many():
    places = Places()
    for n in range(64 * CHUNK_MAX_COUNT):
        places.chunk_for(n)[f"id-{n}"] = n
    for n in range(64 * CHUNK_MAX_COUNT):
        if n % 1_000:
            remove(places, n, n)
    assert len(places) == -(-64 * CHUNK_MAX_COUNT // 1_000)
    assert len(places._chunks) <= 3
    assert places.get("id-5000") == 5000


def test_after_the_clock_was_set_back_nothing_stays_of_what_is_removed():
    places, hour_ms, count = Places(), 3_600_000, 20 * CHUNK_MAX_COUNT
    for first in range(0, count, 512):
        add(places, range(first, first + 512), 2 * hour_ms + first)
    # Two topics are published to in turn: what comes is stamped an hour back, or as the last of its topic.
    stamps = {
        n: hour_ms + n if n // 512 % 2 else 2 * hour_ms + count for n in range(count, 2 * count)
    }
    for first in range(count, 2 * count, 512):
        add(places, range(first, first + 512), stamps[first])
    for is_quiet in (True, False):
        gone = [
            Message(f"id-{n}", n, at_ms, b"")
            for n, at_ms in stamps.items()
            if (at_ms < 2 * hour_ms) is is_quiet
        ]
        for start in range(0, len(gone), 700):
            places.remove_all(gone[start : start + 700])
    assert len(places) == count
    assert all(places.get(f"id-{n}") == n + 1 for n in range(0, count, 997))


def test_a_quiet_topic_beside_a_busy_one_is_not_searched_for_message_by_message():
    places, count = Places(), 50 * CHUNK_MAX_COUNT
    for n in range(count):
        places.chunk_for(10_000_000 - n)[f"id-{n}"] = n + 1
    visited = 0

    class Counting(dict[str, int]):
        def __contains__(self, key: object) -> bool:
            nonlocal visited
            visited += 1
            return super().__contains__(key)

    places._chunks = [Counting(chunk) for chunk in places._chunks]
    gone = [Message(f"id-{n}", n, 10_000_000 - n, b"") for n in range(0, count, CHUNK_MAX_COUNT)]
    places.remove_all(gone)
    assert len(places) == count - len(gone)
    assert visited < 5 * len(gone)
