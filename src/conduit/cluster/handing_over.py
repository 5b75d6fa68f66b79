"""What runs here and is another node's by now goes there, after what it has done is stored.

First it is held (broker/administer/giving_away.py): from then on subscribers only settle. Then what they have
settled is stored, and at the same time the other nodes are asked to look who there is, so that the next owner
knows that it is one, and who is sent on goes there at once. A subscription is given away in a moment in which
all that has come of it is stored; if that does not come, it goes all the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from conduit.broker.broker import Broker
from conduit.cluster.guest import IsOwner
from conduit.errors import Unavailable

# For what it has done to be stored. What is not by then comes again at the next owner, which waits.
STORE_TIMEOUT_S = 2.0
# For those that are never all stored, because their subscribers settle more all the time.
PATIENCE_S = 0.3

logger = logging.getLogger(__name__)


class HandingOver:
    """`look` whenever other nodes may be owners; `close` in the end. `have_others_look` returns when the
    others know who there is, or after a time, and does not raise."""

    def __init__(
        self, broker: Broker, is_owner: IsOwner, have_others_look: Callable[[], Awaitable[None]]
    ) -> None:
        self._giving_away = broker.giving_away
        self._is_owner = is_owner
        self._have_others_look = have_others_look
        self._is_due = False
        self._task: asyncio.Task[None] | None = None

    def look(self) -> None:
        """Hand over what is another node's, soon."""
        self._is_due = True
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run(), name="handing over")

    async def over(self) -> None:
        """Wait until nothing is left to be handed over: a few seconds at most, unless the owners change all
        the time."""
        while self._task is not None and not self._task.done():
            await asyncio.wait({self._task})

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
                # Rather here than nowhere.
                self._giving_away.go_on(lambda *_: True)

    async def _hand_over(self) -> None:
        giving_away = self._giving_away
        if giving_away.is_due(self._is_owner):
            giving_away.hold(self._is_owner)
            await asyncio.gather(self._stored(STORE_TIMEOUT_S), self._have_others_look())
            count = await self._give_away()
            logger.info("subscriptions that other nodes run from now on: %d", count)
        # Those that have become this node's again meanwhile.
        giving_away.go_on(self._is_owner)

    async def _give_away(self) -> int:
        giving_away, loop = self._giving_away, asyncio.get_running_loop()
        until = loop.time() + PATIENCE_S
        count = await giving_away.give_away(self._is_owner, only_stored=True)
        while giving_away.is_due(self._is_owner) and (left_s := until - loop.time()) > 0:
            if not await self._stored(left_s):
                break
            count += await giving_away.give_away(self._is_owner, only_stored=True)
        return count + await giving_away.give_away(self._is_owner)

    async def _stored(self, within_s: float) -> bool:
        """Whether all that was settled so far is stored, in that time."""
        with suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(within_s):
                await self._giving_away.stored()
            return True
        return False
