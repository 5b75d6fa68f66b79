"""Durable subscriptions and their progress."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec

from conduit.core.message import Progress, SubscriptionRecord, SubscriptionSettings
from conduit.errors import Conflict

if TYPE_CHECKING:
    from conduit.storage.postgres.database import Connection

_ALL = """
SELECT subscription_id, tenant, name, pattern, created_at_ms, paused, settings
FROM conduit.subscriptions
"""

_CREATE = """
INSERT INTO conduit.subscriptions (tenant, name, pattern, created_at_ms, settings)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (tenant, name) DO NOTHING
RETURNING subscription_id
"""

# In the order of the keys, so that two that settle at once wait for each other and not in a circle.
# Nobody claims the subscriptions before this is committed.
_PUT = """
WITH owned AS (
  SELECT subscription_id, tenant, fence FROM conduit.subscriptions
  WHERE subscription_id = ANY ($1::bigint[]) ORDER BY subscription_id FOR SHARE
),
given AS (
  SELECT i.*, o.tenant, coalesce(i.fence < o.fence, false) AS is_refused
  FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bytea[], $6::bigint[])
    AS i (subscription_id, topic_id, floor, cursor, open, fence)
  JOIN owned AS o USING (subscription_id)
),
stored AS (
  INSERT INTO conduit.progress AS p (subscription_id, topic_id, floor, cursor, open)
  SELECT g.subscription_id, g.topic_id, g.floor, g.cursor, g.open
  FROM given AS g JOIN conduit.topics AS t ON t.topic_id = g.topic_id AND t.tenant = g.tenant
  WHERE NOT g.is_refused
  ORDER BY g.subscription_id, g.topic_id
  ON CONFLICT (subscription_id, topic_id) DO UPDATE SET
    floor = excluded.floor, cursor = excluded.cursor, open = excluded.open
)
SELECT DISTINCT subscription_id FROM given WHERE is_refused
"""

_CLAIM = """
UPDATE conduit.subscriptions SET fence = fence + 1 WHERE subscription_id = $1 RETURNING fence
"""

_UPDATE = """
UPDATE conduit.subscriptions SET settings = $2, paused = $3 WHERE subscription_id = $1
"""

_DELETE = "DELETE FROM conduit.subscriptions WHERE subscription_id = $1"

_settings = msgspec.json.Decoder(SubscriptionSettings).decode


async def all_records(connection: Connection) -> list[SubscriptionRecord]:
    """See `Store.subscriptions`."""
    rows = await connection.fetch(_ALL)
    return [SubscriptionRecord(*[*row[:6], _settings(row[6])]) for row in rows]


async def create(
    connection: Connection, record: SubscriptionRecord, floors: Iterable[tuple[int, int]]
) -> SubscriptionRecord:
    """Store the record under a new id, with its (topic id, floor), in one commit. Raises Conflict."""
    settings = msgspec.json.encode(record.settings).decode()
    values = (record.tenant, record.name, record.pattern, record.created_at_ms, settings)
    async with connection.transaction():
        subscription_id = await connection.fetchval(_CREATE, *values)
        if subscription_id is None:
            raise Conflict(f"subscription {record.name!r} exists", code="subscription_exists")
        ahead = [Progress(subscription_id, topic_id, at, at) for topic_id, at in floors if at]
        await put(connection, ahead)
    return msgspec.structs.replace(record, subscription_id=subscription_id)


async def update(
    connection: Connection, subscription_id: int, settings: SubscriptionSettings, paused: bool
) -> None:
    """See `Store.subscription_update`."""
    text = msgspec.json.encode(settings).decode()
    await connection.execute(_UPDATE, subscription_id, text, paused)


async def delete(connection: Connection, subscription_id: int) -> None:
    """See `Store.subscription_delete`."""
    await connection.execute(_DELETE, subscription_id)


async def progress(connection: Connection, subscription_id: int) -> list[Progress]:
    """See `Store.progress`."""
    rows = await connection.fetch(
        "SELECT topic_id, floor, cursor, open FROM conduit.progress WHERE subscription_id = $1",
        subscription_id,
    )
    return [Progress(subscription_id, *row) for row in rows]


async def claim(connection: Connection, subscription_id: int) -> int:
    """See `Store.subscription_claim`."""
    return await connection.fetchval(_CLAIM, subscription_id) or 0


async def put(connection: Connection, progress: Sequence[Progress]) -> set[int]:
    """Store it, as `Store.settle` says; returns the refused. Of several rows of one key the last counts."""
    rows = {(row.subscription_id, row.topic_id): row for row in progress}.values()
    if not rows:
        return set()
    refused = await connection.fetch(
        _PUT,
        [row.subscription_id for row in rows],
        [row.topic_id for row in rows],
        [row.floor for row in rows],
        [row.cursor for row in rows],
        [row.open for row in rows],
        [row.fence for row in rows],
    )
    return {row[0] for row in refused}
