"""What other nodes have changed of tenants and keys, asked for before somebody is told that he is not known.

A key or tenant that was made elsewhere a moment ago is not here yet, and whoever uses it has done nothing
wrong. But anybody may come with keys that nobody has made: so all who ask share the next look, looks follow
one another at a distance, and only so many wait for one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from conduit.errors import ConduitError, NotFound, Unauthenticated
from conduit.tenancy.claims import CREDENTIAL_MAX_BYTES
from conduit.tenancy.keys import id_of

T = TypeVar("T")

# Between the beginnings of two looks: the store is asked 50 times per second at most.
LOOK_INTERVAL_S = 0.02
# For one look; who has waited so long is told what is known.
LOOK_TIMEOUT_S = 1.0
# Who ask for one look. All of them go on in one turn of the loop, which takes some 5 ms then.
WAITING_MAX_COUNT = 100

logger = logging.getLogger(__name__)


class NotSure(Exception):
    """Who asks is not known, and may be as soon as `look` is over. It is for the code that asks again then,
    and no answer."""

    def __init__(self, look: asyncio.Future[None]) -> None:
        super().__init__()
        self.look = look


class CatchingUp:
    """Looks that are shared; `refresh` asks the store, and may raise ConduitError."""

    def __init__(self, refresh: Callable[[], Awaitable[None]]) -> None:
        self._refresh = refresh
        self.may_be_shared: Callable[[], bool] = lambda: False
        """Whether others may change what is in the store. If not, nothing is asked."""
        # Tasks of looks: one that has begun, and one that comes after it, at most.
        self._tasks: set[asyncio.Task[None]] = set()
        self._looking = asyncio.Lock()
        self._next: asyncio.Future[None] | None = None
        self._waiting_count = 0
        self._begun_at = float("-inf")

    def ask(self) -> asyncio.Future[None] | None:
        """A look that has not begun: it ends, whatever comes, within LOOK_TIMEOUT_S, and what others have
        changed before this call is known then, if the store has answered. Do not cancel it: others wait for
        it. None if nobody else uses the store, or too many wait."""
        if not self.may_be_shared():
            return None
        if self._next is None:
            loop = asyncio.get_running_loop()
            self._next, self._waiting_count = loop.create_future(), 0
            loop.call_later(LOOK_TIMEOUT_S, _end, self._next)
            task = loop.create_task(self._look(self._next), name="a look at keys and tenants")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if self._waiting_count >= WAITING_MAX_COUNT:
            return None
        self._waiting_count += 1
        return self._next

    async def find(self, find: Callable[[], T]) -> T:
        """What `find` returns. If that is not known, it is asked again after a look. Raises as it does."""
        try:
            return find()
        except (NotFound, Unauthenticated):
            look = self.ask()
            if look is None:
                raise
        await after(look)
        return find()

    async def caught_up(self) -> None:
        """Know what others have changed before this call, as `ask` does: for lists."""
        look = self.ask()
        if look is not None:
            await after(look)

    async def close(self) -> None:
        """End the looks that there are."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _look(self, look: asyncio.Future[None]) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with self._looking:
                await asyncio.sleep(self._begun_at + LOOK_INTERVAL_S - loop.time())
                self._next, self._begun_at = None, loop.time()
                await self._refresh()
        except ConduitError:
            # That the store does not answer is told by the look of every second.
            pass
        except Exception:  # the root of a task
            logger.exception("changes of keys and tenants could not be read")
        finally:
            _end(look)


def is_spelled(credential: bytes) -> bool:
    """Whether it looks as a key or a token does: what does not cannot become good."""
    if len(credential) > CREDENTIAL_MAX_BYTES:
        return False
    return credential.startswith(b"ey") or id_of(credential) is not None


async def after(look: asyncio.Future[None]) -> None:
    """Wait for a look that others wait for too."""
    await asyncio.wait({look})


def _end(look: asyncio.Future[None]) -> None:
    if not look.done():
        look.set_result(None)
