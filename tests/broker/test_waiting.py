"""How long somebody waits for the store."""

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from conduit.broker.changes import Change, Changes
from conduit.broker.waiting import Deadline, Slots, result_of
from conduit.errors import StoreUnavailable


async def test_a_deadline_does_not_move_and_has_nothing_left_when_it_has_passed():
    deadline, passed = Deadline(60), Deadline(0)
    at = deadline.at
    await asyncio.sleep(0)
    assert deadline.at == at
    assert 0 < deadline.left_s <= 60
    assert passed.left_s == 0


async def test_who_is_answered_twice_has_the_first_answer():
    answers: list[Callable[[int | StoreUnavailable], None]] = []

    def begin(answer: Callable[[int | StoreUnavailable], None]) -> None:
        answers.append(answer)
        answer(StoreUnavailable("away"))

    with pytest.raises(StoreUnavailable):
        await result_of(begin)
    answers[0](StoreUnavailable("still away"))


FAILED: list[weakref.ref[Exception]] = []


class Failed(StoreUnavailable):
    """An error that is known to the test without being kept by it."""

    def __init__(self) -> None:
        super().__init__("the store does not answer")
        FAILED.append(weakref.ref(self))


async def by_a_change() -> None:
    async def work(_: Change) -> None:
        raise Failed

    await Changes().make(["place"], work)


async def by_a_callback() -> None:
    await result_of(lambda answer: asyncio.get_running_loop().call_soon(lambda: answer(Failed())))


@pytest.mark.parametrize("fail", [by_a_change, by_a_callback])
async def test_an_error_of_the_store_is_freed_without_the_garbage_collector(
    fail: Callable[[], Awaitable[None]],
):
    gc.disable()
    try:
        with suppress(Failed):
            await fail()
        # A task that has ended is known to the loop until its callbacks are through.
        for _ in range(3):
            await asyncio.sleep(0)
        assert FAILED.pop()() is None
    finally:
        gc.enable()


async def test_of_those_who_wait_for_a_slot_tenants_are_let_in_in_turn():
    slots, seen = Slots(1), []
    await slots.acquire("a")

    async def come(whose: str, number: int) -> None:
        async with slots.taken(whose):
            seen.append(f"{whose}{number}")
            await asyncio.sleep(0)

    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(come("a", number)) for number in range(4)]
    tasks += [loop.create_task(come("b", number)) for number in range(2)]
    await asyncio.sleep(0)
    assert seen == []
    slots.release()
    await asyncio.gather(*tasks)
    assert seen == ["a0", "b0", "a1", "b1", "a2", "a3"]
    await slots.acquire()


async def test_who_gives_up_waiting_for_a_slot_keeps_none():
    slots = Slots(1)
    await slots.acquire()
    loop = asyncio.get_running_loop()
    waiting, next_one = loop.create_task(slots.acquire("a")), loop.create_task(slots.acquire("b"))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    slots.release()
    await asyncio.wait_for(next_one, 5)
    # One that gives up in the turn of the loop in which a slot is free is passed over.
    gone, then = loop.create_task(slots.acquire("a")), loop.create_task(slots.acquire("b"))
    await asyncio.sleep(0)
    gone.cancel()
    slots.release()
    await asyncio.wait_for(then, 5)
    await asyncio.gather(gone, return_exceptions=True)
    # One that is given a slot in the turn in which it gives up passes it on.
    late, last = loop.create_task(slots.acquire("a")), loop.create_task(slots.acquire("b"))
    await asyncio.sleep(0)
    slots.release()
    late.cancel()
    await asyncio.gather(late, return_exceptions=True)
    await asyncio.wait_for(last, 5)
