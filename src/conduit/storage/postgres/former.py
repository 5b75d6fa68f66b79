"""Which deleted topics the durable subscriptions followed: `Store.former`, `former_trim`. `topics.py`
remembers them, in the statement that deletes a topic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from conduit.storage.base import FORMER_MAX_COUNT, Former
from conduit.storage.postgres.dead_letters import count_of

if TYPE_CHECKING:
    from conduit.storage.postgres.database import Connection

# The successor has the name now, and the subscription has progress in it, or was moved in it. What it
# begins with is taken apart once for all names, so the subscription is a parameter.
_IS_KNOWN = """
EXISTS (
  SELECT FROM conduit.subscriptions AS s
  JOIN conduit.topics AS t ON t.tenant = s.tenant AND t.name = f.name
  WHERE s.subscription_id = $1 AND (
    EXISTS (
      SELECT FROM conduit.progress AS p
      WHERE p.subscription_id = s.subscription_id AND p.topic_id = t.topic_id)
    OR t.topic_id IN (
      SELECT jsonb_object_keys(begins)::bigint FROM conduit.subscriptions
      WHERE subscription_id = $1)))
"""

_OF = f"""
SELECT name, epoch, floor, is_known FROM (
  SELECT f.*, {_IS_KNOWN} AS is_known FROM conduit.former_topics AS f WHERE subscription_id = $1
) AS f ORDER BY is_known, deleted_at_ms DESC LIMIT $2
"""

_FORGET_KNOWN = f"""
DELETE FROM conduit.former_topics AS f WHERE subscription_id = $1 AND {_IS_KNOWN}
"""

# A topic of that name may be deleted at the same time, and its row is then a new one.
_TRIM = """
DELETE FROM conduit.former_topics
USING set_config('synchronous_commit', 'off', true)
WHERE deleted_at_ms < $1 AND (subscription_id, name) IN (
  SELECT subscription_id, name FROM conduit.former_topics
  WHERE deleted_at_ms < $1 ORDER BY deleted_at_ms LIMIT $2)
"""

# Until the commit none of them is deleted, or moved. In the order of their ids, as all who lock several.
_LOCK = """
SELECT subscription_id FROM conduit.subscriptions
WHERE subscription_id = ANY ($1::bigint[]) ORDER BY subscription_id FOR SHARE
"""


async def lock(connection: Connection, followers: Sequence[int]) -> list[int]:
    """Those of these subscriptions that exist; they do, and stay where they are moved to, until the
    transaction ends."""
    return [row[0] for row in await connection.fetch(_LOCK, list(followers))]


async def of(connection: Connection, subscription_id: int) -> tuple[list[Former], bool]:
    """See `Store.former`; and whether there are some to be forgotten."""
    rows = await connection.fetch(_OF, subscription_id, FORMER_MAX_COUNT)
    former = [Former(*row[:3]) for row in reversed(rows) if not row[3]]
    return former, len(former) < len(rows)


async def forget_known(connection: Connection, subscription_id: int) -> None:
    """Forget those whose successor the subscription knows."""
    await connection.execute(_FORGET_KNOWN, subscription_id)


async def trim(connection: Connection, before_ms: int, limit: int) -> int:
    """See `Store.former_trim`."""
    return count_of(await connection.execute(_TRIM, before_ms, limit))
