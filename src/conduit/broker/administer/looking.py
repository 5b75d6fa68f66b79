"""Looks at dead letters and at pages of the log, one at a time in each line: who has had one goes to the end,
so that all get on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from conduit.core.seats import Seats
from conduit.errors import Overloaded
from conduit.storage.dead_letters import DeadFilter

T = TypeVar("T")

# From the first look on. Whoever searches is told after this how far the search came, and may go on from
# there.
SEARCH_MAX_S = 3.0
# With the wait for the first look. Less than a request has until it is answered in any case
# (server/rest/edge.py), which could not say why.
REQUEST_MAX_S = 15.0
# Requests that take turns in a line. What an index finds takes less, and there may be more of it.
SEARCHES_MAX_COUNT = 17
LISTS_MAX_COUNT = 257

_Ask = Callable[[], Coroutine[Any, Any, T]]


class Lines:
    """The lines of a node for dead letters: searches do not hold up what an index finds."""

    def __init__(self) -> None:
        self.searches = Line(SEARCHES_MAX_COUNT, "dead letters")
        self.lists = Line(LISTS_MAX_COUNT, "dead letters")

    def of(self, which: DeadFilter) -> Line:
        """Where to wait for a look at these."""
        return self.searches if which.is_search else self.lists


class Line:
    """Who wants to look waits here; `max_count` requests at once may, and no tenant keeps out all others.
    `what` they look for is for errors."""

    def __init__(self, max_count: int, what: str) -> None:
        self.what = what
        self._seats = Seats(max_count)
        # Whoever asks for it while others wait comes after them, also who has just had it.
        self._turn = asyncio.Lock()
        self._looks: set[asyncio.Task[Any]] = set()

    @contextmanager
    def joined(self, tenant: str) -> Iterator[Looker]:
        """A place for a request of the tenant. Raises Overloaded if there is none."""
        if not self._seats.is_free_for(tenant):
            detail = f"{self._seats.count} others are looking for {self.what}"
            raise Overloaded(detail, retry_after_s=SEARCH_MAX_S)
        with self._seats.taken(tenant):
            yield Looker(self)

    async def look(
        self, ask: _Ask[T], *, turn_by: float | None = None, done_by: float | None = None
    ) -> T:
        """What `ask` finds, when it is its turn. Raises TooLate if that does not begin, or is not over, by
        these times of the loop's clock."""
        try:
            async with asyncio.timeout_at(turn_by):
                await self._turn.acquire()
        except TimeoutError:
            raise TooLate from None
        loop = asyncio.get_running_loop()
        # If nobody waits for it any more it goes on, in the store, and the turn with it.
        look = loop.create_task(ask())
        self._looks.add(look)
        look.add_done_callback(self._over)
        try:
            await asyncio.wait({look}, timeout=None if done_by is None else done_by - loop.time())
            if not look.done():
                raise TooLate
            return look.result()
        finally:
            # Its error knows this frame, and the frame would know the error's task.
            del look

    def _over(self, look: asyncio.Task[Any]) -> None:
        self._looks.discard(look)
        self._turn.release()
        # Nobody may wait any more for its error.
        if not look.cancelled():
            look.exception()


class TooLate(Exception):
    """There was no time for a look. Nobody is told but who looks."""


class Looker:
    """One request, which looks until it has enough or its time is over."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._now = asyncio.get_running_loop().time
        self._answer_by = self._now() + REQUEST_MAX_S
        # When it ends, once it has had its first turn.
        self._until: float | None = None
        self._has_seen = False

    async def look(self, ask: _Ask[T]) -> T | None:
        """What `ask` finds in one turn; None if the time is over. Each request has one look, or Overloaded is
        raised."""
        if self._has_seen and self._until is not None and self._now() >= self._until:
            return None
        turn_by = self._answer_by - SEARCH_MAX_S if self._until is None else self._until
        try:
            seen = await self._line.look(
                lambda: self._begun(ask), turn_by=turn_by, done_by=self._answer_by
            )
        except TooLate:
            if self._has_seen:
                return None
            detail = f"others that look for {self._line.what}, or the store, take too long"
            raise Overloaded(detail, retry_after_s=SEARCH_MAX_S) from None
        self._has_seen = True
        return seen

    async def _begun(self, ask: _Ask[T]) -> T:
        if self._until is None:
            self._until = self._now() + SEARCH_MAX_S
        return await ask()
