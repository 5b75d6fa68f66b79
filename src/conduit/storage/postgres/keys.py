"""The idempotency keys that are known again after a start."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from conduit.storage.base import KnownKey
from conduit.storage.keys import LOOKED_AT_TIMES, Shares, in_order
from conduit.storage.postgres import scope
from conduit.storage.postgres.parts import in_parts

if TYPE_CHECKING:
    import asyncpg

    from conduit.storage.postgres.database import Connection

_NEWEST = "WHERE published_at_ms >= $1 ORDER BY published_at_ms DESC, seq DESC LIMIT $2"
_KEY_COUNTS = f"""
SELECT topic_id, count(*), min(published_at_ms), tenant
FROM (SELECT topic_id, published_at_ms FROM conduit.idempotency_keys {_NEWEST}) AS k
JOIN conduit.topics USING (topic_id) GROUP BY topic_id, tenant
"""
_KEYS = """
SELECT topic_id, key, message_id, seq, published_at_ms, payload_hash FROM conduit.idempotency_keys
"""
_NEWEST_KEYS = f"{_KEYS} {_NEWEST}"
_KEYS_OF_TOPICS = f"{_KEYS} WHERE published_at_ms >= $1 AND topic_id = ANY ($2::bigint[])"


async def known_keys(
    connection: Connection, since_ms: int, limit: int
) -> tuple[list[KnownKey], dict[int, str]]:
    """See `Store.known_keys`; and whose each of their topics is."""
    looked_at = since_ms, limit * LOOKED_AT_TIMES
    async with scope.across(connection):
        counted = await connection.fetch(_KEY_COUNTS, *looked_at)
    tenants: dict[int, str] = {row[0]: row[3] for row in counted}
    shares = Shares({row[0]: row[1] for row in counted}, tenants, limit)
    # A topic may have any number of keys that are older than all that are looked at.
    oldest_ms = min((row[2] for row in counted), default=since_ms)
    found: list[KnownKey] = []
    async for part in in_parts(connection, scope.ALL, _KEYS_OF_TOPICS, oldest_ms, shares.whole):
        found += map(_known_key, part)
    if shares.has_more:
        async with aclosing(in_parts(connection, scope.ALL, _NEWEST_KEYS, *looked_at)) as parts:
            async for part in parts:
                found += [_known_key(row) for row in part if shares.takes(row["topic_id"])]
                if not shares.has_more:
                    break
    return in_order(found, limit), tenants


def _known_key(row: asyncpg.Record) -> KnownKey:
    topic_id, key, message_id, *rest = row
    return KnownKey(topic_id, key.decode(), str(message_id), *rest)
