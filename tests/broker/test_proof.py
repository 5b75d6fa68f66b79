"""Whether a store takes writes, on a loop whose time is moved by hand."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine

import pytest

from conduit.broker.publish.committers import Committers
from conduit.broker.publish.proof import (
    HOLD_S,
    INTERVAL_S,
    NO_ANSWER,
    PATIENCE_S,
    REPEAT_S,
    ROW_BYTES,
    ROW_MAX_BYTES,
    Proof,
)
from conduit.errors import StoreUnavailable
from tests.broker.kit import ManualClock, made_commits
from tests.model.clockwork import VirtualLoop
from tests.storage import given

FULL = StoreUnavailable("the disk is full")


class Disk:
    """Takes rows of up to `room_bytes`, each for `takes_s`, and none until it `goes_on`."""

    kind = "fake"
    shards = ()
    server_count = 1

    def __init__(self) -> None:
        self.room_bytes = ROW_MAX_BYTES
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self.takes_s = 0.0
        self.rows: list[int] = []

    async def append(self, batch):
        await asyncio.sleep(self.takes_s)
        return [1] * len(batch)

    async def prove(self, size_bytes: int) -> None:
        self.rows.append(size_bytes)
        await asyncio.sleep(self.takes_s)
        await self.goes_on.wait()
        if size_bytes > self.room_bytes:
            raise FULL


def virtually(work: Callable[[Disk, Proof], Coroutine[None, None, None]]) -> None:
    async def run() -> None:
        disk = Disk()
        proof = Proof(disk)
        await proof.start()
        await work(disk, proof)
        disk.goes_on.set()
        await proof.stop()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(run())


def test_a_disk_that_takes_no_row_is_a_problem_until_it_does():
    async def work(disk: Disk, proof: Proof) -> None:
        assert proof.problem is None
        disk.room_bytes = 0
        await asyncio.sleep(INTERVAL_S + 0.1)
        assert proof.problem == "the disk is full"
        disk.room_bytes = ROW_BYTES
        await asyncio.sleep(INTERVAL_S + 0.1)
        assert proof.problem is None
        assert len(disk.rows) <= 4

    virtually(work)


def test_a_disk_that_does_not_answer_is_a_problem_and_gets_no_second_row():
    async def work(disk: Disk, proof: Proof) -> None:
        disk.goes_on.clear()
        await asyncio.sleep(INTERVAL_S + PATIENCE_S + 0.1)
        assert proof.problem == NO_ANSWER
        await asyncio.sleep(60)
        assert len(disk.rows) == 2
        disk.goes_on.set()
        await asyncio.sleep(0.1)
        assert proof.problem is None

    virtually(work)


def test_a_slow_disk_takes_writes():
    async def work(disk: Disk, proof: Proof) -> None:
        for takes_s in (PATIENCE_S - INTERVAL_S - 0.1, PATIENCE_S - 0.1, 0.0):
            disk.takes_s = takes_s
            for _ in range(100):
                await asyncio.sleep(0.5)
                assert proof.problem is None
        disk.goes_on.clear()
        await asyncio.sleep(PATIENCE_S + 0.1)
        assert proof.problem == NO_ANSWER

    virtually(work)


def test_a_disk_that_is_slower_than_patience_does_not_come_and_go():
    async def work(disk: Disk, proof: Proof) -> None:
        disk.takes_s = PATIENCE_S + 0.1
        await asyncio.sleep(INTERVAL_S + PATIENCE_S + 0.1)
        for _ in range(100):
            assert proof.problem == NO_ANSWER
            await asyncio.sleep(0.5)
        disk.takes_s = 0.1
        await asyncio.sleep(PATIENCE_S + 0.3)
        assert proof.problem is None

    virtually(work)


def test_under_load_a_row_may_take_as_long_as_the_commits_do_before_it():
    async def work(disk: Disk, proof: Proof) -> None:
        disk.goes_on.clear()
        await asyncio.sleep(60)
        assert proof.problem == NO_ANSWER
        proof.stored()
        assert proof.problem == NO_ANSWER
        for _ in range(20):
            await asyncio.sleep(PATIENCE_S - 0.1)
            proof.stored()
            assert proof.problem is None

    virtually(work)


def test_a_server_starts_although_its_store_does_not_answer():
    async def run() -> None:
        disk = Disk()
        disk.goes_on.clear()
        proof = Proof(disk)
        await proof.start()
        assert proof.problem == NO_ANSWER
        await proof.stop()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(run())


def test_a_row_that_waits_behind_commits_is_no_problem_while_these_are_stored():
    async def work(disk: Disk, proof: Proof) -> None:
        disk.goes_on.clear()
        for _ in range(30):
            await asyncio.sleep(1)
            proof.stored()
            assert proof.problem is None
        await asyncio.sleep(2 * PATIENCE_S + 0.1)
        assert proof.problem == NO_ANSWER

    virtually(work)


def test_after_a_refused_commit_a_row_as_large_has_to_be_stored():
    async def work(disk: Disk, proof: Proof) -> None:
        disk.room_bytes = 4_096
        proof.refused(FULL, 100_000)
        assert proof.problem == "the disk is full"
        await asyncio.sleep(10 * HOLD_S)
        assert proof.problem == "the disk is full", "a small row would be stored"
        disk.room_bytes = 100_000
        await asyncio.sleep(INTERVAL_S + 0.1)
        assert proof.problem is None
        await asyncio.sleep(INTERVAL_S + 0.1)
        assert disk.rows[-1] == ROW_BYTES
        proof.refused(FULL, 1 << 30)
        await asyncio.sleep(INTERVAL_S + 0.1)
        assert max(disk.rows) == ROW_MAX_BYTES

    virtually(work)


def test_commits_that_are_refused_although_rows_are_stored_are_a_problem():
    async def work(disk: Disk, proof: Proof) -> None:
        for _ in range(20):
            proof.refused(StoreUnavailable("the user may not do this"), 10)
            await asyncio.sleep(HOLD_S / 2)
            assert proof.problem == "the user may not do this"
        proof.stored()
        assert proof.problem is None
        proof.refused(StoreUnavailable("the user may not do this"), 10)
        await asyncio.sleep(HOLD_S + 0.1)
        assert proof.problem is None, "nobody publishes any more, so nobody would find out"

    virtually(work)


def test_where_the_store_is_and_what_the_inside_says_is_for_the_log():
    async def work(_: Disk, proof: Proof) -> None:
        proof.refused(StoreUnavailable.at("10.0.0.7:5432/conduit", "it is gone"), 10)
        assert (proof.problem, proof.told) == ("10.0.0.7:5432/conduit: it is gone", "it is gone")
        proof.refused(ValueError("the inside"), 10)
        assert proof.problem == "ValueError('the inside')"
        assert proof.told == "the server made an error"
        proof.stored()
        assert (proof.problem, proof.told) == (None, None)

    virtually(work)


def test_the_log_says_what_is_wrong_how_many_were_refused_and_that_it_is_over(caplog):
    caplog.set_level(logging.INFO, logger="conduit.broker.publish.proof")

    async def work(disk: Disk, proof: Proof) -> None:
        disk.room_bytes = 0
        for _ in range(100):
            proof.refused(FULL, 10)
        proof.tick()
        await asyncio.sleep(REPEAT_S)
        proof.tick()
        disk.room_bytes = ROW_MAX_BYTES
        await asyncio.sleep(INTERVAL_S + 0.1)

    virtually(work)
    first, again, over = [record.getMessage() for record in caplog.records]
    assert first == (
        "not ready: the store takes no writes: the disk is full; commits refused so far: 100"
    )
    assert again.startswith("not ready for 60 s: the store takes no writes: the disk is full")
    assert over.startswith("ready again: the store takes writes, after 6")
    assert over.endswith("commits refused meanwhile: 100")


def test_where_only_the_row_was_refused_the_log_counts_nothing(caplog):
    caplog.set_level(logging.INFO, logger="conduit.broker.publish.proof")

    async def work(disk: Disk, proof: Proof) -> None:
        disk.room_bytes = 0
        await asyncio.sleep(INTERVAL_S + 0.1)
        disk.room_bytes = ROW_MAX_BYTES
        await asyncio.sleep(INTERVAL_S + 0.1)

    virtually(work)
    first, over = [record.getMessage() for record in caplog.records]
    assert first == "not ready: the store takes no writes: the disk is full"
    assert "refused" not in over


@pytest.mark.parametrize("error", [RuntimeError("a bug"), FULL])
def test_a_row_that_fails_for_whatever_reason_ends_no_proofs(error):
    async def work(disk: Disk, proof: Proof) -> None:
        async def fails(size_bytes: int) -> None:
            raise error

        works, disk.prove = disk.prove, fails
        await asyncio.sleep(INTERVAL_S + 0.1)
        assert proof.problem is not None
        disk.prove = works
        await asyncio.sleep(INTERVAL_S + 0.1)
        assert proof.problem is None

    virtually(work)


# A process that stands still -----------------------------------------------------------------------

STILL_S = 10.0


class Stopped:
    """A disk with its committers, and a loop that can stand still as in a process that is stopped."""

    def __init__(self) -> None:
        self.disk = Disk()
        self.committers = Committers(
            self.disk, made_commits(ManualClock()), lambda *_: None, lambda: None, 5.0
        )
        self.problems: set[str | None] = set()
        """What was wrong since it stood still, at every turn of the loop."""

    def stand_still(self) -> None:
        asyncio.get_running_loop().jump(STILL_S)

    async def look(self, for_s: float) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + for_s
        while loop.time() < until:
            for _ in range(10):
                await asyncio.sleep(0)
                self.problems.add(self.committers.problem)
            await asyncio.sleep(0.05)


def stopped(work: Callable[[Stopped], Coroutine[None, None, None]]) -> None:
    async def run() -> None:
        one = Stopped()
        await one.committers.start()
        await work(one)
        one.disk.goes_on.set()
        await one.committers.stop()
        await one.committers.end()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(run())


@pytest.mark.parametrize("takes_s", [0.0, 0.9])
@pytest.mark.parametrize("after_s", [3.3, 3.95])
def test_time_in_which_the_process_stood_still_is_not_time_without_an_answer(takes_s, after_s):
    async def work(one: Stopped) -> None:
        one.disk.takes_s = takes_s
        await asyncio.sleep(after_s)
        for _ in range(3):
            one.stand_still()
            await one.look(5.0)
        assert one.problems == {None}

    stopped(work)


def test_a_store_that_hangs_is_noticed_also_after_a_standstill():
    async def work(one: Stopped) -> None:
        await asyncio.sleep(3.3)
        one.stand_still()
        one.disk.goes_on.clear()
        await one.look(INTERVAL_S + PATIENCE_S + 0.5)
        assert one.committers.problem == NO_ANSWER

    stopped(work)


class Told:
    """A publisher."""

    outcome: object = None

    def stored(self, seqs, start) -> None:
        self.outcome = seqs[start]

    def failed(self, error) -> None:
        self.outcome = error


def test_a_commit_that_was_under_way_when_the_process_stood_still_is_heard_before_it_is_late():
    async def work(one: Stopped) -> None:
        one.disk.takes_s = 0.9
        await asyncio.sleep(3.3)
        publisher = Told()
        one.committers.submit([given.message(1)], 1, publisher, None, None)
        await asyncio.sleep(0.3)
        one.stand_still()
        await one.look(1.0)
        assert publisher.outcome == 1
        assert one.problems == {None}

    stopped(work)


def test_what_is_published_right_after_the_process_stood_still_is_not_refused_for_it():
    async def work(one: Stopped) -> None:
        publishers = [Told() for _ in range(4)]
        one.disk.takes_s = 0.3
        for publisher in publishers[:2]:
            one.committers.submit([given.message(1)], 1, publisher, None, None)
            await asyncio.sleep(0.5)
        one.committers.submit([given.message(1)], 1, publishers[2], None, None)
        await asyncio.sleep(0.1)
        one.stand_still()
        # What came meanwhile is read before the timers are looked at.
        one.committers.submit([given.message(1)], 1, publishers[3], None, None)
        await one.look(2.0)
        assert [publisher.outcome for publisher in publishers] == [1, 1, 1, 1]

    stopped(work)
