"""What a loop has left behind, as far as references tell."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from conduit.client.delivery import Delivery, Verb
from conduit.client.holds import Holds
from conduit.client.loop import Loop
from conduit.protocol.frames import Ack, Extend
from tests.client.test_resume import message

LONG_S = 100.0


async def _unused(_delivery: Delivery, _verb: Verb) -> None:
    raise AssertionError


class Kept:
    """Deliveries, of which the holds know; after them `TimeoutError`."""

    def __init__(self, count: int) -> None:
        self.holds = Holds(None, is_durable=True)
        self._left = list(range(1, count + 1))

    async def following(self) -> Delivery:
        if not self._left:
            raise TimeoutError
        held = self.holds.came(message(self._left.pop(0)), 0.0)
        assert held is not None
        delivery = Delivery(held.message, _unused)
        self.holds.taken(held, delivery, 0.0)
        return delivery

    def __aiter__(self) -> Loop:
        return Loop(self.following, self.holds)

    @property
    def extended(self) -> list[str]:
        """What is kept from timing out."""
        frames, _ = self.holds.due(LONG_S)
        return sorted(frame.message_id or "" for frame in frames if isinstance(frame, Extend))


async def _waiting(kept: Kept, use: Callable[[Delivery], object]) -> list[str]:
    """What is extended while a loop that has done `use` with a delivery waits for the next one."""
    going_on: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()
    following = kept.following

    async def then_wait() -> Delivery:
        if not kept._left:
            going_on.set_result(kept.extended)
        return await following()

    kept.following = then_wait  # type: ignore[method-assign]  # looked at in the loop's own wait
    try:
        async for delivery in kept:
            use(delivery)
    except TimeoutError:
        pass
    return await going_on


async def test_what_only_the_variable_of_a_loop_refers_to_is_not_kept() -> None:
    assert await _waiting(Kept(2), lambda delivery: None) == []


async def test_what_a_list_a_task_or_a_callback_refers_to_is_kept() -> None:
    batch: list[Delivery] = []
    assert await _waiting(Kept(2), batch.append) == ["t-1", "t-2"]

    async def handle(delivery: Delivery) -> str:
        return delivery.message.message_id

    tasks: list[Awaitable[str]] = []
    assert await _waiting(Kept(1), lambda delivery: tasks.append(handle(delivery))) == ["t-1"]
    assert [await task for task in tasks] == ["t-1"]
    calls: list[Callable[..., object]] = []
    assert await _waiting(Kept(1), lambda delivery: calls.append(delivery.ack)) == ["t-1"]


async def test_what_was_taken_without_a_loop_is_kept() -> None:
    kept = Kept(2)
    first = await kept.following()
    second = await kept.following()
    assert kept.extended == [first.message.message_id, second.message.message_id]


async def test_a_loop_that_ends_gives_its_variable_back() -> None:
    kept = Kept(1)
    try:
        async for delivery in kept:
            assert delivery.message.seq == 1
    except TimeoutError:
        assert kept.extended == ["t-1"]
    said, _ = kept.holds.said(delivery, Ack("t-1"), LONG_S)
    assert said is not None
