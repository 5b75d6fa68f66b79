"""The audit log."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import apsw
from msgspec.structs import astuple

from conduit.core.access import AuditEntry
from conduit.storage.access import AuditLook
from conduit.storage.dead_letters import Found
from conduit.storage.sqlite.bulk import Insert, Query, execute_all, rows

_FIELDS = AuditEntry.__struct_fields__
_ADD = Insert("audit", len(_FIELDS), "ON CONFLICT (entry_id) DO NOTHING")

# What is looked at; an index has each in its order, newest first.
_CONDITIONS = {
    "from_ms": "at_ms >= :from_ms",
    "to_ms": "at_ms < :to_ms",
    # NULL, and so nothing, if it is not there.
    "before_id": """
    (at_ms, entry_id) < (
      SELECT at_ms, entry_id FROM audit
      WHERE entry_id = :before_id AND tenant = coalesce(:tenant, tenant))
    """,
}
_OF_TENANT = "SELECT * FROM audit WHERE tenant = :tenant"
_OF_ALL = "SELECT * FROM audit WHERE TRUE"
_NEWEST = "ORDER BY at_ms DESC, entry_id DESC LIMIT :max_count"
_LOW = "SELECT entry_id FROM ({}) LIMIT 1 OFFSET :max_count - 1"
_FOUND = """
SELECT json_group_array(json_object({})) FROM (
  SELECT * FROM ({})
  WHERE actor = coalesce(:actor, actor) AND action = coalesce(:action, action) LIMIT :limit)
"""
_TRIM = """
DELETE FROM audit WHERE entry_id IN (
  SELECT entry_id FROM audit WHERE at_ms < ? ORDER BY at_ms, entry_id LIMIT ?)
"""


@lru_cache
def _looks(of: str, conditions: tuple[str, ...]) -> tuple[str, Query[AuditEntry]]:
    """The last that is looked at, and those that match."""
    look = " AND ".join([of, *(_CONDITIONS[name] for name in conditions)]) + f" {_NEWEST}"
    fields = ", ".join(f"'{name}', {name}" for name in _FIELDS)
    return _LOW.format(look), Query(_FOUND.format(fields, look), AuditEntry)


def add(connection: apsw.Connection, entries: Sequence[AuditEntry]) -> None:
    """See `AccessStore.audit_add`."""
    execute_all(connection, list(_ADD.statements([astuple(entry) for entry in entries])))


def page(connection: apsw.Connection, look: AuditLook) -> Found[AuditEntry]:
    """See `AccessStore.audit_page`."""
    values = {**look._asdict(), "max_count": look.max_count}
    of = _OF_ALL if look.tenant is None else _OF_TENANT
    low, found = _looks(of, tuple(name for name in _CONDITIONS if values[name] is not None))
    lowest = rows(connection, low, values)
    return look.found(found(connection, values), lowest[0][0] if lowest else None)


def trim(connection: apsw.Connection, before_ms: int, limit: int) -> int:
    """See `AccessStore.audit_trim`."""
    connection.execute(_TRIM, (before_ms, limit))
    return connection.changes()
