"""How a database notices that it is a copy.

The database remembers where it is: the cluster, the database in it, the table of topics, the timeline. A dump
that is restored has another table at least; one in another cluster has another cluster. A cluster that was
restored to a point in time, and a standby that was promoted, go on in a new timeline. Of a standby nothing is
missing if commits waited for it: synchronous replication, as the database was told when Conduit opened it
last. Of any other nobody knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
import msgspec

from conduit.storage.postgres import facts, scope

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from conduit.storage.postgres.database import Connection

_FACT = "copy"

RESTORED = (
    "its tables are others than those that this server was started with: a backup was restored under it, "
    "or they were dropped. Nothing is stored or handed out until the server is started again; it then gives "
    "all topics new epochs"
)

_SYSTEM = "SELECT system_identifier::text FROM pg_control_system()"
_PLACE = """
SELECT (SELECT oid FROM pg_database WHERE datname = current_database())::bigint AS database_oid,
       'conduit.topics'::regclass::oid::bigint AS table_oid,
       ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint AS timeline
"""
_TABLE = "SELECT to_regclass('conduit.topics')::oid::bigint"
_SETTINGS = """
SELECT name, setting FROM pg_settings
WHERE name = ANY ('{synchronous_commit,synchronous_standby_names}') OR name LIKE 'recovery\\_target%'
"""
# With these a commit is answered when a standby has it.
_WAITS_FOR_STANDBY = frozenset({"on", "remote_apply", "remote_write"})
# These say how to restore, not that.
_NO_TARGETS = frozenset(
    {"recovery_target_action", "recovery_target_inclusive", "recovery_target_timeline"}
)

_RENEW = """
UPDATE conduit.topics AS t SET epoch = e.epoch
FROM unnest($1::bigint[], $2::text[]) AS e (topic_id, epoch) WHERE t.topic_id = e.topic_id
"""


class Place(msgspec.Struct, frozen=True):
    """Where a database is, and what that says of its successors."""

    system: str
    """Of the cluster; empty if that may not be asked."""
    database_oid: int
    table_oid: int
    timeline: int
    is_synchronous: bool
    is_forgetful: bool = False
    """Whether a server has missed there what it had stored."""


async def why_copied(connection: Connection) -> str | None:
    """Why the database is a copy, or None. Then, and if it is new, it remembers where it is."""
    found, has_target = await _place(connection)
    stored = await facts.get(connection, _FACT)
    if stored is not None:
        why = _why(msgspec.json.decode(stored, type=Place), found, has_target=has_target)
        if why is not None:
            return why
    await facts.keep(connection, _FACT, msgspec.json.encode(found))
    return None


async def table_oid(connection: Connection) -> int | None:
    """Of the table of topics, which is another one after a dump was restored; None if there is none."""
    found: int | None = await connection.fetchval(_TABLE)
    return found


async def trust(connection: Connection) -> None:
    """See `Store.trust`."""
    found, _ = await _place(connection)
    await facts.keep(connection, _FACT, msgspec.json.encode(found))


async def distrust(connection: Connection) -> None:
    """Something that was stored is missing: from the next start on it is taken for a copy."""
    found, _ = await _place(connection)
    place = msgspec.structs.replace(found, is_forgetful=True)
    await facts.keep(connection, _FACT, msgspec.json.encode(place))


async def renew(connection: Connection, epochs: Mapping[int, str]) -> None:
    """See `Store.renew`; ids of other databases are ignored."""
    async with scope.across(connection):
        given: Sequence[list[int] | list[str]] = [*epochs], [*epochs.values()]
        await connection.execute(_RENEW, *given)
        await trust(connection)


def _why(stored: Place, found: Place, *, has_target: bool) -> str | None:
    if stored.is_forgetful:
        return "after a failover it lacked what it had committed"
    if stored.system and found.system and stored.system != found.system:
        return "it is in another cluster than before"
    if stored.database_oid != found.database_oid or stored.table_oid != found.table_oid:
        return "its tables are others than before"
    if stored.timeline == found.timeline:
        return None
    if has_target:
        return "the cluster was restored to a point in time (recovery_target… is set)"
    if not stored.is_synchronous:
        return "the cluster goes on in a new timeline, and commits had not waited for a standby"
    return None


async def _place(connection: Connection) -> tuple[Place, bool]:
    """Where it is; and whether the cluster was told to restore to a point in time."""
    try:
        system = await connection.fetchval(_SYSTEM)
    except asyncpg.InsufficientPrivilegeError:
        system = ""
    row = await connection.fetchrow(_PLACE)
    assert row is not None
    settings = {row["name"]: row["setting"] for row in await connection.fetch(_SETTINGS)}
    is_synchronous = bool(settings.get("synchronous_standby_names")) and (
        settings.get("synchronous_commit") in _WAITS_FOR_STANDBY
    )
    has_target = any(
        setting
        for name, setting in settings.items()
        if name.startswith("recovery_target") and name not in _NO_TARGETS
    )
    database_oid, table_oid, timeline = row
    return Place(system, database_oid, table_oid, timeline, is_synchronous), has_target
