"""How much of a turn there is for what has been read, and in which order those go on who have sent more."""

from __future__ import annotations

import asyncio

from conduit.server.intake import ADMITTED_MAX_COUNTS, INPUT_MAX_S, SHARE_MAX_S, Intake, Lane


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


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
    intake = Intake(clock)
    assert intake.begin() == SHARE_MAX_S
    clock.now_s = INPUT_MAX_S - SHARE_MAX_S / 2
    assert intake.begin() == INPUT_MAX_S
    clock.now_s = INPUT_MAX_S + 1
    assert intake.begin() == INPUT_MAX_S
    await turn_of_the_loop()
    assert intake.begin() == clock.now_s + SHARE_MAX_S


async def test_those_who_wait_go_on_in_turn_and_as_many_in_a_turn_as_it_has_time_for():
    clock, done = Clock(), []
    intake = Intake(clock)
    for name in "abcdefg":
        intake.wait(Flood(intake, clock, done, name, 2))
    await turn_of_the_loop()
    assert done == list("abcde")
    await turn_of_the_loop()
    assert done == list("abcdefgabc")
    await turn_of_the_loop()
    assert done == list("abcdefgabcdefg")


async def test_one_that_waits_alone_goes_on_once_in_a_turn():
    clock, done = Clock(), []
    intake = Intake(clock)
    intake.wait(Flood(intake, clock, done, "a", 3))
    for count in (1, 2, 3, 3):
        await turn_of_the_loop()
        assert len(done) == count


async def test_a_bug_in_one_costs_the_others_nothing():
    class Broken:
        def go_on(self) -> None:
            raise RuntimeError("a bug")

    clock, done = Clock(), []
    intake = Intake(clock)
    intake.wait(Broken())
    intake.wait(Flood(intake, clock, done, "a", 1))
    await turn_of_the_loop()
    assert done == ["a"]


async def test_what_is_admitted_passes_nobody_who_waits():
    clock, done = Clock(), []
    intake = Intake(clock)
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
    intake = Intake(clock)
    lanes = (Lane.CONTROL, Lane.SCRAPE, Lane.PROBE)
    for lane in lanes:
        assert [intake.admits(lane) for _ in range(5)].count(True) == ADMITTED_MAX_COUNTS[lane]
        for _ in range(6):
            intake.wait(Flood(intake, clock, done, lane.name, 1), lane)
    await turn_of_the_loop()
    assert done == ["PROBE"] * 4 + ["SCRAPE", "CONTROL"]
    await turn_of_the_loop()
    assert done[6:] == ["PROBE"] * 2 + ["SCRAPE", "CONTROL"]


async def test_a_probe_begins_although_the_turn_has_no_time_for_input():
    clock = Clock()
    intake = Intake(clock)
    intake.begin()
    clock.now_s = 2 * INPUT_MAX_S
    assert not intake.admits(Lane.CONTROL)
    assert not intake.admits(Lane.SCRAPE)
    assert intake.admits(Lane.PROBE)


async def test_when_nobody_waits_the_next_turns_are_left_alone():
    intake = Intake(Clock())
    assert intake.admits(Lane.CONTROL)
    await turn_of_the_loop()
    await turn_of_the_loop()
    assert not intake._is_due
    assert intake.admits(Lane.CONTROL)
