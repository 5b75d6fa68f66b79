"""Tenants and API keys in memory."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from conduit.core.access import AccessChanges, KeyRecord, TenantRecord
from conduit.limits import TenantLimits
from conduit.names import DEFAULT_TENANT
from conduit.storage.access import (
    KEYS_MAX_COUNT,
    TENANTS_MAX_COUNT,
    key_changed,
    tenant_exists,
    tenant_not_found,
    too_many,
)


class Tenants:
    """Synchronous. The tenant `default` is there from the start."""

    def __init__(self) -> None:
        self._revision = 0
        # With the revision of each.
        self._tenants: dict[str, tuple[int, TenantRecord]] = {}
        self._keys: dict[str, KeyRecord] = {}
        # Ids of the keys of each tenant that has some; values mean nothing.
        self._keys_of: dict[str, dict[str, None]] = {}
        self._put(TenantRecord(name=DEFAULT_TENANT, created_at_ms=0))

    def since(self, revision: int) -> AccessChanges:
        """See `AccessStore.access_since`."""
        if revision == self._revision:
            return AccessChanges(revision, [], [])
        if revision > self._revision:
            revision = 0
        tenants = [record for at, record in self._tenants.values() if at > revision]
        keys = [record for record in self._keys.values() if record.revision > revision]
        return AccessChanges(self._revision, tenants, keys)

    def check(self, name: str) -> None:
        """Raise NotFound if the tenant is deleted. One that was never made is taken."""
        _, record = self._tenants.get(name, (0, None))
        if record is not None and record.deleted_at_ms is not None:
            raise tenant_not_found(name)

    def is_there(self, name: str) -> bool:
        """Whether there is one that is not deleted."""
        _, record = self._tenants.get(name, (0, None))
        return record is not None and record.deleted_at_ms is None

    def create(self, record: TenantRecord) -> None:
        """See `AccessStore.tenant_create`."""
        if self.is_there(record.name):
            raise tenant_exists(record.name)
        if record.name not in self._tenants and len(self._tenants) >= TENANTS_MAX_COUNT:
            raise too_many("tenants", TENANTS_MAX_COUNT)
        self._put(record)

    def update(self, name: str, limits: TenantLimits) -> None:
        """See `AccessStore.tenant_update`."""
        self._put(replace(self._get(name), limits=limits))

    def delete(self, name: str, now_ms: int) -> None:
        """Mark it as deleted, and revoke its keys."""
        self._put(replace(self._get(name), deleted_at_ms=now_ms))
        for key_id in self._keys_of.get(name, ()):
            key = self._keys[key_id]
            if key.revoked_at_ms is None:
                self._keys[key_id] = replace(key, revoked_at_ms=now_ms, revision=self._revision)

    def put_key(self, record: KeyRecord, expected: int) -> KeyRecord:
        """See `AccessStore.key_put`."""
        self._get(record.tenant)
        known = self._keys.get(record.key_id)
        if (known is None) != (expected == 0):
            raise key_changed(record.key_id)
        if known is not None and (known.tenant, known.revision) != (record.tenant, expected):
            raise key_changed(record.key_id)
        ids = self._keys_of.setdefault(record.tenant, {})
        if known is None and len(ids) >= KEYS_MAX_COUNT:
            raise too_many("keys of this tenant", KEYS_MAX_COUNT)
        self._revision += 1
        ids[record.key_id] = None
        used_at_ms = None if known is None else known.last_used_at_ms
        stored = replace(record, revision=self._revision, last_used_at_ms=used_at_ms)
        self._keys[record.key_id] = stored
        return stored

    def used(self, used: Mapping[str, int]) -> None:
        """See `AccessStore.keys_used`."""
        for key_id, at_ms in used.items():
            key = self._keys.get(key_id)
            if key is not None and at_ms > (key.last_used_at_ms or 0):
                self._keys[key_id] = replace(key, last_used_at_ms=at_ms)

    def trim(self, before_ms: int, limit: int) -> int:
        """Forget keys, then tenants."""
        old_keys = [key for key in self._keys.values() if _is_over(key, before_ms)][:limit]
        for key in old_keys:
            del self._keys[key.key_id]
            ids = self._keys_of[key.tenant]
            del ids[key.key_id]
            if not ids:
                del self._keys_of[key.tenant]
        old_tenants = [
            name
            for name, (_, record) in self._tenants.items()
            if _is_before(record.deleted_at_ms, before_ms) and name not in self._keys_of
        ][: limit - len(old_keys)]
        for name in old_tenants:
            del self._tenants[name]
        return len(old_keys) + len(old_tenants)

    def _get(self, name: str) -> TenantRecord:
        _, record = self._tenants.get(name, (0, None))
        if record is None or record.deleted_at_ms is not None:
            raise tenant_not_found(name)
        return record

    def _put(self, record: TenantRecord) -> None:
        self._revision += 1
        self._tenants[record.name] = (self._revision, record)


def _is_over(key: KeyRecord, before_ms: int) -> bool:
    return _is_before(key.revoked_at_ms, before_ms) or _is_before(key.expires_at_ms, before_ms)


def _is_before(at_ms: int | None, before_ms: int) -> bool:
    return at_ms is not None and at_ms < before_ms
