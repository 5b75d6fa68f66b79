"""The audit log: in the home."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import astuple

from conduit.core.access import AuditEntry
from conduit.storage.access import AuditLook
from conduit.storage.dead_letters import Found
from conduit.storage.postgres import scope
from conduit.storage.postgres.dead_letters import count_of

if TYPE_CHECKING:
    from conduit.storage.postgres.database import Connection

_COLUMNS = ", ".join(AuditEntry.__struct_fields__)
_TYPES = ", ".join(
    f"${at}::{'bigint' if name == 'at_ms' else 'text'}[]"
    for at, name in enumerate(AuditEntry.__struct_fields__, 1)
)
# In the order of the keys: two servers that add the same wait for each other, and not in a circle.
_ADD = f"""
INSERT INTO conduit.audit ({_COLUMNS})
SELECT {_COLUMNS} FROM unnest({_TYPES}) AS e ({_COLUMNS}) ORDER BY entry_id
ON CONFLICT (entry_id) DO NOTHING
"""

# What is looked at; an index has each in its order, newest first.
_CONDITIONS = {
    "from_ms": "at_ms >= {}",
    "to_ms": "at_ms < {}",
    # NULL, and so nothing, if it is not there.
    "before_id": "(at_ms, entry_id) < (SELECT at_ms, entry_id FROM ({of}) AS b WHERE entry_id = {})",
}
_OF_TENANT = "SELECT * FROM conduit.audit WHERE tenant = $1"
_OF_ALL = "SELECT * FROM conduit.audit"
_ORDER = "ORDER BY at_ms DESC, entry_id DESC"
_TRIM = """
DELETE FROM conduit.audit WHERE entry_id IN (
  SELECT entry_id FROM conduit.audit WHERE at_ms < $1 ORDER BY at_ms, entry_id LIMIT $2)
"""


async def add(connection: Connection, entries: Sequence[AuditEntry]) -> None:
    """See `AccessStore.audit_add`."""
    if entries:
        rows = [astuple(entry) for entry in entries]
        async with scope.across(connection):
            await connection.execute(_ADD, *[list(column) for column in zip(*rows, strict=True)])


async def page(connection: Connection, look: AuditLook) -> Found[AuditEntry]:
    """See `AccessStore.audit_page`."""
    meant, values = _meant(look)
    looked_at = f"{meant} {_ORDER} LIMIT ${len(values) + 1}"
    low = f"SELECT entry_id FROM ({looked_at}) AS a {_ORDER} LIMIT 1 OFFSET ${len(values) + 1} - 1"
    wanted = ["true"]
    low_values = (*values, look.max_count)
    values.append(look.max_count)
    for name in ("actor", "action"):
        value = getattr(look, name)
        if value is not None:
            values.append(value)
            wanted.append(f"{name} = ${len(values)}")
    found = f"SELECT {_COLUMNS} FROM ({looked_at}) AS a WHERE {' AND '.join(wanted)} {_ORDER}"
    # What belongs to no tenant is for those who may see all.
    async with scope.of(connection, look.tenant) if look.tenant else scope.across(connection):
        low_id: str | None = await connection.fetchval(low, *low_values)
        rows = await connection.fetch(f"{found} LIMIT ${len(values) + 1}", *values, look.limit)
    return look.found([AuditEntry(**row) for row in rows], low_id)


def _meant(look: AuditLook) -> tuple[str, list[Any]]:
    """Which entries are looked at, as SQL and its values."""
    of, values = (_OF_ALL, list[Any]()) if look.tenant is None else (_OF_TENANT, [look.tenant])
    conditions = ["true"]
    for name, condition in _CONDITIONS.items():
        value = getattr(look, name)
        if value is not None:
            values.append(value)
            conditions.append(condition.format(f"${len(values)}", of=of))
    return f"SELECT * FROM ({of}) AS a WHERE {' AND '.join(conditions)}", values


async def trim(connection: Connection, before_ms: int, limit: int) -> int:
    """See `AccessStore.audit_trim`."""
    async with scope.across(connection):
        return count_of(await connection.execute(_TRIM, before_ms, limit))
