"""Which deleted topics the durable subscriptions followed: `Store.former` and `former_trim`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import apsw
import msgspec

from conduit.storage.base import FORMER_MAX_COUNT, Former
from conduit.storage.sqlite.bulk import Query, Statement, Value

_REMEMBER = """
INSERT INTO former_topics (subscription_id, name, epoch, floor, deleted_at_ms)
SELECT s.subscription_id, t.name, t.epoch,
       coalesce(p.floor, json_extract(s.begins, '$."' || t.topic_id || '"'), 0), :now_ms
FROM topics AS t
JOIN subscriptions AS s
  ON s.tenant = t.tenant AND s.subscription_id IN (SELECT value FROM json_each(:followers))
LEFT JOIN progress AS p ON p.subscription_id = s.subscription_id AND p.topic_id = t.topic_id
WHERE t.topic_id = :topic_id
ON CONFLICT (subscription_id, name) DO UPDATE SET
  epoch = excluded.epoch, floor = excluded.floor, deleted_at_ms = excluded.deleted_at_ms
"""

# The successor has the name now, and the subscription has progress in it, or was moved in it. What it
# begins with is taken apart once for all names, so the subscription is a parameter.
_IS_KNOWN = """
EXISTS (
  SELECT 1 FROM subscriptions AS s
  JOIN topics AS t ON t.tenant = s.tenant AND t.name = f.name
  WHERE s.subscription_id = :subscription_id AND (
    EXISTS (
      SELECT 1 FROM progress AS p
      WHERE p.subscription_id = s.subscription_id AND p.topic_id = t.topic_id)
    OR t.topic_id IN (
      SELECT CAST(b.key AS INTEGER) FROM subscriptions AS o, json_each(o.begins) AS b
      WHERE o.subscription_id = :subscription_id)))
"""


class _Row(NamedTuple):
    deleted_at_ms: int
    name: str
    epoch: str
    floor: int
    is_known: bool


_of = Query(
    f"""
    SELECT json_group_array(json_array(
      deleted_at_ms, name, epoch, floor, json(iif(is_known, 'true', 'false'))))
    FROM (
      SELECT deleted_at_ms, name, epoch, floor, {_IS_KNOWN} AS is_known
      FROM former_topics AS f WHERE subscription_id = :subscription_id
      ORDER BY is_known, deleted_at_ms DESC LIMIT :limit)
    """,
    _Row,
)

_FORGET_KNOWN = f"""
DELETE FROM former_topics AS f WHERE subscription_id = :subscription_id AND {_IS_KNOWN}
"""

_TRIM = """
DELETE FROM former_topics WHERE (subscription_id, name) IN (
  SELECT subscription_id, name FROM former_topics
  WHERE deleted_at_ms < ? ORDER BY deleted_at_ms LIMIT ?)
"""


def remember(topic_id: int, followers: Sequence[int], now_ms: int) -> list[Statement]:
    """What remembers it, before the topic is deleted in the same commit."""
    if not followers:
        return []
    given = msgspec.json.encode(list(followers)).decode()
    return [(_REMEMBER, {"topic_id": topic_id, "followers": given, "now_ms": now_ms})]


def of(connection: apsw.Connection, subscription_id: int) -> tuple[list[Former], bool]:
    """See `Store.former`; and whether there are some to be forgotten."""
    values: dict[str, Value] = {"subscription_id": subscription_id, "limit": FORMER_MAX_COUNT}
    found = _of(connection, values)
    former = [Former(*row[1:4]) for row in sorted(found) if not row.is_known]
    return former, len(former) < len(found)


def forget_known(connection: apsw.Connection, subscription_id: int) -> None:
    """Forget those whose successor the subscription knows."""
    connection.execute(_FORGET_KNOWN, {"subscription_id": subscription_id})


def trim(connection: apsw.Connection, before_ms: int, limit: int) -> int:
    """See `Store.former_trim`."""
    connection.execute(_TRIM, (before_ms, limit))
    return connection.changes()
