"""What durable subscriptions have to be told of topics that are gone: `Store.former`, `former_heard`,
`former_trim`. `topics.py` remembers them, in the statement that deletes a topic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from conduit.storage.base import FORMER_MAX_COUNT, Former, Heard
from conduit.storage.postgres import scope
from conduit.storage.postgres.dead_letters import count_of

if TYPE_CHECKING:
    from conduit.storage.postgres.database import Connection

_ADD = """
INSERT INTO conduit.former_topics (
  subscription_id, name, epoch, floor, last_seq, reason, deleted_at_ms)
SELECT $1, i.*, $2
FROM unnest($3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::text[]) AS i
ON CONFLICT (subscription_id, name) DO UPDATE SET
  epoch = excluded.epoch, floor = excluded.floor, last_seq = excluded.last_seq,
  reason = excluded.reason, deleted_at_ms = excluded.deleted_at_ms
"""

_OF = """
SELECT name, epoch, floor, last_seq, reason FROM conduit.former_topics
WHERE subscription_id = $1 ORDER BY deleted_at_ms DESC LIMIT $2
"""

# Rows of topics that were deleted again since have another epoch. No row is in both parts.
_HEARD = """
WITH given AS (
  SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::boolean[])
    AS i (subscription_id, name, epoch, is_over)
),
over AS (
  DELETE FROM conduit.former_topics AS f USING given AS g
  WHERE g.is_over
    AND (f.subscription_id, f.name, f.epoch) = (g.subscription_id, g.name, g.epoch)
)
UPDATE conduit.former_topics AS f SET last_seq = f.floor FROM given AS g
WHERE NOT g.is_over
  AND (f.subscription_id, f.name, f.epoch) = (g.subscription_id, g.name, g.epoch)
"""

# A topic of that name may be deleted at the same time, and its row is then a new one.
_TRIM = """
DELETE FROM conduit.former_topics
USING set_config('synchronous_commit', 'off', true)
WHERE deleted_at_ms < $1 AND (subscription_id, name) IN (
  SELECT subscription_id, name FROM conduit.former_topics
  WHERE deleted_at_ms < $1 ORDER BY deleted_at_ms LIMIT $2)
"""
# Of one of those that have the most to remember, and not of all: that would be to read all.
_TRIM_ONE = """
WITH one AS (
  SELECT subscription_id FROM (
    SELECT subscription_id FROM conduit.former_topics ORDER BY deleted_at_ms DESC LIMIT 1000) AS l
  ORDER BY random() LIMIT 1
)
DELETE FROM conduit.former_topics
USING set_config('synchronous_commit', 'off', true)
WHERE (subscription_id, name, deleted_at_ms) IN (
  SELECT f.subscription_id, f.name, f.deleted_at_ms
  FROM conduit.former_topics AS f JOIN one USING (subscription_id)
  ORDER BY f.deleted_at_ms DESC LIMIT $1 OFFSET $2)
"""

# Until the commit none of them is deleted, or moved. In the order of their ids, as all who lock several.
_LOCK = """
SELECT subscription_id FROM conduit.subscriptions
WHERE subscription_id = ANY ($1::bigint[]) ORDER BY subscription_id FOR SHARE
"""


async def lock(connection: Connection, followers: Sequence[int]) -> list[int]:
    """Those of these subscriptions that exist; they do, and stay where they are moved to, until the
    transaction ends, which is across tenants."""
    return [row[0] for row in await connection.fetch(_LOCK, list(followers))]


async def add(
    connection: Connection, subscription_id: int, gaps: Sequence[Former], now_ms: int
) -> None:
    """What of its start a new subscription cannot be given; within the commit that makes it."""
    columns = [list(column) for column in zip(*gaps, strict=True)]
    await connection.execute(_ADD, subscription_id, now_ms, *columns)


async def add_to(
    connection: Connection, subscription_id: int, gaps: Sequence[Former], now_ms: int
) -> None:
    """See `Store.former_add`."""
    async with scope.across(connection):
        if gaps and await lock(connection, [subscription_id]):
            await add(connection, subscription_id, gaps, now_ms)


async def of(connection: Connection, subscription_id: int) -> list[Former]:
    """See `Store.former`."""
    rows = await connection.fetch(_OF, subscription_id, FORMER_MAX_COUNT)
    return [Former(*row) for row in reversed(rows)]


async def heard(connection: Connection, given: Sequence[Heard]) -> None:
    """See `Store.former_heard`."""
    await connection.execute(_HEARD, *[list(column) for column in zip(*given, strict=True)])


async def trim(connection: Connection, before_ms: int, limit: int) -> int:
    """See `Store.former_trim`."""
    removed_count = count_of(await connection.execute(_TRIM, before_ms, limit))
    if removed_count < limit:
        left_count = limit - removed_count
        removed_count += count_of(await connection.execute(_TRIM_ONE, left_count, FORMER_MAX_COUNT))
    return removed_count
