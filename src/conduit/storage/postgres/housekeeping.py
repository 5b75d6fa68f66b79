"""Removing what retention no longer keeps, in slices.

A topic is trimmed by moving its first number: nobody reads below it. The rows go with their segment, or
in slices from a segment that others need for long (`segments.py`). Slices that nobody waits for are not
synced: after a crash they are done again.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import asyncpg

from conduit.storage.base import Rule, Trimmed
from conduit.storage.postgres.dead_letters import count_of
from conduit.storage.postgres.extents import Extents, span_at
from conduit.storage.postgres.scope import IS_SAID, SAID

if TYPE_CHECKING:
    from conduit.storage.postgres.database import Connection

_EXTENT = f"""
WITH {SAID}
SELECT first_seq, last_seq, stored_bytes FROM conduit.topics WHERE topic_id = $1 AND {IS_SAID}
"""

_SLICE = """
SELECT seq, published_at_ms, bytes FROM conduit.messages_{segment}
WHERE topic_id = $1 AND seq BETWEEN $2 AND $3 ORDER BY seq
"""

# Only if nobody else has trimmed the topic meanwhile. Appends to the topic wait for this commit.
_TRIM = f"""
WITH {SAID}
UPDATE conduit.topics SET first_seq = $3, stored_bytes = stored_bytes - $4,
  trimmed_ms = greatest(trimmed_ms, $5)
FROM set_config('synchronous_commit',
  CASE WHEN $6::boolean THEN current_setting('synchronous_commit') ELSE 'off' END, true)
WHERE topic_id = $1 AND first_seq = $2 AND {IS_SAID} RETURNING stored_bytes
"""

# How long whoever cleans up may be silent before somebody else does. Two at once do no harm.
LEASE_S = 30.0

_CLAIM = """
INSERT INTO conduit.leases AS l (name, holder, until)
SELECT 'housekeeping', $1, now() + make_interval(secs => $2)
FROM set_config('synchronous_commit', 'off', true)
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
WHERE l.holder = excluded.holder OR l.until < now()
RETURNING true
"""

_IS_CLAIMED = """
SELECT EXISTS (SELECT FROM conduit.leases WHERE until > now())
"""

FORGET_WRITERS_AFTER_S = 30 * 86_400.0
_FORGET_WRITERS = """
DELETE FROM conduit.writers WHERE appended_at < now() - make_interval(secs => $1)
"""
# Of servers that were killed (presence.py).
_FORGET_LEASES = "DELETE FROM conduit.leases WHERE until < now() - interval '1 hour'"

_FORGET_KEYS = """
DELETE FROM conduit.idempotency_keys
USING set_config('synchronous_commit', 'off', true)
WHERE (topic_id, key) IN (
  SELECT topic_id, key FROM conduit.idempotency_keys
  WHERE published_at_ms < $1 ORDER BY published_at_ms LIMIT $2)
"""


class _Bounds:
    """Below which number, for how many bytes, and before which time a message goes."""

    def __init__(self, rule: Rule, last_seq: int, stored_bytes: int) -> None:
        self.seq, self.bytes, self.time_ms = rule.through_seq, 0, 0
        self.aged_seq = rule.aged_seq
        keep = rule.retention
        if keep.max_messages is not None:
            self.seq = max(self.seq, last_seq - keep.max_messages)
        if keep.max_bytes is not None:
            self.bytes = stored_bytes - keep.max_bytes
        if keep.max_age_s is not None:
            self.time_ms = rule.now_ms - keep.max_age_s * 1000

    def is_due(self, seq: int, at_ms: int, bytes_before: int) -> bool:
        """Whether the message goes, `bytes_before` being the size of the older ones."""
        is_aged = at_ms < self.time_ms and seq <= self.aged_seq
        return seq <= self.seq or is_aged or bytes_before < self.bytes


async def trim(
    connection: Connection, extents: Extents, topic_id: int, rule: Rule, limit: int
) -> Trimmed:
    """See `Store.trim`. When nothing is due, two rows are read and nothing is written."""
    row = await connection.fetchrow(_EXTENT, topic_id)
    if row is None:
        return Trimmed(first_seq=1, stored_bytes=0, removed_count=0, more=False)
    first_seq, last_seq, stored_bytes = row
    bounds = _Bounds(rule, last_seq, stored_bytes)
    nothing = Trimmed(first_seq, stored_bytes, removed_count=0, more=False)
    oldest = await _rows(connection, extents, topic_id, first_seq, first_seq)
    if not oldest or not bounds.is_due(*oldest[0][:2], bytes_before=0):
        return nothing
    due_count = size = removed_bytes = 0
    rows = await _rows(connection, extents, topic_id, first_seq, first_seq + limit)
    for seq, at_ms, bytes_ in rows:
        if not bounds.is_due(seq, at_ms, size):
            break
        due_count += 1
        size += bytes_
        if due_count <= limit:
            removed_bytes = size
    removed_count = min(due_count, limit)
    kept_seq = first_seq + removed_count
    # A limit of 0 removes none.
    last_ms = rows[removed_count - 1][1] if removed_count else 0
    values = (topic_id, first_seq, kept_seq, removed_bytes, last_ms, rule.is_awaited)
    left_bytes = await connection.fetchval(_TRIM, *values)
    if left_bytes is None:
        return nothing
    # The rows may have ended with their segment.
    is_cut = due_count == len(rows) and rows[-1][0] < min(first_seq + limit, last_seq)
    return Trimmed(kept_seq, left_bytes, removed_count, more=due_count > limit or is_cut)


async def _rows(
    connection: Connection, extents: Extents, topic_id: int, first_seq: int, last_seq: int
) -> list[tuple[int, int, int]]:
    """(seq, published_at_ms, bytes) of these numbers, as far as they are in one segment."""
    for _ in range(2):
        spans = await extents.spans(connection, topic_id)
        if spans:
            span = spans[span_at(spans, first_seq)]
            end = min(last_seq, span.last_seq)
            statement = _SLICE.format(segment=span.segment)
            with suppress(asyncpg.UndefinedTableError):
                rows = await connection.fetch(statement, topic_id, first_seq, end)
                if rows:
                    return [(row[0], row[1], row[2]) for row in rows]
        # What is known of the topic may be old.
        extents.forget(topic_id)
    return []


async def claim(connection: Connection, holder: str) -> bool:
    """Whether `holder` is the one who cleans up for the next LEASE_S."""
    return bool(await connection.fetchval(_CLAIM, holder, LEASE_S))


async def is_claimed(connection: Connection) -> bool:
    """Whether a server uses the database, or did LEASE_S ago."""
    if await connection.fetchval("SELECT to_regclass('conduit.leases')") is None:
        return False
    return bool(await connection.fetchval(_IS_CLAIMED))


async def forget_keys(connection: Connection, before_ms: int, limit: int) -> int:
    """See `Store.forget_keys`. Keys of deleted topics are among them."""
    return count_of(await connection.execute(_FORGET_KEYS, before_ms, limit))


async def forget_writers(connection: Connection) -> None:
    """Remove the rows of servers that were killed, and of writers that are gone, or have not appended for so
    long that it is the same."""
    await connection.execute(_FORGET_WRITERS, FORGET_WRITERS_AFTER_S)
    await connection.execute(_FORGET_LEASES)
