"""Dead letters that go: too many, too old, or discarded."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from conduit.storage.dead import GONE_MAX_COUNT, Candidate, Shelf, bounds_of, surplus
from conduit.storage.dead_letters import DISCARDED, DROPPED, DeadBounds, DeadTally
from conduit.storage.postgres import scope

if TYPE_CHECKING:
    import asyncpg

    from conduit.storage.postgres.database import Connection

FirstSeqs = Callable[[], Awaitable[Sequence[tuple[int, int]]]]
"""Where topics begin whose messages are in other shards, if not at 1: (topic id, number)."""

_CANDIDATE = """
dead_id, tenant, subscription, CASE subscription WHEN '' THEN topic ELSE '' END, topic_id,
octet_length(payload) + coalesce(octet_length(key), 0) + coalesce(octet_length(headers), 0)
"""

# As the index has it.
_AGE = "coalesce(redriven_at_ms, died_at_ms)"
_OLD = f"""
SELECT {_CANDIDATE} FROM conduit.dead_letters WHERE {_AGE} < $1 ORDER BY {_AGE} LIMIT $2
"""

_NAMED = f"""
SELECT {_CANDIDATE} FROM conduit.dead_letters WHERE dead_id = ANY ($1::text[]) AND tenant = $2
"""

_CROWDED = """
SELECT tenant, subscription, topic, open_count, redriven_count, bytes FROM conduit.dead_tallies
WHERE (subscription <> '' AND (open_count + redriven_count > $1 OR bytes > $2))
   OR (subscription = '' AND (open_count + redriven_count > $3 OR bytes > $4))
LIMIT $5
"""

# Tenants that have more than all together may be.
_TENANTS = """
SELECT tenant, surplus::bigint FROM (
  SELECT tenant, sum(open_count + redriven_count)
           - coalesce(($1::jsonb ->> tenant)::bigint, $2::bigint) AS surplus
  FROM conduit.dead_tallies GROUP BY tenant
) AS t
WHERE surplus > 0
"""
_OLDEST = (
    f"SELECT {_CANDIDATE} FROM conduit.dead_letters WHERE tenant = $1 ORDER BY dead_id LIMIT $2"
)

# Of a durable subscription, or of the ephemeral ones of a topic.
_OF = {True: "subscription = $2", False: "topic = $2 AND subscription = ''"}
# First those that were redriven, unless they are all that is left of a message that may still be out. The
# home does not know where topics begin whose messages are elsewhere: $4 says it, by topic id. Nothing is
# joined: the index has the letters in their order, and of a long shelf the first are enough.
_PARTS = (
    "redriven_at_ms IS NOT NULL AND NOT is_left",
    "(redriven_at_ms IS NULL OR is_left)",
)
_GOING = f"""
SELECT {_CANDIDATE} FROM (
  SELECT d.*, d.seq < coalesce(
    ($4::jsonb ->> d.topic_id::text)::bigint,
    (SELECT t.first_seq FROM conduit.topics AS t WHERE t.topic_id = d.topic_id), 0) AS is_left
  FROM conduit.dead_letters AS d WHERE tenant = $1
) AS d
WHERE {{of}} AND {{part}} ORDER BY dead_id LIMIT $3
"""

# In the order of the keys, as `settle` takes them.
_REMOVE = """
WITH gone AS (
  DELETE FROM conduit.dead_letters WHERE dead_id IN (
    SELECT dead_id FROM conduit.dead_letters WHERE dead_id = ANY ($1::text[])
    ORDER BY topic_id, seq, subscription FOR UPDATE)
  RETURNING topic_id, seq, subscription, redriven_at_ms
),
remembered AS (
  INSERT INTO conduit.gone_letters (topic_id, seq, subscription, fate)
  SELECT g.topic_id, g.seq, g.subscription, $2
  FROM gone AS g JOIN conduit.topics AS t ON t.topic_id = g.topic_id
  WHERE g.subscription <> '' AND g.redriven_at_ms IS NULL
  ORDER BY g.topic_id, g.seq, g.subscription
  ON CONFLICT (topic_id, seq, subscription) DO UPDATE SET fate = excluded.fate
)
SELECT count(*) FROM gone
"""
_FORGET = """
INSERT INTO conduit.forgotten_letters AS f (topic_id, seq)
SELECT topic_id, seq FROM conduit.gone_letters WHERE topic_id = $1
ORDER BY seq DESC OFFSET $2 LIMIT 1
ON CONFLICT (topic_id) DO UPDATE SET seq = greatest(f.seq, excluded.seq)
"""
_FORGOTTEN = """
DELETE FROM conduit.gone_letters
WHERE topic_id = $1 AND seq <= (SELECT seq FROM conduit.forgotten_letters WHERE topic_id = $1)
"""
_TIDY = "DELETE FROM conduit.dead_tallies WHERE open_count = 0 AND redriven_count = 0"


async def delete(connection: Connection, tenant: str, dead_ids: Sequence[str]) -> int:
    """See `Store.dead_delete`."""
    async with scope.of(connection, tenant):
        found = await connection.fetch(_NAMED, list(dead_ids), tenant)
        return await _remove(connection, [_candidate(row) for row in found], DISCARDED)


async def trim(
    connection: Connection,
    before_ms: int,
    bounds: DeadBounds,
    limit: int,
    first_seqs: FirstSeqs,
    gone: list[Candidate],
) -> None:
    """See `Store.dead_trim`. Those that are gone are added to `gone`, also if it fails at others then.
    `first_seqs` is asked if it matters."""
    async with scope.across(connection):
        old = [_candidate(row) for row in await connection.fetch(_OLD, before_ms, limit)]
        await _remove(connection, old, DROPPED)
    gone += old
    limits = (bounds.max_count, bounds.max_bytes)
    ephemeral = (bounds.ephemeral_max_count, bounds.ephemeral_max_bytes)
    async with scope.across(connection):
        crowded = await connection.fetch(_CROWDED, *limits, *ephemeral, limit)
    for row in crowded:
        if len(gone) >= limit:
            break
        shelf, tally = Shelf(*row[:3]), DeadTally(*row[3:])
        begins = await first_seqs() if tally.redriven_count else []
        async with scope.across(connection):
            candidates = await _going(connection, shelf, limit - len(gone), begins)
            some = surplus(candidates, tally, bounds_of(bounds, shelf))
            await _remove(connection, some, DROPPED)
        gone += some
    if bounds.has_tenants:
        await _trim_tenants(connection, bounds, limit, gone)
    if len(gone) < limit:
        async with scope.across(connection):
            await connection.execute(_TIDY)


async def _trim_tenants(
    connection: Connection, bounds: DeadBounds, limit: int, gone: list[Candidate]
) -> None:
    own = msgspec.json.encode(bounds.tenants).decode()
    async with scope.across(connection):
        crowded = await connection.fetch(_TENANTS, own, bounds.tenant_max_count)
    for tenant, count in crowded:
        async with scope.of(connection, tenant):
            oldest = await connection.fetch(_OLDEST, tenant, min(count, limit - len(gone)))
            some = [_candidate(row) for row in oldest]
            await _remove(connection, some, DROPPED)
        gone += some


async def _going(
    connection: Connection, shelf: Shelf, limit: int, begins: Sequence[tuple[int, int]]
) -> list[Candidate]:
    """The first that have to go."""
    of = _OF[bool(shelf.subscription)]
    name = shelf.subscription or shelf.topic
    by_topic = msgspec.json.encode(dict(begins)).decode()
    found: list[Candidate] = []
    for part in _PARTS:
        statement = _GOING.format(of=of, part=part)
        rows = await connection.fetch(statement, shelf.tenant, name, limit - len(found), by_topic)
        found += [_candidate(row) for row in rows]
    return found


async def _remove(connection: Connection, letters: Sequence[Candidate], fate: str) -> int:
    """Within a transaction."""
    if not letters:
        return 0
    count = await connection.fetchval(_REMOVE, [one.dead_id for one in letters], fate)
    for topic_id in sorted({one.topic_id for one in letters if one.shelf.subscription}):
        await connection.execute(_FORGET, topic_id, GONE_MAX_COUNT)
        await connection.execute(_FORGOTTEN, topic_id)
    return int(count)


def _candidate(row: asyncpg.Record) -> Candidate:
    return Candidate(row[0], Shelf(row[1], row[2], row[3]), row[4], row[5])
