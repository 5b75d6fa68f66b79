"""The tables that the log is cut into: a new one is begun by time and size, one that nobody needs is
dropped as a whole.

A segment is retired when the next one takes messages. It is dropped when each of its topics is deleted
or has its first number behind it. Where some topics need a segment for much longer than others, the rows
of those others are deleted in slices.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

import asyncpg

from conduit.storage.postgres import scope
from conduit.storage.postgres.dead_letters import count_of

if TYPE_CHECKING:
    from conduit.storage.postgres.database import Connection

logger = logging.getLogger(__name__)

# Writers notice at once that a segment is retired; this is for a statement that was on its way.
RETIRED_FOR_S = 600.0
# One that goes within this time by itself is not emptied row by row.
WAIT_FOR_S = 86_400.0

# One at a time in a database; the number stands for "conduit segments". An autovacuum gives way to whoever
# has waited for deadlock_timeout, a second.
_ALONE = """
SELECT pg_try_advisory_xact_lock(4859228372886087027), set_config('lock_timeout', '2s', true)
"""

_CURRENT = """
SELECT segment,
       date_trunc('day', began_at AT TIME ZONE 'UTC') < date_trunc('day', now() AT TIME ZONE 'UTC')
         AS is_old,
       pg_relation_size(format('conduit.messages_%s', segment)::regclass) AS bytes
FROM conduit.segments WHERE retired_at IS NULL
"""

_RETIRED = """
SELECT segment FROM conduit.segments
WHERE retired_at < now() - make_interval(secs => $1) ORDER BY segment
"""

# The last number of an extent is the one before the topic's next extent.
_LAST_SEQ = """
coalesce((SELECT min(n.first_seq) FROM conduit.extents AS n
          WHERE n.topic_id = e.topic_id AND n.first_seq > e.first_seq) - 1, t.last_seq)
"""

# Also by a topic that is neither there nor deleted: it is one that is not seen here, and its messages stay.
_IS_NEEDED = f"""
SELECT EXISTS (
  SELECT FROM conduit.extents AS e LEFT JOIN conduit.topics AS t USING (topic_id)
  WHERE e.segment = $1 AND (t.first_seq <= {_LAST_SEQ} OR (t.topic_id IS NULL AND NOT EXISTS (
    SELECT FROM conduit.gone_topics AS g WHERE g.topic_id = e.topic_id))))
"""

# Whether age alone will make it droppable soon: the oldest rule of all who still need it.
_GOES_SOON = f"""
SELECT coalesce(bool_and(t.max_age_s IS NOT NULL AND
         s.retired_at + make_interval(secs => t.max_age_s) < now() + make_interval(secs => $2)), true)
FROM conduit.extents AS e
JOIN conduit.topics AS t USING (topic_id)
JOIN conduit.segments AS s ON s.segment = e.segment
WHERE e.segment = $1 AND t.first_seq <= {_LAST_SEQ}
"""

_UNNEEDED = f"""
SELECT e.topic_id, e.first_seq, {_LAST_SEQ} AS last_seq
FROM conduit.extents AS e JOIN conduit.topics AS t USING (topic_id)
WHERE e.segment = $1 AND t.first_seq > {_LAST_SEQ}
LIMIT $2
"""

_GONE = """
SELECT g.topic_id, e.segment FROM conduit.gone_topics AS g
LEFT JOIN conduit.extents AS e USING (topic_id) ORDER BY g.topic_id, e.first_seq LIMIT 1
"""


class Rules(NamedTuple):
    """When segments begin and end."""

    max_bytes: int = 4 << 30
    """Of the table without its indexes."""
    retired_for_s: float = RETIRED_FOR_S
    wait_for_s: float = WAIT_FOR_S


async def rotate(connection: Connection, rules: Rules) -> bool:
    """Begin a new segment if the current one is of another day (UTC) or too large."""
    row = await connection.fetchrow(_CURRENT)
    if row is None or not row["bytes"] or not (row["is_old"] or row["bytes"] > rules.max_bytes):
        return False
    async with connection.transaction():
        if not await _is_alone(connection):
            return False
        status = await connection.execute(
            "UPDATE conduit.segments SET retired_at = now()"
            " WHERE segment = $1 AND retired_at IS NULL",
            row["segment"],
        )
        if not count_of(status):
            return False
        await connection.execute("SELECT conduit.add_segment($1)", row["segment"] + 1)
    logger.info("the log goes on in segment %d", row["segment"] + 1)
    return True


async def _is_alone(connection: Connection) -> bool:
    """Whether nobody else changes segments until this transaction ends."""
    row = await connection.fetchrow(_ALONE)
    return row is not None and row[0]


async def drop_unneeded(connection: Connection, rules: Rules) -> list[int]:
    """Drop the segments that no topic needs; returns their numbers."""
    dropped = []
    for (segment,) in await connection.fetch(_RETIRED, rules.retired_for_s):
        async with scope.across(connection):
            is_needed = await connection.fetchval(_IS_NEEDED, segment)
        if is_needed:
            continue
        try:
            if await _drop(connection, segment):
                dropped.append(segment)
        except asyncpg.LockNotAvailableError:
            logger.info("segment %d is being read; it is dropped later", segment)
    if dropped:
        logger.info("dropped segments %s of the log", dropped)
    return dropped


async def _drop(connection: Connection, segment: int) -> bool:
    async with scope.across(connection):
        if not await _is_alone(connection):
            return False
        table = f"conduit.messages_{int(segment)}"
        # Nobody is in the middle of an append then, and the question is asked again.
        await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        # A query over the whole log locks these two the other way round: it is not to wait for us.
        await connection.execute("SELECT set_config('lock_timeout', '100ms', true)")
        await connection.execute("LOCK TABLE ONLY conduit.messages IN ACCESS EXCLUSIVE MODE")
        if await connection.fetchval(_IS_NEEDED, segment):
            return False
        await connection.execute("DELETE FROM conduit.extents WHERE segment = $1", segment)
        await connection.execute("DELETE FROM conduit.segments WHERE segment = $1", segment)
        await connection.execute(f"DROP TABLE {table}")
    return True


async def sweep(connection: Connection, rules: Rules, limit: int) -> int:
    """Delete up to `limit` rows that no topic needs from segments that stay for long; returns how many."""
    removed = 0
    for (segment,) in await connection.fetch(_RETIRED, rules.retired_for_s):
        async with scope.across(connection):
            if await connection.fetchval(_GOES_SOON, segment, rules.wait_for_s):
                continue
            unneeded = await connection.fetch(_UNNEEDED, segment, limit)
        for topic_id, first_seq, last_seq in unneeded:
            removed += await _delete(connection, segment, topic_id, last_seq, limit - removed)
            if removed >= limit:
                return removed
            await connection.execute(
                "DELETE FROM conduit.extents WHERE topic_id = $1 AND first_seq = $2",
                topic_id,
                first_seq,
            )
    return removed


async def purge(connection: Connection, limit: int) -> int:
    """Delete up to `limit` rows of deleted topics; returns how many."""
    removed = 0
    while removed < limit:
        row = await connection.fetchrow(_GONE)
        if row is None:
            break
        topic_id, segment = row
        if segment is None:
            await connection.execute(
                "DELETE FROM conduit.gone_topics WHERE topic_id = $1", topic_id
            )
            continue
        wanted = limit - removed
        count = await _delete(connection, segment, topic_id, None, wanted)
        removed += count
        if count < wanted:
            await connection.execute(
                "DELETE FROM conduit.extents WHERE topic_id = $1 AND segment = $2",
                topic_id,
                segment,
            )
    return removed


async def _delete(
    connection: Connection, segment: int, topic_id: int, last_seq: int | None, limit: int
) -> int:
    """Delete up to `limit` rows of a topic from a segment, the oldest ones, those up to `last_seq`."""
    table = f"conduit.messages_{int(segment)}"
    try:
        status = await connection.execute(
            f"DELETE FROM {table} USING set_config('synchronous_commit', 'off', true)"
            f" WHERE topic_id = $1 AND seq IN ("
            f" SELECT seq FROM {table} WHERE topic_id = $1 AND seq <= coalesce($2, seq)"
            f" ORDER BY seq LIMIT $3)",
            topic_id,
            last_seq,
            limit,
        )
    except asyncpg.UndefinedTableError:
        return 0
    return count_of(status)
