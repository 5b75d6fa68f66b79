"""What is done once per turn, and that a bug in one piece of it stays there."""

import asyncio

from conduit.broker.turn import TURN_MAX_COUNT, Turn


class Step:
    def __init__(self, done, name, fails=False):
        self.done, self.name, self.fails = done, name, fails

    def run(self):
        if self.fails:
            raise RuntimeError("a bug")
        self.done.append(self.name)


async def test_work_is_done_once_in_order_however_often_it_was_asked_for():
    turn, done = Turn(), []
    first, second = Step(done, "first"), Step(done, "second")
    for step in (first, second, first):
        turn.add(step)
    assert done == []
    await asyncio.sleep(0)
    assert done == ["first", "second"]


async def test_a_bug_in_one_step_is_logged_and_the_others_are_done(caplog):
    turn, done = Turn(), []
    turn.add(Step(done, "broken", fails=True))
    turn.add(Step(done, "sound"))
    await asyncio.sleep(0)
    assert done == ["sound"]
    assert "a bug" in caplog.text


async def test_much_work_is_done_in_several_turns_of_the_loop():
    turn, done = Turn(), []
    count = 2 * TURN_MAX_COUNT + 1
    for number in range(count):
        turn.add(Step(done, number))
    seen = []
    for _ in range(3):
        await asyncio.sleep(0)
        seen.append(len(done))
        turn.add(Step(done, "later"))
    assert seen == [TURN_MAX_COUNT, 2 * TURN_MAX_COUNT, count + 2]
    assert done[:count] == list(range(count))
