"""Which topics and subscriptions were changed since somebody asked last, by whatever process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conduit.storage.base import CHANGES_MAX_COUNT, Changes

if TYPE_CHECKING:
    from conduit.storage.postgres.database import Connection

_NOW = "SELECT pg_current_snapshot()::text"

# $1: the snapshot of the last look. A snapshot that ends before that one is of another database.
_SINCE = """
WITH before AS MATERIALIZED (SELECT $1::text::pg_snapshot AS snapshot),
here AS MATERIALIZED (SELECT pg_current_snapshot() AS snapshot),
found AS (
  SELECT DISTINCT kind, id FROM conduit.changes
  WHERE xid >= (SELECT pg_snapshot_xmin(snapshot) FROM before)
    AND NOT pg_visible_in_snapshot(xid, (SELECT snapshot FROM before))
  LIMIT $2
)
SELECT here.snapshot::text AS snapshot,
       pg_snapshot_xmax(here.snapshot) < pg_snapshot_xmax(before.snapshot)
         OR pg_snapshot_xmin(before.snapshot) < (SELECT xid FROM conduit.changes_kept) AS is_all,
       found.kind, found.id
FROM here CROSS JOIN before LEFT JOIN found ON true
"""

KEPT_S = 3_600.0
_FORGET = """
WITH old AS (
  DELETE FROM conduit.changes WHERE ctid IN (
    SELECT ctid FROM conduit.changes WHERE made_at < now() - make_interval(secs => $1)
    ORDER BY made_at LIMIT $2)
  RETURNING xid
),
kept AS (
  UPDATE conduit.changes_kept SET xid = (SELECT (max(xid::text::numeric) + 1)::text::xid8 FROM old)
  WHERE xid <= ANY (SELECT xid FROM old)
)
SELECT count(*) FROM old
"""


async def since(connection: Connection, position: str | None) -> Changes:
    """See `Store.changes`."""
    if position is None:
        return Changes(await connection.fetchval(_NOW), is_all=True)
    rows = await connection.fetch(_SINCE, position, CHANGES_MAX_COUNT + 1)
    topic_ids, subscription_ids = (
        [row["id"] for row in rows if row["kind"] == kind] for kind in ("topic", "subscription")
    )
    is_all = rows[0]["is_all"] or len(rows) > CHANGES_MAX_COUNT
    return Changes(rows[0]["snapshot"], topic_ids, subscription_ids, is_all)


async def forget(connection: Connection, limit: int) -> int:
    """Remove some of those that everybody has read who reads at all; returns how many."""
    removed: int = await connection.fetchval(_FORGET, KEPT_S, limit)
    return removed
