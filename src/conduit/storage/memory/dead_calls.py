"""The part of the store that is about dead letters, which take their room from the log."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from conduit.core.message import DeadLetter, DeadPlace
from conduit.storage.dead import Look, grouping
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
from conduit.storage.memory.dead_letters import DeadLetters
from conduit.storage.memory.dead_search import groups, matching
from conduit.storage.memory.log import Log


class DeadLetterCalls:
    """See `DeadLetterStore`. They may take `letters_max_bytes` of what the log has."""

    def __init__(self, log: Log, letters_max_bytes: int) -> None:
        self._log = log
        self._dead = DeadLetters(letters_max_bytes)

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
        return matching(self._dead, look).each(replace)

    async def dead_places(
        self, tenant: str, which: DeadFilter, *, limit: int, before_id: str | None = None
    ) -> Found[DeadPlace]:
        look = Look(tenant, which, limit, before_id, None)
        return matching(self._dead, look).each(lambda letter: letter.place)

    async def dead_groups(
        self, tenant: str, which: DeadFilter, *, before_id: str | None = None
    ) -> Found[DeadGroup]:
        return groups(self._dead, grouping(tenant, which, before_id))

    async def dead_get(self, tenant: str, dead_id: str) -> DeadLetter | None:
        return self._dead.get(tenant, dead_id)

    async def dead_find(self, tenant: str, dead_ids: Sequence[str]) -> list[DeadPlace]:
        found = (self._dead.get(tenant, dead_id) for dead_id in sorted(set(dead_ids)))
        return [letter.place for letter in found if letter is not None]

    async def dead_of(self, subscription: str, topic_id: int, seq: int) -> DeadLetter | None:
        return self._dead.of(subscription, topic_id, seq)

    async def dead_tally(self, tenant: str, subscription: str | None) -> DeadTally:
        return self._dead.tally(tenant, subscription)

    async def dead_tallies(self, tenant: str, subscriptions: Sequence[str]) -> dict[str, DeadTally]:
        return {name: self._dead.tally(tenant, name) for name in subscriptions}

    async def dead_tenants(self, limit: int) -> DeadTenants:
        return self._dead.tenants(limit)

    async def dead_fates(
        self, topic_id: int, seq: int, subscriptions: Sequence[str]
    ) -> dict[str, Fate]:
        return self._dead.fates(topic_id, seq, subscriptions)

    async def dead_delete(self, tenant: str, dead_ids: Sequence[str]) -> int:
        removed = self._dead.delete(tenant, dead_ids, self._log.first_seq)
        self._log.reserve(self._dead.size_bytes)
        return removed

    async def dead_trim(self, before_ms: int, bounds: DeadBounds, limit: int) -> int:
        removed = self._dead.trim(before_ms, bounds, limit, self._log.first_seq)
        self._log.reserve(self._dead.size_bytes)
        return removed

    async def dead_losses(self) -> list[Loss]:
        return self._dead.losses.take()
