"""From a callback to an await, for callers outside the data plane."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from conduit.errors import ConduitError

T = TypeVar("T")


async def result_of(begin: Callable[[Callable[[T | ConduitError], None]], None]) -> T:
    """Call `begin` with an answer's callback and wait for the answer; a ConduitError is raised.

    Cancelling stops the waiting only: what was begun goes on, and its answer is dropped.
    """
    waiter: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def answer(result: T | ConduitError) -> None:
        if waiter.done():
            return
        if isinstance(result, ConduitError):
            waiter.set_exception(result)
        else:
            waiter.set_result(result)

    begin(answer)
    return await waiter
