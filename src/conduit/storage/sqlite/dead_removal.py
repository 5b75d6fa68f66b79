"""Dead letters that go: too many, too old, or discarded. Runs on the writer's thread."""

from __future__ import annotations

from collections.abc import Sequence

import apsw
import msgspec

from conduit.storage.dead import GONE_MAX_COUNT, Candidate, Shelf, bounds_of, surplus
from conduit.storage.dead_letters import DISCARDED, DROPPED, DeadBounds, DeadTally
from conduit.storage.sqlite.bulk import Statement, execute_all, rows

_CANDIDATE = "dead_id, tenant, subscription, iif(subscription = '', topic, ''), topic_id, bytes"

# As the index has it.
_AGE = "coalesce(redriven_at_ms, died_at_ms)"
_OLD = f"""
SELECT {_CANDIDATE} FROM dead_letters WHERE {_AGE} < ? ORDER BY {_AGE} LIMIT ?
"""

_CROWDED = """
SELECT tenant, subscription, topic, open_count, redriven_count, bytes FROM dead_tallies
WHERE (subscription <> '' AND (open_count + redriven_count > ? OR bytes > ?))
   OR (subscription = '' AND (open_count + redriven_count > ? OR bytes > ?))
LIMIT ?
"""

# Tenants that have more than all together may be. A tenant's own bound may be 0. Each bound is read once: a
# look for that of each tenant would go through all of them.
_TENANTS = """
SELECT tenant, sum(letters) - coalesce(max(own), ?2) AS surplus FROM (
  SELECT tenant, open_count + redriven_count AS letters, NULL AS own FROM dead_tallies
  UNION ALL SELECT key, 0, value FROM json_each(?1))
GROUP BY tenant HAVING surplus > 0
"""
_OLDEST = f"SELECT {_CANDIDATE} FROM dead_letters WHERE tenant = ? ORDER BY dead_id LIMIT ?"

# Of a durable subscription, or of the ephemeral ones of a topic.
_OF = {True: "subscription = ?", False: "topic = ? AND subscription = ''"}
# First those that were redriven, unless they are all that is left of a message that may still be out.
_ALL_THAT_IS_LEFT = """
EXISTS (SELECT 1 FROM topics AS t WHERE t.topic_id = d.topic_id AND t.first_seq > d.seq)
"""
_PARTS = (
    f"redriven_at_ms IS NOT NULL AND NOT {_ALL_THAT_IS_LEFT}",
    f"(redriven_at_ms IS NULL OR {_ALL_THAT_IS_LEFT})",
)
_GOING = f"""
SELECT {_CANDIDATE} FROM dead_letters AS d WHERE tenant = ? AND {{of}} AND {{part}} ORDER BY dead_id LIMIT ?
"""

_REMEMBER = """
INSERT INTO gone_letters
SELECT d.topic_id, d.seq, d.subscription, ?
FROM dead_letters AS d JOIN topics AS t USING (topic_id)
WHERE d.dead_id IN (SELECT value FROM json_each(?))
  AND d.subscription <> '' AND d.redriven_at_ms IS NULL
ON CONFLICT (topic_id, seq, subscription) DO UPDATE SET fate = excluded.fate
"""
_REMOVE = "DELETE FROM dead_letters WHERE dead_id IN (SELECT value FROM json_each(?))"
_FORGET = """
INSERT INTO forgotten_letters
SELECT * FROM (
  SELECT topic_id, seq FROM gone_letters WHERE topic_id = ?
  ORDER BY seq DESC LIMIT 1 OFFSET ?) WHERE true
ON CONFLICT (topic_id) DO UPDATE SET seq = max(seq, excluded.seq)
"""
_FORGOTTEN = """
DELETE FROM gone_letters
WHERE topic_id = ?1 AND seq <= (SELECT seq FROM forgotten_letters WHERE topic_id = ?1)
"""


def delete(connection: apsw.Connection, tenant: str, dead_ids: Sequence[str]) -> int:
    """See `Store.dead_delete`."""
    ids = msgspec.json.encode(dead_ids).decode()
    found = rows(
        connection,
        f"SELECT {_CANDIDATE} FROM dead_letters"
        " WHERE dead_id IN (SELECT value FROM json_each(?)) AND tenant = ?",
        (ids, tenant),
    )
    _remove(connection, [_candidate(row) for row in found], DISCARDED)
    return len(found)


def trim(
    connection: apsw.Connection,
    before_ms: int,
    bounds: DeadBounds,
    limit: int,
    gone: list[Candidate],
) -> None:
    """See `Store.dead_trim`. Those that are gone are added to `gone`, also if it fails at others then."""
    old = [_candidate(row) for row in rows(connection, _OLD, (before_ms, limit))]
    _remove(connection, old, DROPPED)
    gone += old
    limits = (bounds.max_count, bounds.max_bytes)
    ephemeral = (bounds.ephemeral_max_count, bounds.ephemeral_max_bytes)
    for *shelf, open_count, redriven_count, size in rows(
        connection, _CROWDED, (*limits, *ephemeral, limit)
    ):
        if len(gone) >= limit:
            break
        crowded, tally = Shelf(*shelf), DeadTally(open_count, redriven_count, size)
        candidates = _going(connection, crowded, limit - len(gone))
        some = surplus(candidates, tally, bounds_of(bounds, crowded))
        _remove(connection, some, DROPPED)
        gone += some
    if bounds.has_tenants:
        _trim_tenants(connection, bounds, limit, gone)


def _trim_tenants(
    connection: apsw.Connection, bounds: DeadBounds, limit: int, gone: list[Candidate]
) -> None:
    own = msgspec.json.encode(bounds.tenants).decode()
    for tenant, count in rows(connection, _TENANTS, (own, bounds.tenant_max_count)):
        oldest = rows(connection, _OLDEST, (tenant, min(count, limit - len(gone))))
        some = [_candidate(row) for row in oldest]
        _remove(connection, some, DROPPED)
        gone += some


def _going(connection: apsw.Connection, shelf: Shelf, limit: int) -> list[Candidate]:
    """The first that have to go."""
    of = _OF[bool(shelf.subscription)]
    name = shelf.subscription or shelf.topic
    found: list[Candidate] = []
    for part in _PARTS:
        sql = _GOING.format(of=of, part=part)
        values = (shelf.tenant, name, limit - len(found))
        found += [_candidate(row) for row in rows(connection, sql, values)]
    return found


def _remove(connection: apsw.Connection, letters: Sequence[Candidate], fate: str) -> None:
    if not letters:
        return
    ids = msgspec.json.encode([one.dead_id for one in letters]).decode()
    statements: list[Statement] = [(_REMEMBER, [fate, ids]), (_REMOVE, [ids])]
    for topic_id in {one.topic_id for one in letters if one.shelf.subscription}:
        statements += [(_FORGET, [topic_id, GONE_MAX_COUNT]), (_FORGOTTEN, [topic_id])]
    execute_all(connection, statements)


def _candidate(row: Sequence[str | int]) -> Candidate:
    dead_id, tenant, subscription, topic, topic_id, size_bytes = row
    shelf = Shelf(str(tenant), str(subscription), str(topic))
    return Candidate(str(dead_id), shelf, int(topic_id), int(size_bytes))
