"""What runs here and is another node's by now goes there, after what it has done is stored."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from conduit.broker.broker import Broker
from conduit.cluster.guest import IsOwner
from conduit.errors import Unavailable

# For what it has done to be stored. What is not by then comes again at the next owner, which waits.
STORE_TIMEOUT_S = 2.0

logger = logging.getLogger(__name__)


class HandingOver:
    """`look` whenever other nodes may be owners; `close` in the end."""

    def __init__(self, broker: Broker, is_owner: IsOwner) -> None:
        self._giving_away = broker.giving_away
        self._is_owner = is_owner
        self._is_due = False
        self._task: asyncio.Task[None] | None = None

    def look(self) -> None:
        """Hand over what is another node's, soon."""
        self._is_due = True
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run(), name="handing over")

    async def close(self) -> None:
        """Hand over nothing more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        """The root of a task. At its awaits subscriptions may come and go, and the owners change again."""
        while self._is_due:
            self._is_due = False
            try:
                await self._hand_over()
            except Exception:
                logger.exception("subscriptions of other nodes still run here")

    async def _hand_over(self) -> None:
        if not self._giving_away.is_due(self._is_owner):
            return
        with suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(STORE_TIMEOUT_S):
                await self._giving_away.stored()
        count = await self._giving_away.give_away(self._is_owner)
        logger.info("subscriptions that other nodes run from now on: %d", count)
