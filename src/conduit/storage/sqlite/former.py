"""What durable subscriptions have to be told of topics that are gone: `Store.former`, `former_heard` and
`former_trim`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import apsw
import msgspec

from conduit.storage.base import FORMER_MAX_COUNT, Former, Heard
from conduit.storage.sqlite import begins
from conduit.storage.sqlite.bulk import Query, Statement, Value, execute_all

# A row that is there was not heard, or its topic was made anew and that was not: it is more that is lost.
# CROSS keeps the order of the tables: SQLite would look through all subscriptions of the tenant.
_REMEMBER = f"""
INSERT INTO former_topics (subscription_id, name, epoch, floor, last_seq, deleted_at_ms)
SELECT s.subscription_id, t.name, t.epoch,
       coalesce(p.floor, {begins.FLOOR}, 0), t.last_seq, :now_ms
FROM topics AS t CROSS JOIN (SELECT DISTINCT value FROM json_each(:followers)) AS f
CROSS JOIN subscriptions AS s ON s.subscription_id = f.value AND s.tenant = t.tenant
LEFT JOIN progress AS p ON p.subscription_id = s.subscription_id AND p.topic_id = t.topic_id
{begins.JOIN}
WHERE t.topic_id = :topic_id
ON CONFLICT (subscription_id, name) DO UPDATE SET
  epoch = excluded.epoch, floor = excluded.floor, last_seq = NULL, reason = excluded.reason,
  deleted_at_ms = excluded.deleted_at_ms
"""

_ADD = """
INSERT INTO former_topics (subscription_id, name, epoch, floor, last_seq, reason, deleted_at_ms)
SELECT :subscription_id, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, :now_ms
FROM json_each(:gaps)
WHERE EXISTS (SELECT 1 FROM subscriptions WHERE subscription_id = :subscription_id)
ON CONFLICT (subscription_id, name) DO UPDATE SET
  epoch = excluded.epoch, floor = excluded.floor, last_seq = excluded.last_seq,
  reason = excluded.reason, deleted_at_ms = excluded.deleted_at_ms
"""


class _Row(NamedTuple):
    deleted_at_ms: int
    name: str
    epoch: str
    floor: int
    last_seq: int | None
    reason: str


_of = Query(
    """
    SELECT json_group_array(json_array(deleted_at_ms, name, epoch, floor, last_seq, reason))
    FROM (
      SELECT * FROM former_topics WHERE subscription_id = :subscription_id
        AND EXISTS (SELECT 1 FROM subscriptions WHERE subscription_id = :subscription_id)
      ORDER BY deleted_at_ms DESC LIMIT :limit)
    """,
    _Row,
)

# Of the rows given, those of topics that were deleted again since have another epoch.
_GIVEN = """
(subscription_id, name, epoch) IN (
  SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?) WHERE (value ->> 3) = ?)
"""
_FORGET = f"DELETE FROM former_topics WHERE {_GIVEN}"
_KEEP = f"UPDATE former_topics SET last_seq = floor WHERE {_GIVEN}"

_TRIM = """
DELETE FROM former_topics WHERE (subscription_id, name) IN (
  SELECT subscription_id, name FROM former_topics
  WHERE deleted_at_ms < ? ORDER BY deleted_at_ms LIMIT ?)
"""

# Of one of those that have the most to remember, and not of all: that would be to read all.
_TRIM_ONE = """
DELETE FROM former_topics WHERE (subscription_id, name) IN (
  SELECT subscription_id, name FROM former_topics WHERE subscription_id = (
    SELECT subscription_id FROM (
      SELECT subscription_id FROM former_topics ORDER BY deleted_at_ms DESC LIMIT 1000)
    ORDER BY random() LIMIT 1)
  ORDER BY deleted_at_ms DESC LIMIT ? OFFSET ?)
"""


def remember(topic_id: int, followers: Sequence[int], now_ms: int) -> list[Statement]:
    """What remembers it, before the topic is deleted in the same commit."""
    if not followers:
        return []
    given = msgspec.json.encode(list(followers)).decode()
    return [(_REMEMBER, {"topic_id": topic_id, "followers": given, "now_ms": now_ms})]


def add(
    connection: apsw.Connection, subscription_id: int, gaps: Sequence[Former], now_ms: int
) -> None:
    """See `Store.former_add`; also what of its start a new subscription cannot be given, within the commit
    that makes it."""
    text = msgspec.json.encode(gaps).decode()
    values = {"subscription_id": subscription_id, "gaps": text, "now_ms": now_ms}
    connection.execute(_ADD, values)


def of(connection: apsw.Connection, subscription_id: int) -> list[Former]:
    """See `Store.former`."""
    values: dict[str, Value] = {"subscription_id": subscription_id, "limit": FORMER_MAX_COUNT}
    found = _of(connection, values)
    return [Former(*row[1:]) for row in sorted(found, key=lambda row: row.deleted_at_ms)]


def heard(connection: apsw.Connection, given: Sequence[Heard]) -> None:
    """See `Store.former_heard`."""
    text = msgspec.json.encode(given).decode()
    execute_all(connection, [(_FORGET, [text, 1]), (_KEEP, [text, 0])])


def trim(connection: apsw.Connection, before_ms: int, limit: int) -> int:
    """See `Store.former_trim`."""
    connection.execute(_TRIM, (before_ms, limit))
    removed_count = connection.changes()
    if removed_count < limit:
        connection.execute(_TRIM_ONE, (limit - removed_count, FORMER_MAX_COUNT))
        removed_count += connection.changes()
    return removed_count
