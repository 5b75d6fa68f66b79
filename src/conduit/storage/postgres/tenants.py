"""Tenants and their API keys: in the home."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from conduit.core.access import KeyRecord, TenantRecord
from conduit.grants import Grant
from conduit.limits import TenantLimits
from conduit.storage.access import (
    KEYS_MAX_COUNT,
    ROWS_MAX_COUNT,
    TENANTS_MAX_COUNT,
    key_changed,
    tenant_exists,
    tenant_not_empty,
    tenant_not_found,
    too_many,
)
from conduit.storage.postgres import scope
from conduit.storage.postgres.dead_letters import count_of

if TYPE_CHECKING:
    import asyncpg

    from conduit.storage.postgres.database import Connection

# First in its transaction: it keeps all other changes out until that ends.
_NEXT_REVISION = "UPDATE conduit.access SET revision = revision + 1 RETURNING revision"

# Those after a place, which is a revision and a name or id.
_CHANGED_TENANTS = f"""
SELECT revision, tenant, created_at_ms, limits, deleted_at_ms FROM conduit.tenants
WHERE (revision, tenant) > ($1, $2) ORDER BY revision, tenant LIMIT {ROWS_MAX_COUNT}
"""
_KEY_COLUMNS = """
key_id, tenant, name, grants, secret_hash, created_at_ms, created_by, limits, expires_at_ms,
former_hash, former_until_ms, revoked_at_ms, last_used_at_ms, revision
"""
_CHANGED_KEYS = f"""
SELECT {_KEY_COLUMNS} FROM conduit.api_keys
WHERE (revision, key_id) > ($1, $2) ORDER BY revision, key_id LIMIT {ROWS_MAX_COUNT}
"""

_DELETED_AT = "SELECT deleted_at_ms FROM conduit.tenants WHERE tenant = $1"
# Whoever makes a topic or a subscription holds the row: the tenant is deleted before, or is not empty.
_DELETED_AT_HELD = f"{_DELETED_AT} FOR KEY SHARE"
_CREATE = """
INSERT INTO conduit.tenants (tenant, created_at_ms, limits, deleted_at_ms, revision)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (tenant) DO UPDATE SET
  created_at_ms = excluded.created_at_ms, limits = excluded.limits,
  deleted_at_ms = excluded.deleted_at_ms, revision = excluded.revision
"""
_UPDATE = """
UPDATE conduit.tenants SET limits = $2, revision = $3 WHERE tenant = $1 AND deleted_at_ms IS NULL
"""
_LOCK = "SELECT FROM conduit.tenants WHERE tenant = $1 AND deleted_at_ms IS NULL FOR UPDATE"
_HAS = """
SELECT EXISTS (SELECT FROM conduit.topics WHERE tenant = $1)
    OR EXISTS (SELECT FROM conduit.subscriptions WHERE tenant = $1)
"""
_DELETE = "UPDATE conduit.tenants SET deleted_at_ms = $2, revision = $3 WHERE tenant = $1"
_REVOKE = """
UPDATE conduit.api_keys SET revoked_at_ms = $2, revision = $3
WHERE tenant = $1 AND key_id IN (
  SELECT key_id FROM conduit.api_keys WHERE tenant = $1 AND revoked_at_ms IS NULL
  ORDER BY key_id FOR NO KEY UPDATE)
"""
# Of a tenant that is deleted: one that is made anew has its own. In the order of the keys, as everybody takes
# several.
_REMOVE_LETTERS = f"""
DELETE FROM conduit.dead_letters WHERE tenant = $1 AND dead_id IN (
  SELECT dead_id FROM conduit.dead_letters WHERE tenant = $1 AND dead_id = ANY (ARRAY(
    SELECT dead_id FROM conduit.dead_letters WHERE tenant = $1 ORDER BY dead_id LIMIT {ROWS_MAX_COUNT}))
  ORDER BY topic_id, seq, subscription FOR UPDATE)
"""

_INSERT_KEY = f"""
INSERT INTO conduit.api_keys ({_KEY_COLUMNS})
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, NULL, $13)
ON CONFLICT (key_id) DO NOTHING RETURNING true, last_used_at_ms
"""
_UPDATE_KEY = """
UPDATE conduit.api_keys SET
  name = $3, grants = $4, secret_hash = $5, created_at_ms = $6, created_by = $7, limits = $8,
  expires_at_ms = $9, former_hash = $10, former_until_ms = $11, revoked_at_ms = $12, revision = $13
WHERE key_id = $1 AND tenant = $2 AND revision = $14
RETURNING true, last_used_at_ms
"""
# In the order of the keys: two servers at once wait for each other, and not in a circle.
_USED = """
WITH used AS (
  SELECT k.key_id, u.at_ms
  FROM conduit.api_keys AS k JOIN unnest($1::text[], $2::bigint[]) AS u (key_id, at_ms) USING (key_id)
  ORDER BY k.key_id FOR NO KEY UPDATE OF k
)
UPDATE conduit.api_keys AS k SET last_used_at_ms = greatest(k.last_used_at_ms, u.at_ms)
FROM used AS u WHERE k.key_id = u.key_id
"""

_FORGET_KEYS = """
DELETE FROM conduit.api_keys WHERE key_id IN (
  (SELECT key_id FROM conduit.api_keys WHERE revoked_at_ms < $1 LIMIT $2)
  UNION (SELECT key_id FROM conduit.api_keys WHERE expires_at_ms < $1 LIMIT $2)
  LIMIT $2)
"""
_FORGET_TENANTS = """
DELETE FROM conduit.tenants WHERE tenant IN (
  SELECT t.tenant FROM conduit.tenants AS t WHERE t.deleted_at_ms < $1
    AND NOT EXISTS (SELECT FROM conduit.api_keys AS k WHERE k.tenant = t.tenant)
    AND NOT EXISTS (SELECT FROM conduit.dead_letters AS d WHERE d.tenant = t.tenant)
  LIMIT $2)
"""

_GRANTS = msgspec.json.Decoder(tuple[Grant, ...])
_LIMITS = msgspec.json.Decoder(TenantLimits)


async def revision(connection: Connection) -> int:
    """The newest."""
    newest: int = await connection.fetchval("SELECT revision FROM conduit.access")
    return newest


async def tenants_after(
    connection: Connection, after: int, name: str
) -> list[tuple[int, TenantRecord]]:
    """See `changes_since`."""
    async with scope.across(connection):
        rows = await connection.fetch(_CHANGED_TENANTS, after, name)
    return [
        (
            number,
            TenantRecord(
                name=tenant,
                created_at_ms=created_at_ms,
                limits=_LIMITS.decode(limits),
                deleted_at_ms=deleted_at_ms,
            ),
        )
        for number, tenant, created_at_ms, limits, deleted_at_ms in rows
    ]


async def keys_after(connection: Connection, after: int, key_id: str) -> list[KeyRecord]:
    """See `changes_since`."""
    async with scope.across(connection):
        return [_key(row) for row in await connection.fetch(_CHANGED_KEYS, after, key_id)]


def _key(row: asyncpg.Record) -> KeyRecord:
    values: dict[str, Any] = dict(row)
    values["grants"] = _GRANTS.decode(values["grants"])
    values["limits"] = _LIMITS.decode(values["limits"])
    return KeyRecord(**values)


async def hold(connection: Connection, tenant: str) -> None:
    """Keep the tenant from being deleted until the transaction ends. Raises NotFound if it is deleted. One
    that was never made is taken."""
    if await connection.fetchval(_DELETED_AT_HELD, tenant) is not None:
        raise tenant_not_found(tenant)


async def create(connection: Connection, record: TenantRecord) -> None:
    """See `AccessStore.tenant_create`. In a transaction across tenants: it counts them. The other changes
    here are in one too, which may be the tenant's."""
    number = await _next(connection)
    row = await connection.fetchrow(_DELETED_AT, record.name)
    if row is not None and row[0] is None:
        raise tenant_exists(record.name)
    if row is None:
        count = await connection.fetchval("SELECT count(*) FROM conduit.tenants")
        if count >= TENANTS_MAX_COUNT:
            raise too_many("tenants", TENANTS_MAX_COUNT)
    values = (record.created_at_ms, _json(record.limits), record.deleted_at_ms)
    await connection.execute(_CREATE, record.name, *values, number)


async def update(connection: Connection, name: str, limits: TenantLimits) -> None:
    """See `AccessStore.tenant_update`."""
    number = await _next(connection)
    if not count_of(await connection.execute(_UPDATE, name, _json(limits), number)):
        raise tenant_not_found(name)


async def delete(connection: Connection, name: str, now_ms: int) -> None:
    """Mark it as deleted, and revoke its keys."""
    number = await _next(connection)
    if await connection.fetchrow(_LOCK, name) is None:
        raise tenant_not_found(name)
    if await connection.fetchval(_HAS, name):
        raise tenant_not_empty(name)
    await connection.execute(_DELETE, name, now_ms, number)
    await connection.execute(_REVOKE, name, now_ms, number)


async def remove_letters(connection: Connection, name: str) -> bool:
    """Remove some of the dead letters that a deleted tenant has left. Whether there may be more."""
    # Nobody makes it anew until that is done.
    if await connection.fetchval(f"{_DELETED_AT} FOR SHARE", name) is None:
        return False
    return count_of(await connection.execute(_REMOVE_LETTERS, name)) == ROWS_MAX_COUNT


async def put_key(connection: Connection, record: KeyRecord, expected: int) -> KeyRecord:
    """See `AccessStore.key_put`."""
    number = await _next(connection)
    row = await connection.fetchrow(_DELETED_AT, record.tenant)
    if row is None or row[0] is not None:
        raise tenant_not_found(record.tenant)
    values: Sequence[object] = (
        record.key_id,
        record.tenant,
        record.name,
        _json(record.grants),
        record.secret_hash,
        record.created_at_ms,
        record.created_by,
        _json(record.limits),
        record.expires_at_ms,
        record.former_hash,
        record.former_until_ms,
        record.revoked_at_ms,
        number,
    )
    if expected:
        stored = await connection.fetchrow(_UPDATE_KEY, *values, expected)
    else:
        stored = await connection.fetchrow(_INSERT_KEY, *values)
    if stored is None:
        raise key_changed(record.key_id)
    if not expected:
        count = "SELECT count(*) FROM conduit.api_keys WHERE tenant = $1"
        if await connection.fetchval(count, record.tenant) > KEYS_MAX_COUNT:
            raise too_many("keys of this tenant", KEYS_MAX_COUNT)
    return replace(record, revision=number, last_used_at_ms=stored["last_used_at_ms"])


async def used(connection: Connection, when: Mapping[str, int]) -> None:
    """See `AccessStore.keys_used`."""
    async with scope.across(connection):
        await connection.execute(_USED, [*when], [*when.values()])


async def trim(connection: Connection, before_ms: int, limit: int) -> int:
    """Forget keys, then tenants."""
    async with scope.across(connection):
        count = count_of(await connection.execute(_FORGET_KEYS, before_ms, limit))
        values = (before_ms, limit - count)
        return count + count_of(await connection.execute(_FORGET_TENANTS, *values))


async def _next(connection: Connection) -> int:
    number: int = await connection.fetchval(_NEXT_REVISION)
    return number


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
