"""What is done once per turn, and that a bug in one piece of it stays there."""

import asyncio
import sys
from collections import deque
from collections.abc import Callable

from conduit.broker.turn import (
    ROUNDS_MAX_COUNT,
    STEPS_MAX_COUNT,
    STEPS_MAX_S,
    TURN_MAX_COUNT,
    TURN_MAX_S,
    TURN_MIN_S,
    Turn,
    _in_turn,
    each,
)


def still():
    """A clock that stands still."""
    return 0.0


class Ticking:
    """A clock that goes on by `step_s` whenever it is read."""

    def __init__(self, step_s):
        self.now_s, self.step_s = 0.0, step_s

    def __call__(self):
        self.now_s += self.step_s
        return self.now_s


class Step:
    def __init__(self, done, name, fails=False, whose=None):
        self.done, self.name, self.fails, self.whose = done, name, fails, whose

    def run(self):
        if self.fails:
            raise RuntimeError("a bug")
        self.done.append(self.name)


async def test_work_is_done_once_in_order_however_often_it_was_asked_for():
    turn, done = Turn(still), []
    first, second = Step(done, "first"), Step(done, "second")
    for step in (first, second, first):
        turn.add(step)
    assert done == []
    await asyncio.sleep(0)
    assert done == ["first", "second"]


async def test_a_bug_in_one_step_is_logged_and_the_others_are_done(caplog):
    turn, done = Turn(still), []
    turn.add(Step(done, "broken", fails=True))
    turn.add(Step(done, "sound"))
    await asyncio.sleep(0)
    assert done == ["sound"]
    assert "a bug" in caplog.text


async def test_much_work_is_done_in_several_turns_of_the_loop():
    turn, done = Turn(still), []
    count = 3 * TURN_MAX_COUNT + 1
    for number in range(count):
        turn.add(Step(done, number))
    await asyncio.sleep(0)
    assert TURN_MAX_COUNT <= len(done) <= TURN_MAX_COUNT + STEPS_MAX_COUNT
    await turn.finished()
    assert done == list(range(count))


class Repeating:
    """Asks for itself again, so many times."""

    def __init__(self, turn, count):
        self.turn, self.left_count, self.done_count = turn, count, 0

    def run(self):
        self.done_count += 1
        self.left_count -= 1
        if self.left_count:
            self.turn.add(self)


async def test_a_turn_with_more_to_do_is_no_shorter_than_a_thread_waits_before_it_asks_for_the_lock():
    turn = Turn(Ticking(TURN_MIN_S / 4))
    work = Repeating(turn, 20)
    turn.add(work)
    await asyncio.sleep(0)
    assert 4 <= work.done_count <= 6
    for _ in range(4):
        await asyncio.sleep(0)
    assert work.done_count == 20


async def test_work_that_asks_for_itself_for_ever_does_not_keep_the_loop():
    turn = Turn(still)
    work = Repeating(turn, -1)
    turn.add(work)
    await asyncio.sleep(0)
    assert work.done_count == ROUNDS_MAX_COUNT
    work.left_count = 1


async def test_work_that_takes_long_ends_its_turn_early():
    clock, done = Ticking(TURN_MAX_S / 4), []
    turn = Turn(clock)
    for number in range(100):
        turn.add(Step(done, number))
    await asyncio.sleep(0)
    assert len(done) <= 6
    await turn.finished()
    assert done == list(range(100))


async def test_what_is_asked_for_now_passes_what_is_late():
    turn, done = Turn(still), []
    works = [Step(done, number) for number in range(5 * TURN_MAX_COUNT)]
    for work in works:
        turn.add(work)
    await asyncio.sleep(0)
    done.clear()
    turn.add(Step(done, "new"))
    turn.add(works[-1])
    await asyncio.sleep(0)
    assert done[:2] == ["new", len(works) - 1]
    await turn.finished()
    assert done.count(len(works) - 1) == 1


async def test_steps_are_taken_over_many_turns_and_others_come_between_them():
    turn, done = Turn(still), []
    turn.spread(each(range(3 * STEPS_MAX_COUNT), done.append))
    turn.spread(each(range(-STEPS_MAX_COUNT // 2, 0), done.append))
    for _ in range(2):
        turn.add(Step(done, "other"))
        await asyncio.sleep(0)
    assert done.index("other") == 0
    assert -1 in done
    assert 3 * STEPS_MAX_COUNT - 1 not in done
    await turn.finished()
    assert [one for one in done if one != "other" and one >= 0] == list(range(3 * STEPS_MAX_COUNT))


async def test_a_bug_in_one_of_many_steps_is_logged_and_the_others_are_taken(caplog):
    turn, done = Turn(still), []

    def act(number):
        if number == 1:
            raise RuntimeError("a bug")
        done.append(number)

    turn.spread(each(range(3), act))
    turn.spread(act(number) for number in (1, 2))
    turn.spread(each(range(5, 7), done.append))
    await turn.finished()
    assert done == [0, 2, 5, 6]
    assert caplog.text.count("RuntimeError: a bug") == 2


async def test_of_more_than_one_turn_takes_each_tenant_has_its_share():
    clock, done = Ticking(TURN_MAX_S / 10), []
    turn = Turn(clock)
    for number in range(100):
        turn.add(Step(done, f"a{number}", whose="a"))
    for number in range(3):
        turn.add(Step(done, f"b{number}", whose="b"))
    await asyncio.sleep(0)
    assert done[:6] == ["a0", "b0", "a1", "b1", "a2", "b2"]
    await turn.finished()
    assert [name for name in done if name[0] == "a"] == [f"a{number}" for number in range(100)]


def opcodes_of(call: Callable[[], object]) -> int:
    """How many instructions of Python it takes: a busy machine changes nothing about them."""
    count = 0

    def traced(frame, event, _arg):
        nonlocal count
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return traced

    before = sys.gettrace()
    sys.settrace(traced)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


def test_the_order_of_tenants_costs_the_same_for_each_work_however_much_one_has():
    def taken(tenants_count: int) -> int:
        work = [Step([], n, whose=n % tenants_count) for n in range(100)]
        work += [Step([], n, whose=0) for n in range(500)]
        return opcodes_of(lambda: deque(_in_turn(work), maxlen=0))

    assert taken(100) < 1.5 * taken(2)


async def test_tenants_whose_work_waits_in_line_have_the_share_of_each_turn_in_turn():
    clock, done = Ticking(STEPS_MAX_S / 4), []
    turn = Turn(clock)
    for number in range(20):
        turn.spread(each(range(100), lambda _, name=f"a{number}": done.append(name)), "a")
    turn.spread(each(range(8), lambda _: done.append("b")), "b")
    for _ in range(5):
        await asyncio.sleep(0)
    assert done.count("b") == 8
    assert done.count("a0") == done.count("a1") > 0
    await turn.finished()
    assert len(done) == 20 * 100 + 8


async def test_what_takes_its_time_after_the_turn_counts_as_if_it_had_taken_it():
    turn, done = Turn(still), []

    class Writing(Step):
        def run(self):
            super().run()
            turn.deferred_s += TURN_MAX_S / 4

    for number in range(40):
        turn.add(Writing(done, number))
    await asyncio.sleep(0)
    assert 4 <= len(done) <= 6
    await turn.finished()
    assert done == list(range(40))


async def test_what_is_late_on_purpose_is_done_once_and_at_once_if_it_is_asked_for_meanwhile():
    turn, done = Turn(still), []
    late = Step(done, "late", whose="a")
    for number in range(STEPS_MAX_COUNT):
        turn.later(Step(done, number, whose="a"))
    turn.later(late)
    turn.later(late)
    turn.add(late)
    await turn.finished()
    assert done[0] == "late"
    assert done.count("late") == 1
    turn.later(late)
    await turn.finished()
    assert done.count("late") == 2
