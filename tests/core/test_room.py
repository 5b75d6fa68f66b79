"""What may wait for a store, on a virtual clock: single decisions, and whole overloads."""

from collections import deque
from dataclasses import dataclass, field
from random import Random

import pytest

from conduit.core.room import (
    COMMIT_MAX_BYTES,
    COMMIT_MAX_COUNT,
    QUEUE_MAX_BYTES,
    QUEUE_MAX_COUNT,
    Room,
)

pytestmark = pytest.mark.slow

TIMEOUT_S = 5.0


def room_after(*commits: tuple[int, float]) -> tuple[Room, float]:
    """A room whose store took so long for so many bytes; and the time by then."""
    room, now = Room(TIMEOUT_S), 0.0
    for size_bytes, seconds in commits:
        room.begin(now, size_bytes, has_rest=False)
        now += seconds
        room.end(now, is_stored=True)
    room.look(now)
    return room, now


def test_a_store_of_which_nothing_is_known_may_have_a_full_queue():
    room = Room(TIMEOUT_S)
    assert (room.max_count, room.max_bytes) == (QUEUE_MAX_COUNT, QUEUE_MAX_BYTES)
    assert room.admits(0.0, QUEUE_MAX_COUNT, QUEUE_MAX_BYTES)


@pytest.mark.parametrize(
    ("count", "size_bytes"), [(QUEUE_MAX_COUNT + 1, 1), (1, QUEUE_MAX_BYTES + 1)]
)
def test_however_fast_the_store_the_queue_is_bounded(count, size_bytes):
    room, now = room_after(*[(100_000, 0.005)] * 5)
    assert (room.max_count, room.max_bytes) == (QUEUE_MAX_COUNT, QUEUE_MAX_BYTES)
    assert not room.admits(now, count, size_bytes)


def test_a_burst_may_wait_for_half_of_the_time_out():
    room, now = room_after(*[(100_000, 1.0)] * 5)
    assert room.admits(now, 2 * COMMIT_MAX_COUNT, 100_000)
    assert not room.admits(now, 3 * COMMIT_MAX_COUNT, 100_000)
    assert room.wait_s(now, 3 * COMMIT_MAX_COUNT, 100_000) == pytest.approx(3.0)


def test_what_is_admitted_without_a_question_is_never_more_than_what_is_admitted():
    room, now = room_after(*[(100_000, 0.6)] * 5)
    room.begin(now, 100_000, has_rest=False)
    room.look(now)
    assert 0 < room.max_count < QUEUE_MAX_COUNT
    assert room.admits(now, room.max_count, room.max_bytes)


@pytest.mark.parametrize("commit_s", [0.001, 0.6, 60.0])
def test_between_commits_one_message_needs_no_question_and_the_next_is_asked_about(commit_s):
    room, now = room_after(*[(100_000, commit_s)] * 5)
    room.begin(now, 100, has_rest=False)
    assert room.max_count == room.max_bytes == 0
    now += commit_s
    room.end(now, is_stored=True)
    assert room.max_count == 1
    assert room.admits(now, room.max_count, room.max_bytes)


def test_who_asks_finds_the_bounds_for_those_who_come_after():
    room, now = room_after(*[(100_000, 0.005)] * 5)
    room.begin(now, 100, has_rest=False)
    assert room.admits(now, 1, 100)
    assert (room.max_count, room.max_bytes) == (QUEUE_MAX_COUNT, QUEUE_MAX_BYTES)


def test_what_was_noted_while_nobody_asked_teaches_the_same_as_if_each_had_been_asked_about():
    random, (lazy, now) = Random(1), room_after()
    asked = Room(TIMEOUT_S)
    for _ in range(200):
        size_bytes = random.randrange(1, 1_000_000)
        took_s = random.uniform(0.01, 0.02) + size_bytes / 3e6
        for room in (lazy, asked):
            room.begin(now, size_bytes, has_rest=False)
            room.end(now + took_s, is_stored=True)
        asked.look(now + took_s)
        now += took_s
    assert lazy.wait_s(now, 1, 500_000) == pytest.approx(asked.wait_s(now, 1, 500_000), rel=0.01)
    assert lazy.commit_bytes == pytest.approx(asked.commit_bytes, rel=0.01)


@pytest.mark.parametrize("seed", range(20))
def test_no_commit_is_smaller_and_nobody_less_patient_than_is_taken_for_sure(seed):
    random, (room, now) = Random(seed), room_after()
    for _ in range(100):
        size_bytes = int(10 ** random.uniform(0, 7))
        room.begin(now, size_bytes, has_rest=False)
        now += 10 ** random.uniform(-4, 1)
        room.end(now, is_stored=True)
        assert room.commit_bytes >= room.least_commit_bytes
        for asked_bytes in (1, size_bytes, COMMIT_MAX_BYTES):
            assert room.patience_s(asked_bytes) >= room.least_patience_s - 1e-9


def test_when_commits_are_slow_the_rest_of_the_one_that_runs_counts():
    room, now = room_after(*[(100_000, 3.0)] * 5)
    room.begin(now, 100_000, has_rest=False)
    assert not room.admits(now, 1, 100)
    assert not room.admits(now + 1.0, 1, 100)
    assert room.admits(now + 2.0, 1, 100)


def test_a_commit_that_is_late_is_taken_to_be_late_by_as_much_again():
    room, now = room_after(*[(100_000, 0.01)] * 5)
    room.begin(now, 100_000, has_rest=False)
    assert room.wait_s(now + 2.01, 1, 100) == pytest.approx(2.01, abs=0.05)
    room.look(now + 2.6)
    assert room.max_count == 0


def test_a_queue_that_stands_may_wait_for_a_tenth_of_the_time_out():
    room, now = room_after(*[(100_000, 0.1)] * 5)
    before = room.max_count
    for _ in range(7):
        room.begin(now, 100_000, has_rest=True)
        now += 0.1
        room.end(now, is_stored=True)
    room.look(now)
    assert before == QUEUE_MAX_COUNT
    assert room.max_count <= 5 * COMMIT_MAX_COUNT
    room.begin(now, 100_000, has_rest=False)
    room.end(now + 0.1, is_stored=True)
    room.look(now + 0.1)
    assert room.max_count == QUEUE_MAX_COUNT


def test_a_queue_stands_as_well_if_it_is_only_short_because_others_are_refused():
    room, now = room_after(*[(100_000, 0.1)] * 5)
    for _ in range(7):
        room.begin(now, 100_000, has_rest=False)
        assert not room.admits(now, QUEUE_MAX_COUNT + 1, 1)
        now += 0.1
        room.end(now, is_stored=True)
    room.begin(now, 100_000, has_rest=False)
    room.look(now)
    assert room.max_count <= 5 * COMMIT_MAX_COUNT


def test_a_store_that_is_slower_than_any_time_out_is_still_tried():
    room, now = room_after(*[(100_000, 60.0)] * 5)
    assert room.admits(now, 1, 100)
    room.begin(now, 100, has_rest=False)
    assert not room.admits(now + 1, 1, 100)


def test_commits_are_as_large_as_the_store_takes_in_time():
    per_byte = [(size, size / 1e6) for size in (100_000, 400_000, 200_000, 50_000, 300_000)]
    room, _ = room_after(*per_byte)
    assert 300_000 <= room.commit_bytes <= 700_000


def test_where_the_sync_is_what_takes_long_commits_are_not_made_smaller():
    room, _ = room_after(*[(size, 1.0) for size in (100_000, 4_000_000, 200_000, 8_000_000)])
    assert room.commit_bytes == COMMIT_MAX_BYTES


def test_a_commit_that_failed_teaches_nothing():
    room, now = room_after(*[(100_000, 0.01)] * 3)
    room.begin(now, 100_000, has_rest=False)
    room.end(now + 9.0, is_stored=False)
    room.look(now + 9.0)
    assert room.max_count == QUEUE_MAX_COUNT


# Overload -----------------------------------------------------------------------------------------


@dataclass
class Disk:
    fixed_s: float
    per_byte_s: float
    payload_bytes: int

    # What the syncs of one commit after the other take, in times of `fixed_s`, again and again.
    syncs: tuple[int, ...] = (1,)
    commits_count: int = 0

    def commit_s(self, count: int) -> float:
        syncs = self.syncs[self.commits_count % len(self.syncs)]
        self.commits_count += 1
        return self.fixed_s * syncs + self.per_byte_s * self.payload_bytes * count


@dataclass
class Overload:
    """Publishers that come at random times, whatever becomes of those before, and a store."""

    disk: Disk
    random: Random
    now: float = 0.0
    ends_at: float = float("inf")
    room: Room = field(default_factory=lambda: Room(TIMEOUT_S))
    queue: deque[float] = field(default_factory=deque)
    running: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    refused_count: int = 0

    def run(self, rate: float, seconds: float) -> list[float]:
        """How long those waited who were stored in this time."""
        self.waits = []
        comes_at, until = self.now, self.now + seconds
        while comes_at < until:
            if self.ends_at <= comes_at:
                self.now = self.ends_at
                self.room.end(self.now, is_stored=True)
                self.waits += [self.now - each for each in self.running]
                self.running = []
            else:
                self.now = comes_at
                comes_at += self.random.expovariate(rate)
                self._come(self.now)
            if not self.running:
                self.ends_at = self._begin(self.now)
        return self.waits

    def _come(self, now: float) -> None:
        count = len(self.queue) + 1
        size_bytes = count * self.disk.payload_bytes
        is_idle = not (self.queue or self.running)
        is_free = count <= self.room.max_count and size_bytes <= self.room.max_bytes
        if is_idle or is_free or self.room.admits(now, count, size_bytes):
            self.queue.append(now)
        else:
            self.refused_count += 1

    def _begin(self, now: float) -> float:
        size_bytes = min(len(self.queue) * self.disk.payload_bytes, self.room.commit_bytes)
        patience_s = self.room.patience_s(size_bytes)
        while self.queue and self.queue[0] <= now - patience_s:
            self.queue.popleft()
            self.refused_count += 1
        if not self.queue:
            return float("inf")
        most = max(1, min(COMMIT_MAX_COUNT, self.room.commit_bytes // self.disk.payload_bytes))
        count = min(most, len(self.queue))
        self.running = [self.queue.popleft() for _ in range(count)]
        size_bytes = count * self.disk.payload_bytes
        self.room.begin(now, size_bytes, has_rest=bool(self.queue))
        return now + self.disk.commit_s(count) * self.random.uniform(0.9, 1.1)


# With what each stores in a second, and for how many seconds it is looked at.
DISKS = {
    "sync of 100 ms": (Disk(0.1, 1e-8, 256), 2_000 / 0.105, 3),
    "sync of 1 s": (Disk(1.0, 1e-8, 256), 2_000 / 1.005, 20),
    "sync of 2 s": (Disk(2.0, 1e-8, 256), 2_000 / 2.005, 30),
    "1 MB/s": (Disk(0.01, 1e-6, 65_536), 14.0, 60),
    "0.25 MB/s": (Disk(0.0, 4e-6, 262_144), 0.95, 120),
}


@pytest.mark.parametrize("times", [2, 5])
@pytest.mark.parametrize("name", DISKS)
def test_beyond_its_capacity_the_store_works_for_those_who_still_wait(name, times):
    disk, capacity, seconds = DISKS[name]
    overload = Overload(disk, Random(7))
    # So long the store has done its ordinary work, and is known.
    overload.run(capacity / 2, seconds)
    waits = overload.run(capacity * times, seconds)
    in_time = [each for each in waits if each <= TIMEOUT_S]
    assert len(in_time) >= 0.8 * capacity * seconds
    assert len(in_time) >= 0.95 * len(waits)


@pytest.mark.parametrize("payload_bytes", [45, 1_000])
@pytest.mark.parametrize("rate", [1, 500, 20_000])
@pytest.mark.parametrize("fixed_s", [0.1, 1.0, 2.0])
def test_a_disk_that_becomes_slow_all_at_once_is_known_for_that_within_seconds(
    fixed_s, rate, payload_bytes
):
    overload = Overload(Disk(0.001, 1e-8, 1), Random(3))
    overload.run(rate, 1)
    overload.disk = Disk(fixed_s, 1e-8, payload_bytes)
    capacity = 2_000 / overload.disk.commit_s(2_000)
    overload.run(capacity * 3, 10 * fixed_s)
    waits = overload.run(capacity * 3, 10 * fixed_s)
    in_time = [each for each in waits if each <= TIMEOUT_S]
    assert len(in_time) >= 0.8 * capacity * 10 * fixed_s


def test_what_would_be_answered_too_late_has_no_place_in_a_commit():
    room, _ = room_after(*[(100_000, 2.0)] * 3)
    assert room.patience_s(100_000) == pytest.approx(3.0)
    # Nobody can be answered in time: they are told that it is not known.
    room, _ = room_after(*[(100_000, 60.0)] * 3)
    assert room.patience_s(100_000) == TIMEOUT_S


@pytest.mark.parametrize("name", DISKS)
def test_up_to_half_of_its_capacity_nobody_waits_in_vain(name):
    disk, capacity, seconds = DISKS[name]
    overload = Overload(disk, Random(7))
    assert max(overload.run(capacity / 2, seconds)) <= TIMEOUT_S


# A commit of PostgreSQL may wait for a sync of somebody else's before its own, and its rows for another one.
# Measured on one whose syncs take a second.
POSTGRES_SYNCS = (1, 1, 1, 1, 1, 1, 2, 1, 1, 3, 1, 1, 1, 2, 1, 1, 1, 2, 1, 3, 1)


@pytest.mark.parametrize("rate", [300, 600])
def test_a_commit_that_takes_longer_now_and_then_has_nobody_refused(rate):
    overload = Overload(Disk(1.0, 1e-8, 256, POSTGRES_SYNCS), Random(7))
    waits = overload.run(rate, 120)
    assert overload.refused_count <= 0.02 * rate * 120
    assert max(waits) <= TIMEOUT_S


def test_a_store_that_hung_and_is_well_again_is_believed_within_a_few_commits():
    room = Room(TIMEOUT_S)
    room.begin(0.0, 100, has_rest=False)
    room.end(100 * TIMEOUT_S, is_stored=True)
    now = 100 * TIMEOUT_S
    assert room.wait_s(now, 1, 100) <= TIMEOUT_S
    for _ in range(5):
        room.begin(now, 100, has_rest=False)
        room.end(now := now + 0.01, is_stored=True)
    room.begin(now, 100, has_rest=True)
    assert room.admits(now, 1, 100)
