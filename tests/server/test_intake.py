"""How much of a turn there is for what has been read, and in which order those go on who have sent more."""

from __future__ import annotations

import asyncio
import sys
import threading

from conduit.server.intake import (
    ADMITTED_MAX_COUNTS,
    GO_ON_MIN_COUNT,
    INPUT_MAX_S,
    SHARE_MAX_S,
    Intake,
    Lane,
)


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def nobody() -> bool:
    """No thread needs Python's lock."""
    return False


class Flood:
    """A connection whose input takes so many shares."""

    def __init__(self, intake: Intake, clock: Clock, done: list[str], name: str, shares: int):
        self.intake, self.clock, self.done = intake, clock, done
        self.name, self.shares = name, shares

    def go_on(self) -> None:
        self.clock.now_s = self.intake.begin()
        self.done.append(self.name)
        self.shares -= 1
        if self.shares:
            self.intake.wait(self)


async def turn_of_the_loop() -> None:
    await asyncio.sleep(0)


async def test_a_connection_has_its_share_and_all_together_no_more_than_the_turn_has():
    clock = Clock()
    intake = Intake(clock, nobody)
    assert intake.begin() == SHARE_MAX_S
    clock.now_s = INPUT_MAX_S - SHARE_MAX_S / 2
    assert intake.begin() == INPUT_MAX_S
    clock.now_s = INPUT_MAX_S + 1
    assert intake.begin() == INPUT_MAX_S
    await turn_of_the_loop()
    assert intake.begin() == clock.now_s + SHARE_MAX_S


async def test_those_who_wait_go_on_in_turn_and_as_many_in_a_turn_as_it_has_time_for():
    clock, done = Clock(), []
    intake = Intake(clock, nobody)
    for name in "abcdefg":
        intake.wait(Flood(intake, clock, done, name, 2))
    for turns_count in range(1, 5):
        await turn_of_the_loop()
        assert "".join(done) == ("abcdefg" * 2)[: 3 * turns_count]
    await turn_of_the_loop()
    assert "".join(done) == "abcdefg" * 2


async def test_one_that_waits_alone_goes_on_once_in_a_turn():
    clock, done = Clock(), []
    intake = Intake(clock, nobody)
    intake.wait(Flood(intake, clock, done, "a", 3))
    for count in (1, 2, 3, 3):
        await turn_of_the_loop()
        assert len(done) == count


async def test_a_bug_in_one_costs_the_others_nothing():
    class Broken:
        def go_on(self) -> None:
            raise RuntimeError("a bug")

    clock, done = Clock(), []
    intake = Intake(clock, nobody)
    intake.wait(Broken())
    intake.wait(Flood(intake, clock, done, "a", 1))
    await turn_of_the_loop()
    assert done == ["a"]


async def test_what_is_admitted_passes_nobody_who_waits():
    clock, done = Clock(), []
    intake = Intake(clock, nobody)
    assert intake.admits(Lane.INPUT)
    clock.now_s = INPUT_MAX_S
    assert not intake.admits(Lane.INPUT)
    intake.wait(Flood(intake, clock, done, "a", 1))
    clock.now_s = INPUT_MAX_S - SHARE_MAX_S
    assert not intake.admits(Lane.INPUT)
    await turn_of_the_loop()
    assert done == ["a"]
    assert intake.admits(Lane.INPUT)


async def test_of_what_the_application_answers_a_turn_begins_a_number_of_each_lane():
    clock, done = Clock(), []
    intake = Intake(clock, nobody)
    lanes = (Lane.CONTROL, Lane.SCRAPE, Lane.PROBE)
    for lane in lanes:
        assert [intake.admits(lane) for _ in range(5)].count(True) == ADMITTED_MAX_COUNTS[lane]
        for _ in range(6):
            intake.wait(Flood(intake, clock, done, lane.name, 1), lane)
    await turn_of_the_loop()
    assert done == ["PROBE"] * 4 + ["SCRAPE", "CONTROL"]
    await turn_of_the_loop()
    assert done[6:] == ["PROBE"] * 2 + ["SCRAPE", "CONTROL"]


async def test_of_new_and_of_lost_connections_a_turn_has_a_number_too():
    clock, done = Clock(), []
    intake = Intake(clock, nobody)
    for lane in (Lane.UPGRADE, Lane.LOST):
        for _ in range(2 * ADMITTED_MAX_COUNTS[lane] + 1):
            if not intake.admits(lane):
                intake.wait(Flood(intake, clock, done, lane.name, 1), lane)
    intake.wait(Flood(intake, clock, done, "INPUT", 1))
    await turn_of_the_loop()
    # Whoever has sent something comes in the same turn.
    assert done == ["UPGRADE"] * 8 + ["LOST"] * 64 + ["INPUT"]
    await turn_of_the_loop()
    assert done[73:] == ["UPGRADE", "LOST"]


async def test_a_probe_begins_although_the_turn_has_no_time_for_input():
    clock = Clock()
    intake = Intake(clock, nobody)
    intake.begin()
    clock.now_s = 2 * INPUT_MAX_S
    assert not intake.admits(Lane.CONTROL)
    assert not intake.admits(Lane.SCRAPE)
    assert intake.admits(Lane.PROBE)


async def test_when_nobody_waits_the_next_turns_are_left_alone():
    intake = Intake(Clock(), nobody)
    assert intake.admits(Lane.CONTROL)
    await turn_of_the_loop()
    await turn_of_the_loop()
    assert not intake._is_due
    assert intake.admits(Lane.CONTROL)


async def test_turns_of_input_leave_the_lock_to_a_thread_that_needs_it():
    is_asked, is_done = threading.Event(), threading.Event()

    def work() -> None:
        is_asked.wait()
        is_done.set()

    thread = threading.Thread(target=work)
    thread.start()
    intake = Intake(Clock(), lambda: not is_done.is_set())
    interval, turns_count = sys.getswitchinterval(), 0
    try:
        # So it does not get the lock by asking for it.
        sys.setswitchinterval(100)
        is_asked.set()
        while not is_done.is_set():
            turns_count += 1
            intake.begin()
            await turn_of_the_loop()
    finally:
        sys.setswitchinterval(interval)
        thread.join()
    assert turns_count < 100


class Reader:
    """A connection that waits for nothing but to be read again."""

    def __init__(self, done: list[str]) -> None:
        self.done = done

    def go_on(self) -> None:
        self.done.append("")


async def test_no_more_go_on_than_a_turn_has_time_to_read_again():
    clock, done = Clock(), []
    intake = Intake(clock, nobody)

    async def turn(late_count: int) -> int:
        """How many go on in a turn, in which so many are read when its time is over."""
        before = len(done)
        await turn_of_the_loop()
        until = intake.begin()
        clock.now_s = until + INPUT_MAX_S
        for _ in range(late_count):
            intake.begin()
        return len(done) - before

    for _ in range(1_000):
        intake.wait(Reader(done))
    assert [await turn(0), await turn(0), await turn(0)] == [GO_ON_MIN_COUNT, 16, 32]
    assert await turn(0) == 64
    assert [await turn(40), await turn(40)] == [128, 88]
    assert [await turn(0), await turn(1_000), await turn(1_000)] == [48, 96, GO_ON_MIN_COUNT]


async def test_in_a_lane_those_who_belong_together_wait_for_each_other():
    clock, done = Clock(), []
    intake = Intake(clock, nobody)
    for number in range(5):
        flood = Flood(intake, clock, done, f"many {number}", 1)
        intake.wait(flood, Lane.CONTROL, lambda: "many")
    intake.wait(Flood(intake, clock, done, "one", 1), Lane.CONTROL, lambda: "one")
    for _ in range(6):
        await turn_of_the_loop()
    assert done == ["many 0", "one", "many 1", "many 2", "many 3", "many 4"]
