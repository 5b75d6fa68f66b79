"""One-time tickets: in the home."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conduit.storage.access import TICKETS_MAX_COUNT, TICKETS_TRIMMED_COUNT, too_many
from conduit.storage.postgres.dead_letters import count_of

if TYPE_CHECKING:
    from conduit.storage.postgres.database import Connection

# What somebody else is taking or removing is left to them.
_EXPIRE = """
DELETE FROM conduit.tickets WHERE ticket_hash IN (
  SELECT ticket_hash FROM conduit.tickets WHERE expires_at_ms <= $1
  ORDER BY expires_at_ms LIMIT $2 FOR UPDATE SKIP LOCKED)
"""
_PUT = """
INSERT INTO conduit.tickets (ticket_hash, value, expires_at_ms)
SELECT $1, $2, $3 WHERE (SELECT count(*) FROM conduit.tickets) < $4
ON CONFLICT (ticket_hash) DO UPDATE SET value = excluded.value, expires_at_ms = excluded.expires_at_ms
"""
_TAKE = "DELETE FROM conduit.tickets WHERE ticket_hash = $1 RETURNING value, expires_at_ms"


async def put(
    connection: Connection, ticket_hash: bytes, value: bytes, expires_at_ms: int, now_ms: int
) -> None:
    """See `AccessStore.ticket_put`."""
    await expire(connection, now_ms, TICKETS_TRIMMED_COUNT)
    values = (ticket_hash, value, expires_at_ms, TICKETS_MAX_COUNT)
    if not count_of(await connection.execute(_PUT, *values)):
        raise too_many("tickets", TICKETS_MAX_COUNT)


async def take(connection: Connection, ticket_hash: bytes, now_ms: int) -> bytes | None:
    """See `AccessStore.ticket_take`."""
    row = await connection.fetchrow(_TAKE, ticket_hash)
    return row["value"] if row is not None and row["expires_at_ms"] > now_ms else None


async def expire(connection: Connection, now_ms: int, limit: int) -> int:
    """Forget up to `limit` that have expired; returns how many."""
    return count_of(await connection.execute(_EXPIRE, now_ms, limit))
