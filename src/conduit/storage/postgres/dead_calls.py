"""The part of the store that is about dead letters: all of them are in the home."""

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
from conduit.storage.postgres import dead_letters, dead_removal
from conduit.storage.postgres.shards import Shards


class DeadLetterCalls(Shards):
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
        database = self._home.database
        ask = database.list if which.q is None else database.search
        return await ask(dead_letters.page, look)

    async def dead_places(
        self, tenant: str, which: DeadFilter, *, limit: int, before_id: str | None = None
    ) -> Found[DeadPlace]:
        max_bytes = None if which.q is None else LOOK_MAX_BYTES
        look = Look(tenant, which, limit, before_id, max_bytes)
        database = self._home.database
        ask = database.list if which.q is None else database.search
        return await ask(dead_letters.places, look)

    async def dead_groups(
        self, tenant: str, which: DeadFilter, *, before_id: str | None = None
    ) -> Found[DeadGroup]:
        database = self._home.database
        ask = database.list if which.q is None else database.search
        return await ask(dead_letters.groups, grouping(tenant, which, before_id))

    async def dead_get(self, tenant: str, dead_id: str) -> DeadLetter | None:
        return await self._home.database.ask(dead_letters.get, tenant, dead_id)

    async def dead_find(self, tenant: str, dead_ids: Sequence[str]) -> list[DeadPlace]:
        return await self._home.database.ask(dead_letters.find, tenant, dead_ids)

    async def dead_of(self, subscription: str, topic_id: int, seq: int) -> DeadLetter | None:
        return await self._home.database.ask(dead_letters.of, subscription, topic_id, seq)

    async def dead_tally(self, tenant: str, subscription: str | None) -> DeadTally:
        return await self._home.database.ask(dead_letters.tally, tenant, subscription)

    async def dead_tallies(self, tenant: str, subscriptions: Sequence[str]) -> dict[str, DeadTally]:
        return await self._home.database.ask(dead_letters.tallies, tenant, subscriptions)

    async def dead_tenants(self, limit: int) -> DeadTenants:
        return await self._home.database.ask(dead_letters.tenants, limit)

    async def dead_fates(
        self, topic_id: int, seq: int, subscriptions: Sequence[str]
    ) -> dict[str, Fate]:
        return await self._home.database.ask(dead_letters.fates, topic_id, seq, subscriptions)

    async def dead_delete(self, tenant: str, dead_ids: Sequence[str]) -> int:
        return await self._home.database.write(dead_removal.delete, tenant, dead_ids)

    async def dead_trim(self, before_ms: int, bounds: DeadBounds, limit: int) -> int:
        trim, begins = dead_removal.trim, self._first_seqs_elsewhere
        gone: list[Candidate] = []
        try:
            await self._home.database.maintain(trim, before_ms, bounds, limit, begins, gone)
        finally:
            self._losses.dropped(gone)
        return len(gone)

    async def dead_losses(self) -> list[Loss]:
        return self._losses.take()
