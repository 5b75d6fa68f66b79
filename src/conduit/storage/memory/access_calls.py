"""The part of the store that is about tenants, keys, tickets and what was done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Unpack

from conduit.core.access import AccessChanges, AuditEntry, KeyRecord, TenantRecord
from conduit.limits import TenantLimits
from conduit.storage.access import (
    ROWS_MAX_COUNT,
    TICKETS_MAX_COUNT,
    TICKETS_TRIMMED_COUNT,
    AuditFilter,
    AuditLook,
    tenant_not_empty,
    too_many,
)
from conduit.storage.dead_letters import Found
from conduit.storage.memory.audit import Audit
from conduit.storage.memory.log import Log
from conduit.storage.memory.subscription_calls import SubscriptionCalls
from conduit.storage.slices import in_slices


class AccessCalls(SubscriptionCalls):
    """See `AccessStore`."""

    def __init__(self, log: Log, letters_max_bytes: int) -> None:
        super().__init__(log, letters_max_bytes)
        self._facts: dict[str, bytes] = {}
        self._audit = Audit()
        # Hash → value, and until when; in the order in which they came.
        self._tickets: dict[bytes, tuple[bytes, int]] = {}

    async def access_since(self, revision: int) -> AccessChanges:
        return self._tenants.since(revision)

    async def tenant_create(self, record: TenantRecord) -> None:
        self._tenants.create(record)

    async def tenant_update(self, name: str, limits: TenantLimits) -> None:
        self._tenants.update(name, limits)

    async def tenant_delete(self, name: str, now_ms: int) -> None:
        if self._tenants.is_there(name):
            has_topic = any(topic.record.tenant == name for topic in self._log.topics.values())
            if has_topic or self._subscriptions.has_any(name):
                raise tenant_not_empty(name)
        self._tenants.delete(name, now_ms)
        # Its own list of ids: a tenant of the name that is made meanwhile has others.
        letters = self._dead.of_tenant(name)
        async for some in in_slices(letters):
            await self.dead_delete(name, some)

    async def key_put(self, record: KeyRecord, expected: int) -> KeyRecord:
        return self._tenants.put_key(record, expected)

    async def keys_used(self, used: Mapping[str, int]) -> None:
        self._tenants.used(used)

    async def keys_trim(self, before_ms: int, limit: int) -> int:
        count = self._tenants.trim(before_ms, limit)
        return count + self._expire(before_ms, limit - count)

    async def ticket_put(
        self, ticket_hash: bytes, value: bytes, expires_at_ms: int, now_ms: int
    ) -> None:
        self._expire(now_ms, TICKETS_TRIMMED_COUNT)
        if len(self._tickets) >= TICKETS_MAX_COUNT:
            raise too_many("tickets", TICKETS_MAX_COUNT)
        self._tickets[ticket_hash] = (value, expires_at_ms)

    async def ticket_take(self, ticket_hash: bytes, now_ms: int) -> bytes | None:
        value, expires_at_ms = self._tickets.pop(ticket_hash, (None, 0))
        return value if expires_at_ms > now_ms else None

    def _expire(self, now_ms: int, limit: int) -> int:
        """Forget tickets among the oldest, which expire first, unless some are given longer."""
        looked_at = islice(self._tickets.items(), ROWS_MAX_COUNT)
        over = [one for one, (_, at_ms) in looked_at if at_ms <= now_ms][: max(limit, 0)]
        for ticket_hash in over:
            del self._tickets[ticket_hash]
        return len(over)

    async def audit_add(self, entries: Sequence[AuditEntry]) -> None:
        self._audit.add(entries)

    async def audit_page(
        self,
        tenant: str | None,
        *,
        limit: int,
        before_id: str | None = None,
        **which: Unpack[AuditFilter],
    ) -> Found[AuditEntry]:
        look = AuditLook(tenant, limit, before_id, **which)
        return self._audit.page(look)

    async def audit_trim(self, before_ms: int, limit: int) -> int:
        return self._audit.trim(before_ms, limit)

    async def first_fact(self, name: str, value: bytes) -> bytes:
        return self._facts.setdefault(name, value)
