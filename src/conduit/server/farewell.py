"""WebSockets that are told when to come back, and closed: in slices, each with a time of its own, so that
20,000 clients do not come back to another process in one instant."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Set as AbstractSet
from itertools import islice

from conduit.server.context import OpenSession

# Sessions that are told to leave at once, and the pause before the next ones.
CLOSING_SLICE_COUNT = 200
CLOSING_PAUSE_S = 0.01
RECONNECT_AFTER_MS = (500, 5_000)
# For those that are there when a node is drained, to be told and to go; and for the rest to be dropped.
DRAINED_WITHIN_S = 10.0
DROPPED_WITHIN_S = 1.0

_dice = random.Random()


class Farewell:
    """Of one server. `sessions`: those that are open; who has gone is not in it any more."""

    def __init__(self, sessions: AbstractSet[OpenSession]) -> None:
        self._sessions = sessions

    async def close_all(self, within_s: float, drop_within_s: float) -> None:
        """Have all leave, also those that come meanwhile: a request that has arrived may still become a
        session. Who has not gone in time is dropped."""
        await self._close(self._sessions, within_s, drop_within_s)

    async def close_those_there(self) -> None:
        """The same of those that are open now. Cancelling leaves those that were not told yet."""
        await self._close(set(self._sessions), DRAINED_WITHIN_S, DROPPED_WITHIN_S)

    async def _close(
        self, these: AbstractSet[OpenSession], within_s: float, drop_within_s: float
    ) -> None:
        loop, sessions = asyncio.get_running_loop(), self._sessions
        until = loop.time() + within_s
        told: set[OpenSession] = set()
        while (left := these & sessions) and loop.time() < until:
            for session in islice(left - told, CLOSING_SLICE_COUNT):
                session.announce_restart(_dice.randint(*RECONNECT_AFTER_MS))
                told.add(session)
            await asyncio.sleep(CLOSING_PAUSE_S)
        for session in these & sessions:
            session.abort()
        # They hear of their end in turns, and the broker from them.
        for _ in range(int(drop_within_s / CLOSING_PAUSE_S)):
            if not these & sessions:
                break
            await asyncio.sleep(CLOSING_PAUSE_S)
