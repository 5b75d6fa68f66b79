"""How much of a turn there is for what has been read, and in which order those go on who have sent more."""

from __future__ import annotations

import asyncio

from conduit.server.intake import INPUT_MAX_S, SHARE_MAX_S, Intake


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
