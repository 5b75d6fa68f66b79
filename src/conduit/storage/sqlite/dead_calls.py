"""The part of the store that is about dead letters."""

from __future__ import annotations

from collections.abc import Sequence

from conduit.core.message import DeadLetter, DeadPlace
from conduit.storage.dead import Candidate, Look, grouping
from conduit.storage.dead_letters import (
    LOOK_MAX_BYTES,
    DeadBounds,
    DeadFilter,
    DeadGroup,
    DeadTally,
    DeadTenants,
    Fate,
    Found,
    Loss,
)
from conduit.storage.sqlite import dead_letters, dead_removal
from conduit.storage.sqlite.file import StoreFile
from conduit.storage.sqlite.worker import Worker


class DeadLetterCalls(StoreFile):
    """See `DeadLetterStore`."""

    async def dead_list(
        self,
        tenant: str,
        which: DeadFilter,
        *,
        limit: int,
        before_id: str | None = None,
        max_bytes: int = LOOK_MAX_BYTES,
    ) -> Found[DeadLetter]:
        look = Look(tenant, which, limit, before_id, max_bytes)
        return await self._looker(which).call(dead_letters.page, look)

    async def dead_places(
        self, tenant: str, which: DeadFilter, *, limit: int, before_id: str | None = None
    ) -> Found[DeadPlace]:
        max_bytes = None if which.q is None else LOOK_MAX_BYTES
        look = Look(tenant, which, limit, before_id, max_bytes)
        return await self._looker(which).call(dead_letters.places, look)

    async def dead_groups(
        self, tenant: str, which: DeadFilter, *, before_id: str | None = None
    ) -> Found[DeadGroup]:
        look = grouping(tenant, which, before_id)
        return await self._looker(which).call(dead_letters.groups, look)

    def _looker(self, which: DeadFilter) -> Worker:
        return self._db.lister if which.q is None else self._db.searcher

    async def dead_get(self, tenant: str, dead_id: str) -> DeadLetter | None:
        return await self._db.readers.call(dead_letters.get, tenant, dead_id)

    async def dead_find(self, tenant: str, dead_ids: Sequence[str]) -> list[DeadPlace]:
        return await self._db.readers.call(dead_letters.find, tenant, dead_ids)

    async def dead_of(self, subscription: str, topic_id: int, seq: int) -> DeadLetter | None:
        return await self._db.readers.call(dead_letters.of, subscription, topic_id, seq)

    async def dead_tally(self, tenant: str, subscription: str | None) -> DeadTally:
        return await self._db.readers.call(dead_letters.tally, tenant, subscription)

    async def dead_tallies(self, tenant: str, subscriptions: Sequence[str]) -> dict[str, DeadTally]:
        return await self._db.readers.call(dead_letters.tallies, tenant, subscriptions)

    async def dead_tenants(self, limit: int) -> DeadTenants:
        return await self._db.readers.call(dead_letters.tenants, limit)

    async def dead_fates(
        self, topic_id: int, seq: int, subscriptions: Sequence[str]
    ) -> dict[str, Fate]:
        return await self._db.readers.call(dead_letters.fates, topic_id, seq, subscriptions)

    async def dead_delete(self, tenant: str, dead_ids: Sequence[str]) -> int:
        return await self._db.writer.call(dead_removal.delete, tenant, dead_ids)

    async def dead_trim(self, before_ms: int, bounds: DeadBounds, limit: int) -> int:
        trim = dead_removal.trim
        gone: list[Candidate] = []
        try:
            await self._db.writer.housekeep(trim, before_ms, bounds, limit, gone)
        finally:
            self._losses.dropped(gone)
        return len(gone)

    async def dead_losses(self) -> list[Loss]:
        return self._losses.take()
