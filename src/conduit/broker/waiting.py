"""Waiting for the store: from a callback to an await, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from conduit.errors import ConduitError, OutcomeUnknown, StoreUnavailable

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

    @asynccontextmanager
    async def holding(self, lock: asyncio.Lock) -> AsyncIterator[None]:
        """With the lock. Raises StoreUnavailable if whoever has it waits for the store for too long: nothing
        was asked of the store then."""
        try:
            async with asyncio.timeout_at(self.at):
                await lock.acquire()
        except TimeoutError:
            raise StoreUnavailable("the store does not answer; nothing was changed") from None
        try:
            yield
        finally:
            lock.release()

    async def result(self, work: Coroutine[Any, Any, T]) -> T:
        """What comes of the work. Raises OutcomeUnknown if nothing does in time.

        The work goes on then, and if the caller is cancelled: it has to see to it that memory follows the
        store, and holds whatever lock it needs for that.
        """
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(_looked_at)
        done, _ = await asyncio.wait({task}, timeout=self.left_s)
        if not done:
            raise OutcomeUnknown("the store does not answer; it may still be done")
        return task.result()


def _looked_at(task: asyncio.Task[Any]) -> None:
    """Nobody may wait any more for its error."""
    if not task.cancelled():
        task.exception()


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
