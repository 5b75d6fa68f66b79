"""Changes of what the store has, made one at a time for each name, and waited for no longer than a deadline.

The store may hang. Whoever asked for a change is answered all the same: `store_unavailable` if the store
was not told yet, and then never will be; else `outcome_unknown`. In that case the change goes on, and memory
follows when the store has answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Hashable,
    Iterator,
    Sequence,
)
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from typing import TypeVar
from weakref import WeakValueDictionary

from conduit.broker.waiting import Deadline
from conduit.errors import OutcomeUnknown, StoreUnavailable, Unavailable

T = TypeVar("T")

# For one change, from the call to the answer: the wait for its turn, and all that the store is asked.
CHANGE_TIMEOUT_S = 10.0


# Pauses before the store is asked what became of a change of which nobody knows.
LOOK_AGAIN_S = (1.0, 10.0, 60.0)


async def told(change: Awaitable[None], is_made: Callable[[], Awaitable[bool]]) -> None:
    """Have the store make a change; if its answer is lost, ask whether it has. Raises OutcomeUnknown if it
    has not: it may still."""
    try:
        await change
    except OutcomeUnknown:
        with suppress(Unavailable):
            if await is_made():
                return
        raise


@contextmanager
def after_change() -> Iterator[None]:
    """What follows a change that is made. If the store fails there, the answer must not be that nothing was
    changed: OutcomeUnknown is raised."""
    try:
        yield
    except StoreUnavailable as error:
        raise OutcomeUnknown(
            "the change is stored, at least in part; whether the rest is, is not known, since the store "
            f"failed then ({error.told}): look at what is there now, or repeat the request"
        ) from error


class Turns:
    """One at a time for each place."""

    def __init__(self) -> None:
        # As long as somebody holds one or waits for it.
        self._locks: WeakValueDictionary[Hashable, asyncio.Lock] = WeakValueDictionary()

    def of(self, place: Hashable) -> asyncio.Lock:
        """Held by whose turn it is."""
        return self._locks.setdefault(place, asyncio.Lock())

    @asynccontextmanager
    async def taken(self, place: Hashable) -> AsyncIterator[None]:
        """In turn. Raises StoreUnavailable when those before it keep the place for CHANGE_TIMEOUT_S."""
        turn = self.of(place)
        try:
            async with asyncio.timeout(CHANGE_TIMEOUT_S):
                await turn.acquire()
        except TimeoutError:
            raise StoreUnavailable("the store does not answer; nothing was changed") from None
        try:
            yield
        finally:
            turn.release()


class Change:
    """One of them, under way."""

    __slots__ = ("is_told",)

    def __init__(self) -> None:
        self.is_told = False
        """Set by who makes it before the store is told: from then on it may happen."""


class Changes:
    """Those that are under way. `close` it when the store is closed."""

    def __init__(self, turns: Turns | None = None) -> None:
        """`turns`: those that others take too."""
        self._turns = turns or Turns()
        self._tasks: set[asyncio.Task[object]] = set()
        # Of these, those that only look.
        self._later: set[asyncio.Task[None]] = set()

    async def make(
        self,
        places: Sequence[Hashable],
        work: Callable[[Change], Awaitable[T]],
        deadline: Deadline | None = None,
    ) -> T:
        """`work(change)` when it is its turn among the changes of these places, which everybody names in the
        same order. Raises what it raises, and StoreUnavailable or OutcomeUnknown at the deadline, which is
        CHANGE_TIMEOUT_S from now if there is none. Cancelling ends the waiting, not the change."""
        change = Change()
        task = self._begin(self._in_turn(places, work, change))
        await asyncio.wait({task}, timeout=(deadline or Deadline(CHANGE_TIMEOUT_S)).left_s)
        if task.done():
            try:
                return task.result()
            finally:
                # Its error knows this frame, and the frame would know the error's task.
                del task
        if change.is_told:
            raise OutcomeUnknown("the store does not answer; the change may still be made")
        task.cancel()
        raise StoreUnavailable("the store does not answer; nothing was changed")

    def later(self, work: Coroutine[object, object, None]) -> None:
        """Work that nobody waits for; `close` cancels it."""
        task = self._begin(work)
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def close(self) -> None:
        """Wait for what the store was told, which it has answered by now. Idempotent."""
        for task in self._later:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _in_turn(
        self, places: Sequence[Hashable], work: Callable[[Change], Awaitable[T]], change: Change
    ) -> T:
        async with AsyncExitStack() as turns:
            for place in places:
                await turns.enter_async_context(self._turns.of(place))
            return await work(change)

    def _begin(self, work: Coroutine[object, object, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[T]) -> None:
        self._tasks.discard(task)
        # Nobody may wait for its error any more.
        if not task.cancelled():
            task.exception()
