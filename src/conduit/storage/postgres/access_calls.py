"""The part of the store that is about tenants, keys, tickets and what was done: all of it is in the home."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Unpack

from conduit.core.access import AccessChanges, AuditEntry, KeyRecord, TenantRecord
from conduit.limits import TenantLimits
from conduit.storage.access import AuditFilter, AuditLook, changes_since
from conduit.storage.dead_letters import Found
from conduit.storage.postgres import audit, facts, tenants, tickets
from conduit.storage.postgres.subscription_calls import SubscriptionCalls


class AccessCalls(SubscriptionCalls):
    """See `AccessStore`."""

    async def access_since(self, revision: int) -> AccessChanges:
        # Who asks after a change without an answer is told what became of it.
        await self._home.lane.known()
        ask = self._home.database.ask
        newest = await ask(tenants.revision)
        return await changes_since(
            revision,
            newest,
            lambda after, name: ask(tenants.tenants_after, after, name),
            lambda after, key_id: ask(tenants.keys_after, after, key_id),
        )

    async def tenant_create(self, record: TenantRecord) -> None:
        # Of one that was deleted while its server ended.
        while await self._home.lane.change_of(record.name, tenants.remove_letters, record.name):
            pass
        await self._home.lane.change(tenants.create, record)

    async def tenant_update(self, name: str, limits: TenantLimits) -> None:
        await self._home.lane.change_of(name, tenants.update, name, limits)

    async def tenant_delete(self, name: str, now_ms: int) -> None:
        await self._home.lane.change_of(name, tenants.delete, name, now_ms)
        while await self._home.lane.change_of(name, tenants.remove_letters, name):
            pass

    async def key_put(self, record: KeyRecord, expected: int) -> KeyRecord:
        return await self._home.lane.change_of(record.tenant, tenants.put_key, record, expected)

    async def keys_used(self, used: Mapping[str, int]) -> None:
        await self._home.database.change(tenants.used, used)

    async def keys_trim(self, before_ms: int, limit: int) -> int:
        maintain = self._home.database.maintain
        count = await maintain(tenants.trim, before_ms, limit)
        return count + await maintain(tickets.expire, before_ms, limit - count)

    async def ticket_put(
        self, ticket_hash: bytes, value: bytes, expires_at_ms: int, now_ms: int
    ) -> None:
        put = tickets.put
        await self._home.database.change(put, ticket_hash, value, expires_at_ms, now_ms)

    async def ticket_take(self, ticket_hash: bytes, now_ms: int) -> bytes | None:
        return await self._home.database.change(tickets.take, ticket_hash, now_ms)

    async def audit_add(self, entries: Sequence[AuditEntry]) -> None:
        await self._home.database.change(audit.add, entries)

    async def audit_page(
        self,
        tenant: str | None,
        *,
        limit: int,
        before_id: str | None = None,
        **which: Unpack[AuditFilter],
    ) -> Found[AuditEntry]:
        look = AuditLook(tenant, limit, before_id, **which)
        return await self._home.database.ask(audit.page, look)

    async def audit_trim(self, before_ms: int, limit: int) -> int:
        return await self._home.database.maintain(audit.trim, before_ms, limit)

    async def first_fact(self, name: str, value: bytes) -> bytes:
        return await self._home.database.write(facts.first, name, value)
