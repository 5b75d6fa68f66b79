"""One-time tickets."""

from __future__ import annotations

import apsw

from conduit.storage.access import TICKETS_MAX_COUNT, TICKETS_TRIMMED_COUNT, too_many
from conduit.storage.sqlite.bulk import rows, transaction

_EXPIRE = """
DELETE FROM tickets WHERE ticket_hash IN (
  SELECT ticket_hash FROM tickets WHERE expires_at_ms <= ? ORDER BY expires_at_ms LIMIT ?)
"""
_TAKE = "DELETE FROM tickets WHERE ticket_hash = ? RETURNING value, expires_at_ms"


def put(
    connection: apsw.Connection, ticket_hash: bytes, value: bytes, expires_at_ms: int, now_ms: int
) -> None:
    """See `AccessStore.ticket_put`."""
    with transaction(connection):
        expire(connection, now_ms, TICKETS_TRIMMED_COUNT)
        if rows(connection, "SELECT count(*) FROM tickets")[0][0] >= TICKETS_MAX_COUNT:
            raise too_many("tickets", TICKETS_MAX_COUNT)
        values = (ticket_hash, value, expires_at_ms)
        connection.execute("INSERT OR REPLACE INTO tickets VALUES (?, ?, ?)", values)


def take(connection: apsw.Connection, ticket_hash: bytes, now_ms: int) -> bytes | None:
    """See `AccessStore.ticket_take`."""
    for value, expires_at_ms in rows(connection, _TAKE, (ticket_hash,)):
        if expires_at_ms > now_ms:
            return bytes(value)
    return None


def expire(connection: apsw.Connection, now_ms: int, limit: int) -> int:
    """Forget up to `limit` that have expired; returns how many."""
    connection.execute(_EXPIRE, (now_ms, limit))
    return connection.changes()
