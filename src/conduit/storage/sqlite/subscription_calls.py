"""The part of the store that is about durable subscriptions: what they have settled, and what died there."""

from __future__ import annotations

from collections.abc import Sequence

import apsw

from conduit.core.message import (
    Death,
    Progress,
    Redriven,
    SubscriptionRecord,
    SubscriptionSettings,
)
from conduit.storage.base import Former, Heard, OwnedBy, Settled, Start
from conduit.storage.dead import Shelf
from conduit.storage.fences import allowed
from conduit.storage.sqlite import dead_letters, former, subscriptions
from conduit.storage.sqlite.bulk import execute_all
from conduit.storage.sqlite.dead_calls import DeadLetterCalls


class SubscriptionCalls(DeadLetterCalls):
    """See `SubscriptionStore`; what they settle leaves dead letters."""

    async def subscriptions(self) -> list[SubscriptionRecord]:
        return await self._db.readers.call(subscriptions.all_records)

    async def subscriptions_of(self, subscription_ids: Sequence[int]) -> list[SubscriptionRecord]:
        return await self._db.readers.call(subscriptions.records_of, subscription_ids)

    async def subscription_create(
        self,
        tenant: str,
        name: str,
        pattern: str,
        settings: SubscriptionSettings,
        start: Start,
        now_ms: int,
    ) -> SubscriptionRecord:
        record = SubscriptionRecord(0, tenant, name, pattern, now_ms, False, settings)
        parts = await self._db.readers.call(subscriptions.beginning, tenant, pattern, start)
        return await self._db.writer.call(subscriptions.create, record, parts, start.gaps)

    async def subscription_update(
        self, subscription_id: int, settings: SubscriptionSettings, paused: bool
    ) -> None:
        await self._db.writer.call(subscriptions.update, subscription_id, settings, paused)

    async def subscription_delete(self, subscription_id: int) -> None:
        await self._db.writer.call(subscriptions.delete, subscription_id)
        self._fences.forget(subscription_id)

    async def subscription_claim(
        self, subscription_id: int, owner: str | None = None, *, by_force: bool = False
    ) -> int | OwnedBy:
        def claim(connection: apsw.Connection) -> int:
            is_there = subscriptions.is_there(connection, subscription_id)
            return self._fences.claim(subscription_id, owner) if is_there else 0

        # In its turn: what was stored before is there when this returns.
        return await self._db.writer.call(claim)

    async def subscription_release(
        self, owner: str, claimed: Sequence[tuple[int, int]]
    ) -> list[tuple[int, int]]:
        return self._fences.release(owner, claimed)

    async def subscriptions_owned(self, owner: str) -> list[tuple[int, int]]:
        return self._fences.owned(owner)

    async def subscription_fences(self, subscription_ids: Sequence[int]) -> dict[int, int]:
        found = await self._db.readers.call(subscriptions.records_of, subscription_ids)
        return self._fences.of([record.subscription_id for record in found])

    async def positions(self, tenant: str, pattern: str, start: Start) -> list[tuple[int, int]]:
        return await self._db.readers.call(subscriptions.positions, tenant, pattern, start)

    async def progress(
        self, subscription_id: int, topic_ids: Sequence[int] | None = None
    ) -> list[Progress]:
        progress = subscriptions.progress
        return await self._db.readers.call(progress, subscription_id, topic_ids)

    async def progress_at(self, places: Sequence[tuple[int, int]]) -> list[Progress]:
        return await self._db.readers.call(subscriptions.progress_at, places)

    async def settled(self, subscription_ids: Sequence[int]) -> dict[int, Settled]:
        return await self._db.readers.call(subscriptions.settled, subscription_ids)

    async def former(self, subscription_id: int) -> list[Former]:
        return await self._db.readers.call(former.of, subscription_id)

    async def former_heard(self, heard: Sequence[Heard]) -> None:
        await self._db.writer.call(former.heard, heard)

    async def former_add(self, subscription_id: int, gaps: Sequence[Former], now_ms: int) -> None:
        await self._db.writer.call(former.add, subscription_id, gaps, now_ms)

    async def former_trim(self, before_ms: int, limit: int) -> int:
        return await self._db.writer.housekeep(former.trim, before_ms, limit)

    async def settle(
        self,
        progress: Sequence[Progress],
        deaths: Sequence[Death],
        redriven: Sequence[Redriven] = (),
    ) -> set[int]:
        refused = self._fences.refused(progress)
        rows, deaths = allowed(refused, progress), allowed(refused, deaths)
        lost = await self._db.writer.call(_settle, rows, deaths, allowed(refused, redriven))
        for shelf, count in lost:
            self._losses.lost(shelf, count)
        return refused

    async def seek(
        self,
        subscription_id: int,
        positions: Sequence[tuple[int, int]],
        fence: int | None = None,
    ) -> None:
        move = await self._db.readers.call(subscriptions.move, positions)

        def seek(connection: apsw.Connection) -> None:
            subscriptions.seek(connection, subscription_id, move)
            self._fences.moved(subscription_id, fence)

        await self._db.writer.call(seek)


def _settle(
    connection: apsw.Connection,
    progress: Sequence[Progress],
    deaths: Sequence[Death],
    redriven: Sequence[Redriven],
) -> list[tuple[Shelf, int]]:
    rows = subscriptions.progress_statements(progress)
    letters = dead_letters.death_statements(deaths) + dead_letters.redriven_statements(redriven)
    execute_all(connection, [*rows, *letters])
    return dead_letters.lost(connection, deaths) if deaths else []
