"""Waiting for the store: from a callback to an await, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from conduit.errors import ConduitError

T = TypeVar("T")


class Deadline:
    """When somebody who waits for the store is answered at the latest, whatever the store does.

    One for all that an answer needs, handed from one wait to the next: waits that each had a time-out of
    their own would add up.
    """

    __slots__ = ("at",)

    def __init__(self, within_s: float) -> None:
        self.at = asyncio.get_running_loop().time() + within_s
        """On the loop's clock."""

    @property
    def left_s(self) -> float:
        """Seconds until then; 0 when it has passed."""
        return max(0.0, self.at - asyncio.get_running_loop().time())


async def result_of(begin: Callable[[Callable[[T | ConduitError], None]], None]) -> T:
    """Call `begin` with an answer's callback and wait for the answer; a ConduitError is raised.

    Cancelling stops the waiting only: what was begun goes on, and its answer is dropped.
    """
    waiters: list[asyncio.Future[T]] = [asyncio.get_running_loop().create_future()]

    def answer(result: T | ConduitError) -> None:
        # Some answer again: a marker in a queue is refused with each check.
        if not waiters or waiters[0].done():
            return
        if isinstance(result, ConduitError):
            waiters[0].set_exception(result)
        else:
            waiters[0].set_result(result)

    begin(answer)
    try:
        return await waiters[0]
    except ConduitError:
        # The error knows this frame, and the frame would know what has the error.
        waiters.clear()
        raise
