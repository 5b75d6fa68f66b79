"""Removing what retention no longer keeps, in slices. Runs on the writer's thread.

Each slice is one commit of few statements, so that an append waits for one slice at most.
"""

from __future__ import annotations

import apsw

from conduit.storage.base import Rule, Trimmed
from conduit.storage.sqlite.bulk import rows, transaction

_EXTENT = """
SELECT first_seq, last_seq, stored_bytes,
       (SELECT published_at_ms FROM messages AS m
        WHERE m.topic_id = t.topic_id AND m.seq = t.first_seq)
FROM topics AS t WHERE topic_id = ?
"""

# The first number that stays, looking at one more than the slice; NULL if none of these stays.
_FIRST_KEPT = """
WITH page AS (
  SELECT seq, published_at_ms, sum(bytes) OVER (ORDER BY seq) - bytes AS bytes_before
  FROM messages WHERE topic_id = :topic_id AND seq BETWEEN :first_seq AND :first_seq + :limit
)
SELECT min(seq) FROM page
WHERE seq > :surplus_seq
  AND bytes_before >= :surplus_bytes
  AND (published_at_ms >= :oldest_ms OR seq > :aged_seq)
"""

# The trigger trim_messages removes what stands below first_seq. The sum is NULL where nothing does.
_TRIM = """
UPDATE topics SET
  first_seq = :first_seq,
  trimmed_ms = coalesce((
    SELECT published_at_ms FROM messages
    WHERE topic_id = :topic_id AND seq = :first_seq - 1), trimmed_ms),
  stored_bytes = stored_bytes - coalesce((
    SELECT sum(bytes) FROM messages WHERE topic_id = :topic_id AND seq < :first_seq), 0)
WHERE topic_id = :topic_id
RETURNING stored_bytes
"""

# Of deleted topics and subscriptions, so many are looked at in one commit.
_GONE_COUNT = 32
# What names them, by what; and what they leave. The trigger forget_progress_pages removes what progress has.
_LEFT = [
    ("gone_topics", "topic_id", {"messages": "topic_id, seq"}),
    (
        "gone_subscriptions",
        "subscription_id",
        {
            "progress": "subscription_id, topic_id",
            "begins": "subscription_id, part",
            "former_topics": "subscription_id, name",
        },
    ),
]
# CROSS keeps the order of the tables.
_PURGE = [
    f"""
    DELETE FROM {table} WHERE ({key}) IN (
      SELECT {key} FROM (SELECT {column} FROM {gone} LIMIT {_GONE_COUNT})
      CROSS JOIN {table} USING ({column}) LIMIT ?)
    """
    for gone, column, tables in _LEFT
    for table, key in tables.items()
]
_FORGET = [
    f"""
    DELETE FROM {gone} AS g
    WHERE {column} IN (SELECT {column} FROM {gone} LIMIT {_GONE_COUNT}) AND {
        " AND ".join(
            f"NOT EXISTS (SELECT 1 FROM {table} AS t WHERE t.{column} = g.{column})"
            for table in tables
        )
    }
    """
    for gone, column, tables in _LEFT
]
_IS_ANY_GONE = " OR ".join(f"EXISTS (SELECT 1 FROM {gone})" for gone, _, _ in _LEFT)

_FORGET_KEYS = """
DELETE FROM idempotency_keys WHERE (topic_id, key) IN (
  SELECT topic_id, key FROM idempotency_keys
  WHERE published_at_ms < ? ORDER BY published_at_ms LIMIT ?)
"""


def trim(connection: apsw.Connection, topic_id: int, rule: Rule, limit: int) -> Trimmed:
    """See `Store.trim`. When nothing is due, two rows are read and nothing is written."""
    extents = rows(connection, _EXTENT, (topic_id,))
    if not extents:
        return Trimmed(first_seq=1, stored_bytes=0, removed_count=0, more=False)
    first_seq, last_seq, stored_bytes, published_at_ms = extents[0]
    values = {"topic_id": topic_id, "first_seq": first_seq, "limit": limit}
    values |= _surplus(rule, last_seq, stored_bytes)
    is_due = first_seq <= last_seq and (
        first_seq <= values["surplus_seq"]
        or values["surplus_bytes"] > 0
        or (published_at_ms < values["oldest_ms"] and first_seq <= rule.aged_seq)
    )
    if not is_due:
        return Trimmed(first_seq, stored_bytes, removed_count=0, more=False)
    ((kept_seq,),) = rows(connection, _FIRST_KEPT, values)
    if kept_seq is None:
        kept_seq = min(first_seq + limit, last_seq) + 1
    new_first_seq = min(kept_seq, first_seq + limit)
    values["first_seq"] = new_first_seq
    ((stored_bytes,),) = rows(connection, _TRIM, values)
    removed_count = new_first_seq - first_seq
    return Trimmed(new_first_seq, stored_bytes, removed_count, kept_seq > new_first_seq)


def _surplus(rule: Rule, last_seq: int, stored_bytes: int) -> dict[str, int]:
    """The bounds as limits below which a message goes; 0 where there is no bound."""
    retention = rule.retention
    surplus = {"surplus_seq": rule.through_seq, "surplus_bytes": 0, "oldest_ms": 0}
    surplus["aged_seq"] = rule.aged_seq
    if retention.max_messages is not None:
        surplus["surplus_seq"] = max(rule.through_seq, last_seq - retention.max_messages)
    if retention.max_bytes is not None:
        surplus["surplus_bytes"] = stored_bytes - retention.max_bytes
    if retention.max_age_s is not None:
        surplus["oldest_ms"] = rule.now_ms - retention.max_age_s * 1000
    return surplus


def purge(connection: apsw.Connection, limit: int) -> tuple[int, bool]:
    """Remove up to `limit` rows that a few of the deleted topics and subscriptions have left: how many
    they were, and whether there is more to do.

    One commit, and few statements whatever they left: each makes those who publish wait.
    """
    if not rows(connection, f"SELECT {_IS_ANY_GONE}")[0][0]:
        return 0, False
    removed_count, forgotten_count = 0, 0
    with transaction(connection):
        for statement in _PURGE:
            connection.execute(statement, (limit - removed_count,))
            removed_count += connection.changes()
        for statement in _FORGET:
            connection.execute(statement)
            forgotten_count += connection.changes()
    return removed_count, removed_count > 0 or forgotten_count > 0


def forget_keys(connection: apsw.Connection, before_ms: int, limit: int) -> int:
    """See `Store.forget_keys`. Keys of deleted topics are among them."""
    connection.execute(_FORGET_KEYS, (before_ms, limit))
    return connection.changes()
