"""How long somebody waits for the store."""

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from conduit.broker.changes import Change, Changes
from conduit.broker.waiting import Deadline, result_of
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
