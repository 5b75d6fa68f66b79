"""What is not kept any more: old entries of the audit log; keys, tenants and tickets that ended long ago."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from conduit.errors import ConduitError
from conduit.storage.access import AccessStore
from conduit.tenancy.registry import ENDED_MAX_AGE_S, WallClock

INTERVAL_S = 60.0
# In one commit.
SLICE_COUNT = 500
AUDIT_MAX_AGE_S = 90 * 24 * 3_600

logger = logging.getLogger(__name__)


class CleanedStore(AccessStore, Protocol):
    """A store, as far as it is cleaned here."""

    async def cleans_up(self) -> bool:
        """See `Store.cleans_up`."""


class Cleaner:
    """Removes it once a minute, in slices, if this server is the one that does so."""

    def __init__(
        self, store: CleanedStore, clock: WallClock, audit_max_age_s: int = AUDIT_MAX_AGE_S
    ) -> None:
        self._store = store
        self._clock = clock
        self._audit_max_age_s = audit_max_age_s
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin; the first round is in a minute."""
        self._running = asyncio.get_running_loop().create_task(self._run(), name="cleaning")

    async def close(self) -> None:
        """Stop. Idempotent."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
            self._running = None

    async def clean(self) -> None:
        """One round. Raises StoreUnavailable."""
        if not await self._store.cleans_up():
            return
        now_ms = self._clock.wall_ms()
        await _all(self._store.audit_trim, now_ms - self._audit_max_age_s * 1000)
        await _all(self._store.keys_trim, now_ms - ENDED_MAX_AGE_S * 1000)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL_S)
            try:
                await self.clean()
            except ConduitError as error:
                logger.warning("the audit log is not cleaned now: %s", error.detail)
            except Exception:  # the root of a task
                logger.exception("the audit log could not be cleaned")


async def _all(trim: Callable[[int, int], Awaitable[int]], before_ms: int) -> None:
    while await trim(before_ms, SLICE_COUNT) == SLICE_COUNT:
        pass
