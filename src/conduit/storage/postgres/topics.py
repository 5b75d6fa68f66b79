"""Creating, changing and deleting topics."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from conduit.core.message import Retention, TopicRecord
from conduit.errors import Conflict

if TYPE_CHECKING:
    from conduit.storage.postgres.database import Connection

_CREATE = """
INSERT INTO conduit.topics (tenant, name, epoch, created_at_ms, max_age_s, max_messages, max_bytes)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (tenant, name) DO NOTHING
RETURNING topic_id
"""

_UPDATE = """
UPDATE conduit.topics SET max_age_s = $2, max_messages = $3, max_bytes = $4 WHERE topic_id = $1
"""

# One statement: whoever appends sees the topic with its messages, or none of it. Its keys are not read
# any more, and go with their time.
_DELETE = """
WITH gone AS (DELETE FROM conduit.topics WHERE topic_id = $1 RETURNING topic_id),
unread AS (DELETE FROM conduit.progress WHERE topic_id IN (SELECT topic_id FROM gone))
INSERT INTO conduit.gone_topics (topic_id) SELECT topic_id FROM gone
"""


async def create(
    connection: Connection, tenant: str, name: str, retention: Retention, now_ms: int
) -> TopicRecord:
    """See `Store.topic_create`."""
    epoch = secrets.token_hex(8)
    bounds = (retention.max_age_s, retention.max_messages, retention.max_bytes)
    topic_id = await connection.fetchval(_CREATE, tenant, name, epoch, now_ms, *bounds)
    if topic_id is None:
        raise Conflict(f"topic {name!r} exists", code="topic_exists")
    return TopicRecord(topic_id, tenant, name, epoch, now_ms, 1, 0, 0, retention)


async def update(connection: Connection, topic_id: int, retention: Retention) -> None:
    """See `Store.topic_update`."""
    bounds = (retention.max_age_s, retention.max_messages, retention.max_bytes)
    await connection.execute(_UPDATE, topic_id, *bounds)


async def delete(connection: Connection, topic_id: int) -> None:
    """See `Store.topic_delete`."""
    await connection.execute(_DELETE, topic_id)
