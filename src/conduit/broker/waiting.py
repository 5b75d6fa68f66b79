"""Waiting for the store: from a callback to an await, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from typing import TypeVar

from conduit.core.rotation import Rotation
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


class Slots:
    """So many at once; of those who wait tenants are let in in turn, each in the order of coming."""

    def __init__(self, count: int) -> None:
        self._free_count = count
        self._waiting: Rotation[asyncio.Future[None]] = Rotation()

    async def acquire(self, whose: Hashable = None) -> None:
        """Wait for a slot; have it until `release`."""
        if self._free_count:
            self._free_count -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.put(whose, turn)
        try:
            await turn
        except asyncio.CancelledError:
            self._waiting.discard(whose, turn)
            if not turn.cancelled():
                # It was given one in this turn of the loop.
                self.release()
            raise

    def release(self) -> None:
        """The end of one `acquire`."""
        while self._waiting:
            _, turn = self._waiting.take()
            # Unless it has given up in this turn of the loop.
            if not turn.done():
                turn.set_result(None)
                return
        self._free_count += 1

    @asynccontextmanager
    async def taken(self, whose: Hashable) -> AsyncIterator[None]:
        """One of them, in turn."""
        await self.acquire(whose)
        try:
            yield
        finally:
            self.release()


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
