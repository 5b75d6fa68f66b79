"""Creating, changing and deleting topics."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from conduit.core.message import Retention, TopicRecord
from conduit.errors import Conflict
from conduit.storage.postgres import former, scope, tenants
from conduit.storage.postgres.placing import number_of

if TYPE_CHECKING:
    from conduit.storage.postgres.database import Connection

# The id says in which shard it is.
_CREATE = """
INSERT INTO conduit.topics (
  topic_id, tenant, name, epoch, created_at_ms, max_age_s, max_messages, max_bytes)
VALUES (nextval('conduit.topic_ids') + $1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (tenant, name) DO NOTHING
RETURNING topic_id
"""

# The same for several. $1: their shards, $2: their names, $3: their epochs.
_CREATE_SEVERAL = """
INSERT INTO conduit.topics (
  topic_id, tenant, name, epoch, created_at_ms, max_age_s, max_messages, max_bytes)
SELECT nextval('conduit.topic_ids') + n.number, $4, n.name, n.epoch, $5, $6, $7, $8
FROM unnest($1::int[], $2::text[], $3::text[]) AS n (number, name, epoch)
ON CONFLICT (tenant, name) DO NOTHING
RETURNING topic_id, tenant, name, epoch, created_at_ms
"""

_NAMED = "SELECT topic_id FROM conduit.topics WHERE tenant = $1 AND name = $2 FOR UPDATE"
_SOME = "SELECT topic_id FROM conduit.topics WHERE topic_id = ANY ($1::bigint[])"
_EXISTS = "SELECT EXISTS (SELECT FROM conduit.topics WHERE topic_id = $1)"

# A topic of this name that the home does not have was left behind by a server that was killed.
_ADD = """
INSERT INTO conduit.topics (
  topic_id, tenant, name, epoch, created_at_ms, max_age_s, max_messages, max_bytes)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""
_LEFT_BEHIND = "SELECT topic_id FROM conduit.topics WHERE tenant = $1 AND name = $2"

_UPDATE = """
UPDATE conduit.topics SET max_age_s = $2, max_messages = $3, max_bytes = $4 WHERE topic_id = $1
"""

# One statement: whoever appends sees the topic with its messages, or none of it. Its keys are not read
# any more, and go with their time. $2: the subscriptions that followed it until $3. $4: whether its messages
# are here; else $5 is its last number. A former topic that is there was not heard of, or it was made anew and
# that was not: it is more that is lost.
_DELETE = """
WITH gone AS (
  DELETE FROM conduit.topics WHERE topic_id = $1 RETURNING topic_id, tenant, name, epoch, last_seq
),
unread AS (
  DELETE FROM conduit.progress WHERE topic_id IN (SELECT topic_id FROM gone)
  RETURNING subscription_id, floor
),
unpaged AS (
  DELETE FROM conduit.progress_pages WHERE topic_id IN (SELECT topic_id FROM gone)
),
followed AS (
  INSERT INTO conduit.former_topics (subscription_id, name, epoch, floor, last_seq, deleted_at_ms)
  SELECT s.subscription_id, g.name, g.epoch,
         coalesce(u.floor, (s.begins ->> g.topic_id::text)::bigint, 0),
         CASE WHEN $4 THEN g.last_seq ELSE $5::bigint END, $3
  FROM gone AS g
  JOIN conduit.subscriptions AS s ON s.tenant = g.tenant AND s.subscription_id = ANY ($2::bigint[])
  LEFT JOIN unread AS u ON u.subscription_id = s.subscription_id
  ON CONFLICT (subscription_id, name) DO UPDATE SET
    epoch = excluded.epoch, floor = excluded.floor, last_seq = NULL, reason = excluded.reason,
    deleted_at_ms = excluded.deleted_at_ms
)
INSERT INTO conduit.gone_topics (topic_id) SELECT topic_id FROM gone
RETURNING (SELECT last_seq FROM gone)
"""
# Whoever finds that its shard does not have it waits until it is known what becomes of it.
_LOCK = "SELECT FROM conduit.topics WHERE topic_id = $1 FOR UPDATE"

OnShard = Callable[..., Awaitable[object]]
"""Runs a job of this module on the database of another shard: its number, the job, the job's arguments."""


def _bounds(retention: Retention) -> tuple[int | None, int | None, int | None]:
    return retention.max_age_s, retention.max_messages, retention.max_bytes


async def create(
    connection: Connection, number: int, topic: TopicRecord, on_shard: OnShard | None
) -> TopicRecord:
    """Create it in the home and in its shard. `topic` lacks its id and its epoch; without `on_shard` the
    home is all there is. Raises Conflict `topic_exists`, NotFound `tenant_not_found`.
    """
    epoch = secrets.token_hex(8)
    values = (topic.tenant, topic.name, epoch, topic.created_at_ms, *_bounds(topic.retention))
    async with scope.of(connection, topic.tenant):
        await tenants.hold(connection, topic.tenant)
        topic_id = await connection.fetchval(_CREATE, number, *values)
        if topic_id is None and on_shard is not None:
            await _delete_remains(connection, topic, on_shard)
            topic_id = await connection.fetchval(_CREATE, number, *values)
        if topic_id is None:
            raise Conflict(f"topic {topic.name!r} exists", code="topic_exists")
        if on_shard is not None and number:
            await on_shard(number, add, topic_id, *values)
    return TopicRecord(topic_id, *values[:4], 1, 0, 0, topic.retention)


async def create_several(
    connection: Connection,
    names: Sequence[str],
    numbers: Sequence[int],
    topic: TopicRecord,
    on_shard: OnShard | None,
) -> list[TopicRecord]:
    """See `Store.topics_create`: in the home and in their shards, which `numbers` has. `topic` has what they
    share. What a killed server has left behind is not made anew."""
    epochs = [secrets.token_hex(8) for _ in names]
    shared = (topic.tenant, topic.created_at_ms, *_bounds(topic.retention))
    by_shard: dict[int, list[TopicRecord]] = {}
    async with scope.of(connection, topic.tenant):
        await tenants.hold(connection, topic.tenant)
        for row in await connection.fetch(_CREATE_SEVERAL, numbers, names, epochs, *shared):
            record = TopicRecord(*[*row, 1, 0, 0, topic.retention])
            by_shard.setdefault(number_of(record.topic_id), []).append(record)
        for number, records in by_shard.items():
            if on_shard is not None and number:
                await on_shard(number, add_several, records)
    return [record for records in by_shard.values() for record in records]


async def add_several(connection: Connection, records: Sequence[TopicRecord]) -> None:
    """Create them in their shard."""
    async with scope.of(connection, records[0].tenant):
        for record in records:
            values = (record.tenant, record.name, record.epoch, record.created_at_ms)
            await add(connection, record.topic_id, *values, *_bounds(record.retention))


async def _delete_remains(connection: Connection, topic: TopicRecord, on_shard: OnShard) -> None:
    """Forget a topic that its shard does not have: its server was killed between the two databases."""
    topic_id = await connection.fetchval(_NAMED, topic.tenant, topic.name)
    number = 0 if topic_id is None else number_of(topic_id)
    if number and not await on_shard(number, exists, topic_id):
        await connection.execute(_DELETE, topic_id, [], 0, True, None)


async def exists(connection: Connection, topic_id: int) -> bool:
    """Whether the shard has it."""
    async with scope.across(connection):
        return bool(await connection.fetchval(_EXISTS, topic_id))


async def add(
    connection: Connection, topic_id: int, tenant: str, *values: str | int | None
) -> None:
    """Create it in its shard."""
    async with scope.of(connection, tenant):
        left_behind = await connection.fetchval(_LEFT_BEHIND, tenant, values[0])
        if left_behind is not None:
            await connection.execute(_DELETE, left_behind, [], 0, True, None)
        await connection.execute(_ADD, topic_id, tenant, *values)


async def update(connection: Connection, topic_id: int, retention: Retention) -> None:
    """See `Store.topic_update`."""
    async with scope.across(connection):
        await connection.execute(_UPDATE, topic_id, *_bounds(retention))


async def delete(
    connection: Connection,
    topic_id: int,
    followers: Sequence[int] = (),
    now_ms: int = 0,
    on_shard: OnShard | None = None,
) -> int | None:
    """See `Store.topic_delete`: from the home, and with `on_shard` from its shard. Returns its last number,
    or None if it was not there."""
    number = number_of(topic_id) if on_shard is not None else 0
    last_seq = None
    async with scope.across(connection):
        # First, as whoever deletes a subscription does: its row before its progress.
        there = await former.lock(connection, followers) if followers else []
        if on_shard is not None and number:
            await connection.execute(_LOCK, topic_id)
            last_seq = await on_shard(number, delete, topic_id)
        values = (topic_id, there, now_ms, not number, last_seq)
        found: int | None = await connection.fetchval(_DELETE, *values)
    return found


async def some_ids(connection: Connection, topic_ids: list[int]) -> set[int]:
    """Which of these there are; for the home."""
    async with scope.across(connection):
        return {row[0] for row in await connection.fetch(_SOME, topic_ids)}


async def ids(connection: Connection) -> set[int]:
    """Of all topics of all shards; for the home."""
    async with scope.across(connection):
        return {row[0] for row in await connection.fetch("SELECT topic_id FROM conduit.topics")}
