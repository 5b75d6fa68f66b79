"""Node leases, on a connection of their own: neither full pools nor slow searches cost a lease.

All times are PostgreSQL's: a lease is over when its clock says so, whatever the clocks of the nodes say. Each
statement commits by itself, so that a pooler in transaction mode may give each another session. A commit is
waited for as the database has it: a renewal that a crash or a failover undid would end the lease in the store
before its holder gives it up.

A call without an answer in time has lost its connection, and may still happen: to renew or to join again
changes nothing, and after `leave` neither does anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import msgspec

from conduit.core.lease import LEASE_S
from conduit.errors import StateError, StoreUnavailable
from conduit.storage.nodes import (
    CALL_TIMEOUT_S,
    FORGET_AFTER_S,
    NODES_MAX_COUNT,
    Joined,
    Node,
    NodeRecord,
    NodeState,
    Superseded,
    Taken,
)
from conduit.storage.postgres.database import Database, within
from conduit.storage.postgres.dead_letters import count_of

if TYPE_CHECKING:
    import asyncpg

    from conduit.storage.postgres.database import Connection

T = TypeVar("T")

# A row whose last commit hangs, because a standby does not answer, stays locked, also when the connection is
# given up. Who waits for it says so before the deadline, and leaves no session waiting in PostgreSQL.
LOCK_TIMEOUT_MS = int(CALL_TIMEOUT_S * 800)
# Another node may change the row of a name between the statements that look at it.
TRIES_MAX_COUNT = 3

_PATIENCE = f"""patience AS MATERIALIZED (
  SELECT set_config('lock_timeout', '{LOCK_TIMEOUT_MS}ms', true), interval '{LEASE_S:g} s' AS lease)"""

# The columns of a `NodeRecord`, of a table that has those of `nodes`.
_RECORD = f"""name, incarnation::text, address, version, protocol, state, number,
  (extract(epoch FROM started_at) * 1000)::bigint AS started_at_ms,
  (extract(epoch FROM lease_until) * 1000)::bigint AS lease_until_ms,
  least(extract(epoch FROM lease_until - clock_timestamp()), {LEASE_S:g})::float8 AS left_s,
  left_at IS NOT NULL AS has_left"""
_ONE = f"SELECT {_RECORD} FROM conduit.nodes WHERE name = $1"
_ALL = f"SELECT {_RECORD} FROM conduit.nodes ORDER BY lease_until DESC, name LIMIT $1"

# $1 to $5: a `Node`; $6: its state.
_JOIN = f"""
WITH {_PATIENCE}
INSERT INTO conduit.nodes AS n
  (name, incarnation, address, version, protocol, state, number, started_at, lease_until)
SELECT $1, $2::uuid, $3, $4, $5, $6, 1, clock_timestamp(), clock_timestamp() + lease FROM patience
ON CONFLICT (name) DO UPDATE SET incarnation = excluded.incarnation, address = excluded.address,
  version = excluded.version, protocol = excluded.protocol, state = excluded.state,
  number = n.number + (n.incarnation <> excluded.incarnation)::int,
  started_at = excluded.started_at, lease_until = excluded.lease_until, left_at = NULL
WHERE CASE WHEN n.incarnation = excluded.incarnation THEN n.left_at IS NULL
  ELSE n.lease_until <= clock_timestamp() END
RETURNING true
"""
# Leases that are longer than any that is given now: they were given before PostgreSQL's clock was set back,
# or by a server whose clock was ahead, before a failover. They end as if they were given now. What somebody
# else is changing is being renewed, or is shortened with the next look.
_SHORTENED = f"""
UPDATE conduit.nodes SET lease_until = clock_timestamp() + lease FROM patience
WHERE name IN (
  SELECT name FROM conduit.nodes
  WHERE lease_until > clock_timestamp() + 2 * interval '{LEASE_S:g} s' AND name <> $1
  FOR UPDATE SKIP LOCKED)"""
_SHORTEN = f"WITH {_PATIENCE} {_SHORTENED}"
# $1 name, $2 incarnation, $3 state, $4 the limit. What it changes is not in the snapshot that it reads.
_RENEW = f"""
WITH {_PATIENCE},
renewed AS (
  UPDATE conduit.nodes SET lease_until = clock_timestamp() + lease, state = $3 FROM patience
  WHERE name = $1 AND incarnation = $2::uuid AND left_at IS NULL
  RETURNING name, state, lease_until
),
shortened AS ({_SHORTENED}),
known AS (
  SELECT n.name, incarnation, address, version, protocol, number, started_at, left_at,
    coalesce(r.state, n.state) AS state, coalesce(r.lease_until, n.lease_until) AS lease_until,
    r.name IS NOT NULL AS is_renewed
  FROM conduit.nodes AS n LEFT JOIN renewed AS r ON r.name = n.name
)
SELECT is_renewed, {_RECORD} FROM known ORDER BY is_renewed DESC, lease_until DESC, name LIMIT $4
"""
_LEAVE = f"""
WITH {_PATIENCE}
UPDATE conduit.nodes SET lease_until = least(lease_until, clock_timestamp()), left_at = clock_timestamp()
FROM patience WHERE name = $1 AND incarnation = $2::uuid AND left_at IS NULL
"""
_FORGET = f"""
DELETE FROM conduit.nodes WHERE name IN (
  SELECT name FROM conduit.nodes WHERE lease_until < now() - interval '{FORGET_AFTER_S:g} s'
  FOR UPDATE SKIP LOCKED)
"""


class PostgresNodes:
    """See `NodeStore`. The database has been probed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Connection | None = None
        # A call whose caller was cancelled still runs.
        self._turn = asyncio.Lock()

    async def close(self) -> None:
        """Give up the connection, when a call that was made has ended. Idempotent; a call opens it again."""
        async with self._turn:
            self._drop()

    async def join(self, node: Node, state: NodeState) -> Joined | Taken:
        """See `NodeStore.join`."""
        return await self._call(lambda connection: _join(connection, node, state))

    async def renew(
        self, name: str, incarnation: str, state: NodeState
    ) -> Sequence[NodeRecord] | Superseded:
        """See `NodeStore.renew`."""
        return await self._call(lambda connection: _renew(connection, name, incarnation, state))

    async def leave(self, name: str, incarnation: str) -> None:
        """See `NodeStore.leave`."""
        await self._call(lambda connection: connection.execute(_LEAVE, name, incarnation))

    async def forget(self) -> int:
        """See `NodeStore.forget`."""
        return count_of(await self._call(lambda connection: connection.execute(_FORGET)))

    async def _call(self, job: Callable[[Connection], Awaitable[T]]) -> T:
        """`job(connection)`, to its end also if the caller is cancelled."""
        task = asyncio.get_running_loop().create_task(self._called(job))
        try:
            return await asyncio.shield(task)
        finally:
            # Its error knows this frame, and the frame would know the error's task.
            del task

    async def _called(self, job: Callable[[Connection], Awaitable[T]]) -> T:
        async with self._turn:
            connection = self._connection
            if connection is None or connection.is_closed():
                self._connection = connection = await self._database.connect(CALL_TIMEOUT_S)
            try:
                return await within(CALL_TIMEOUT_S, connection, job(connection), changes=True)
            except BaseException:
                # Whatever it was, it may have left the connection unusable.
                self._drop()
                raise

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


async def _join(connection: Connection, node: Node, state: NodeState) -> Joined | Taken:
    for _ in range(TRIES_MAX_COUNT):
        if await connection.fetchval(_JOIN, *msgspec.structs.astuple(node), state):
            return Joined([_record(row) for row in await connection.fetch(_ALL, NODES_MAX_COUNT)])
        # Of all others: nobody else may be there to renew.
        await connection.execute(_SHORTEN, "")
        row = await connection.fetchrow(_ONE, node.name)
        if row is None:
            continue
        by = _record(row)
        if by.incarnation == node.incarnation:
            raise StateError("a node that has left joins again")
        if by.is_live:
            return Taken(by)
    raise StoreUnavailable(f"others join as {node.name} and leave again and again")


async def _renew(
    connection: Connection, name: str, incarnation: str, state: NodeState
) -> list[NodeRecord] | Superseded:
    rows = await connection.fetch(_RENEW, name, incarnation, state, NODES_MAX_COUNT)
    found = [_record(row) for row in rows]
    if rows and rows[0]["is_renewed"]:
        return found
    others = (each for each in found if each.name == name and each.incarnation != incarnation)
    return Superseded(next(others, None))


def _record(row: asyncpg.Record) -> NodeRecord:
    return NodeRecord(**{field: row[field] for field in NodeRecord.__struct_fields__})
