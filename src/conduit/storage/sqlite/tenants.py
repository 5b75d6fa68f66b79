"""Tenants and their API keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import apsw
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
from conduit.storage.sqlite.bulk import Query, rows, transaction

_NEXT_REVISION = "UPDATE access SET revision = revision + 1 RETURNING revision"

# Those after a place, which is a revision and a name or id.
_CHANGED_TENANTS = Query(
    f"""
    SELECT json_group_array(json_array(revision, json_object(
      'name', tenant, 'created_at_ms', created_at_ms, 'limits', json(limits),
      'deleted_at_ms', deleted_at_ms)))
    FROM (
      SELECT * FROM tenants WHERE (revision, tenant) > (?, ?)
      ORDER BY revision, tenant LIMIT {ROWS_MAX_COUNT})
    """,
    tuple[int, TenantRecord],
)


class _KeyRow(NamedTuple):
    key_id: str
    tenant: str
    name: str
    grants: tuple[Grant, ...]
    secret_digits: str
    created_at_ms: int
    created_by: str
    limits: TenantLimits
    expires_at_ms: int | None
    former_digits: str | None
    former_until_ms: int | None
    revoked_at_ms: int | None
    last_used_at_ms: int | None
    revision: int


_CHANGED_KEYS = Query(
    f"""
    SELECT json_group_array(json_array(
      key_id, tenant, name, json(grants), hex(secret_hash), created_at_ms, created_by, json(limits),
      expires_at_ms, iif(former_hash IS NULL, NULL, hex(former_hash)), former_until_ms, revoked_at_ms,
      last_used_at_ms, revision))
    FROM (
      SELECT * FROM api_keys WHERE (revision, key_id) > (?, ?)
      ORDER BY revision, key_id LIMIT {ROWS_MAX_COUNT})
    """,
    _KeyRow,
)

_IS_THERE = "SELECT 1 FROM tenants WHERE tenant = ? AND deleted_at_ms IS NULL"
_IS_DELETED = "SELECT 1 FROM tenants WHERE tenant = ? AND deleted_at_ms IS NOT NULL"
_CREATE = """
INSERT INTO tenants VALUES (?, ?, ?, ?, ?)
ON CONFLICT (tenant) DO UPDATE SET
  created_at_ms = excluded.created_at_ms, limits = excluded.limits,
  deleted_at_ms = excluded.deleted_at_ms, revision = excluded.revision
"""
_UPDATE = """
UPDATE tenants SET limits = ?, revision = ? WHERE tenant = ? AND deleted_at_ms IS NULL RETURNING 1
"""
_DELETE = """
UPDATE tenants SET deleted_at_ms = ?, revision = ? WHERE tenant = ? AND deleted_at_ms IS NULL RETURNING 1
"""
_HAS = """
SELECT EXISTS (SELECT 1 FROM topics WHERE tenant = ?1)
    OR EXISTS (SELECT 1 FROM subscriptions WHERE tenant = ?1)
"""
_REVOKE = """
UPDATE api_keys SET revoked_at_ms = ?, revision = ? WHERE tenant = ? AND revoked_at_ms IS NULL
"""
# Of a tenant that is deleted: one that is made anew has its own.
_REMOVE_LETTERS = f"""
DELETE FROM dead_letters WHERE tenant = ?1 AND dead_id IN (
  SELECT dead_id FROM dead_letters WHERE tenant = ?1 LIMIT {ROWS_MAX_COUNT})
AND EXISTS (SELECT 1 FROM tenants WHERE tenant = ?1 AND deleted_at_ms IS NOT NULL)
"""

_COUNT = "SELECT count(*) FROM api_keys WHERE tenant = ?"
_INSERT_KEY = """
INSERT INTO api_keys VALUES (
  :key_id, :tenant, :name, :grants, :secret_hash, :created_at_ms, :created_by, :limits,
  :expires_at_ms, :former_hash, :former_until_ms, :revoked_at_ms, NULL, :revision)
ON CONFLICT (key_id) DO NOTHING RETURNING last_used_at_ms
"""
_UPDATE_KEY = """
UPDATE api_keys SET
  name = :name, grants = :grants, secret_hash = :secret_hash, created_at_ms = :created_at_ms,
  created_by = :created_by, limits = :limits, expires_at_ms = :expires_at_ms,
  former_hash = :former_hash, former_until_ms = :former_until_ms, revoked_at_ms = :revoked_at_ms,
  revision = :revision
WHERE key_id = :key_id AND tenant = :tenant AND revision = :expected
RETURNING last_used_at_ms
"""
_USED = """
UPDATE api_keys SET last_used_at_ms = max(coalesce(last_used_at_ms, 0), u.value)
FROM json_each(?) AS u WHERE key_id = u.key
"""

# With a limit for each, an index finds them; else all keys are looked at for the order of the union.
_FORGET_KEYS = """
DELETE FROM api_keys WHERE key_id IN (
  SELECT key_id FROM (SELECT key_id FROM api_keys WHERE revoked_at_ms < ?1 LIMIT ?2)
  UNION SELECT key_id FROM (SELECT key_id FROM api_keys WHERE expires_at_ms < ?1 LIMIT ?2)
  LIMIT ?2)
"""
_FORGET_TENANTS = """
DELETE FROM tenants WHERE tenant IN (
  SELECT t.tenant FROM tenants AS t WHERE t.deleted_at_ms < ?1
    AND NOT EXISTS (SELECT 1 FROM api_keys AS k WHERE k.tenant = t.tenant)
    AND NOT EXISTS (SELECT 1 FROM dead_letters AS d WHERE d.tenant = t.tenant)
  LIMIT ?2)
"""


def revision(connection: apsw.Connection) -> int:
    """The newest."""
    newest: int = rows(connection, "SELECT revision FROM access")[0][0]
    return newest


def tenants_after(
    connection: apsw.Connection, after: int, name: str
) -> list[tuple[int, TenantRecord]]:
    """Those that were changed after a revision, or with it and have later names: with the revision of each,
    in their order, ROWS_MAX_COUNT if there are more."""
    return _CHANGED_TENANTS(connection, (after, name))


def keys_after(connection: apsw.Connection, after: int, key_id: str) -> list[KeyRecord]:
    """As `tenants_after`, by their ids."""
    return [_key(row) for row in _CHANGED_KEYS(connection, (after, key_id))]


def _key(row: _KeyRow) -> KeyRecord:
    values: dict[str, Any] = row._asdict()
    values["secret_hash"] = bytes.fromhex(values.pop("secret_digits"))
    digits = values.pop("former_digits")
    values["former_hash"] = None if digits is None else bytes.fromhex(digits)
    return KeyRecord(**values)


def check(connection: apsw.Connection, tenant: str) -> None:
    """Raise NotFound if the tenant is deleted. One that was never made is taken."""
    if rows(connection, _IS_DELETED, (tenant,)):
        raise tenant_not_found(tenant)


def create(connection: apsw.Connection, record: TenantRecord) -> None:
    """See `AccessStore.tenant_create`; what is left of one before is removed."""
    with transaction(connection):
        if rows(connection, _IS_THERE, (record.name,)):
            raise tenant_exists(record.name)
        if rows(connection, "SELECT count(*) FROM tenants")[0][0] >= TENANTS_MAX_COUNT and not rows(
            connection, _IS_DELETED, (record.name,)
        ):
            raise too_many("tenants", TENANTS_MAX_COUNT)
        values = (record.name, record.created_at_ms, _json(record.limits), record.deleted_at_ms)
        connection.execute(_CREATE, (*values, _next(connection)))


def update(connection: apsw.Connection, name: str, limits: TenantLimits) -> None:
    """See `AccessStore.tenant_update`."""
    with transaction(connection):
        if not rows(connection, _UPDATE, (_json(limits), _next(connection), name)):
            raise tenant_not_found(name)


def delete(connection: apsw.Connection, name: str, now_ms: int) -> None:
    """Mark it as deleted, and revoke its keys."""
    with transaction(connection):
        number = _next(connection)
        if not rows(connection, _DELETE, (now_ms, number, name)):
            raise tenant_not_found(name)
        if rows(connection, _HAS, (name,))[0][0]:
            raise tenant_not_empty(name)
        connection.execute(_REVOKE, (now_ms, number, name))


def remove_letters(connection: apsw.Connection, name: str) -> bool:
    """Remove some of the dead letters that a deleted tenant has left. Whether there may be more."""
    connection.execute(_REMOVE_LETTERS, (name,))
    return connection.changes() == ROWS_MAX_COUNT


def put_key(connection: apsw.Connection, record: KeyRecord, expected: int) -> KeyRecord:
    """See `AccessStore.key_put`."""
    with transaction(connection):
        if not rows(connection, _IS_THERE, (record.tenant,)):
            raise tenant_not_found(record.tenant)
        number = _next(connection)
        values = msgspec.structs.asdict(record)
        values |= {"grants": _json(record.grants), "limits": _json(record.limits)}
        values |= {"revision": number, "expected": expected}
        stored = rows(connection, _UPDATE_KEY if expected else _INSERT_KEY, values)
        if not stored:
            raise key_changed(record.key_id)
        if not expected and rows(connection, _COUNT, (record.tenant,))[0][0] > KEYS_MAX_COUNT:
            raise too_many("keys of this tenant", KEYS_MAX_COUNT)
    return replace(record, revision=number, last_used_at_ms=stored[0][0])


def used(connection: apsw.Connection, when: Mapping[str, int]) -> None:
    """See `AccessStore.keys_used`."""
    connection.execute(_USED, (_json(when),))


def trim(connection: apsw.Connection, before_ms: int, limit: int) -> int:
    """Forget keys, then tenants."""
    with transaction(connection):
        connection.execute(_FORGET_KEYS, (before_ms, limit))
        count = connection.changes()
        connection.execute(_FORGET_TENANTS, (before_ms, limit - count))
        return count + connection.changes()


def _next(connection: apsw.Connection) -> int:
    number: int = rows(connection, _NEXT_REVISION)[0][0]
    return number


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
