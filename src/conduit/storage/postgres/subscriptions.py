"""Durable subscriptions and their progress."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec

from conduit.core.message import Progress, SubscriptionRecord, SubscriptionSettings
from conduit.errors import Conflict
from conduit.storage.base import Former, Settled
from conduit.storage.postgres import former, scope, tenants
from conduit.storage.postgres.lane import Overtaken, Ticket
from conduit.storage.postgres.parts import in_parts

if TYPE_CHECKING:
    import asyncpg

    from conduit.storage.postgres.database import Connection

_ALL = """
SELECT subscription_id, tenant, name, pattern, created_at_ms, paused, settings
FROM conduit.subscriptions
"""
_SOME = f"{_ALL} WHERE subscription_id = ANY ($1::bigint[])"

_CREATE = """
INSERT INTO conduit.subscriptions (tenant, name, pattern, created_at_ms, settings, begins)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (tenant, name) DO NOTHING
RETURNING subscription_id
"""

# In the order of the keys, so that two that settle at once wait for each other and not in a circle.
# Nobody claims the subscriptions before this is committed, nor takes the lane's token further.
_PUT = """
WITH lane AS (SELECT FROM conduit.writers WHERE writer_id = $7 AND token = $8 FOR SHARE),
{said},
owned AS (
  SELECT subscription_id, tenant, fence FROM conduit.subscriptions
  WHERE subscription_id = ANY ($1::bigint[]) AND {is_said} ORDER BY subscription_id FOR SHARE
),
given AS (
  SELECT i.*, o.tenant, coalesce(i.fence < o.fence, false) AS is_refused
  FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bytea[], $6::bigint[])
    AS i (subscription_id, topic_id, floor, cursor, open, fence)
  JOIN owned AS o USING (subscription_id)
  WHERE EXISTS (SELECT FROM lane)
),
stored AS (
  INSERT INTO conduit.progress AS p (subscription_id, topic_id, floor, cursor, open)
  SELECT g.subscription_id, g.topic_id, g.floor, g.cursor, g.open
  FROM given AS g JOIN conduit.topics AS t ON t.topic_id = g.topic_id AND t.tenant = g.tenant
  WHERE NOT g.is_refused AND {is_said}
  ORDER BY g.subscription_id, g.topic_id
  ON CONFLICT (subscription_id, topic_id) DO UPDATE SET
    floor = excluded.floor, cursor = excluded.cursor, open = excluded.open
  RETURNING subscription_id, topic_id
){pages}
SELECT DISTINCT subscription_id FROM given WHERE is_refused
UNION ALL SELECT NULL WHERE NOT EXISTS (SELECT FROM lane)
"""

# Of what is stored, the pages; no key of one is in both parts.
_PAGES = """,
pages AS (
  SELECT i.*
  FROM unnest($9::bigint[], $10::bigint[], $11::bigint[], $12::bytea[])
    AS i (subscription_id, topic_id, page, retries)
  JOIN stored USING (subscription_id, topic_id)
),
stored_pages AS (
  INSERT INTO conduit.progress_pages AS p (subscription_id, topic_id, page, retries)
  SELECT subscription_id, topic_id, page, retries FROM pages WHERE retries <> ''
  ORDER BY subscription_id, topic_id, page
  ON CONFLICT (subscription_id, topic_id, page) DO UPDATE SET retries = excluded.retries
),
removed_pages AS (
  DELETE FROM conduit.progress_pages AS p USING pages AS g
  WHERE g.retries = ''
    AND (p.subscription_id, p.topic_id, p.page) = (g.subscription_id, g.topic_id, g.page)
)"""

_PUT_ROWS, _PUT_ALL = (
    _PUT.format(pages=pages, said=scope.SAID, is_said=scope.IS_SAID) for pages in ("", _PAGES)
)

_NUMBERS = """
CROSS JOIN LATERAL (
  SELECT array_agg(page) AS numbers, array_agg(retries) AS retries FROM conduit.progress_pages AS g
  WHERE g.subscription_id = p.subscription_id AND g.topic_id = p.topic_id) AS g
"""

# What was recorded, and of the other topics that are still there where it began. Sorted, and the first of
# each topic taken: a join of the two that was planned while nothing was recorded compares each with each, in
# the session that has the plan, until statistics are made again.
_ROWS = f"""
SELECT DISTINCT ON (r.topic_id)
       r.topic_id, t.first_seq, r.floor, r.cursor, r.open, r.numbers, r.retries
FROM (
  SELECT p.topic_id, p.floor, p.cursor, p.open, g.numbers, g.retries, 1 AS place
  FROM conduit.progress AS p {_NUMBERS}
  WHERE p.subscription_id = $1
  UNION ALL
  SELECT b.topic_id, b.floor, b.floor, ''::bytea, NULL, NULL, 2
  FROM conduit.subscriptions AS s
  CROSS JOIN LATERAL (
    SELECT key::bigint, value::bigint FROM jsonb_each_text(s.begins)) AS b (topic_id, floor)
  WHERE s.subscription_id = $1
) AS r
JOIN conduit.topics AS t USING (topic_id)
WHERE t.tenant = (SELECT tenant FROM conduit.subscriptions WHERE subscription_id = $1)
ORDER BY r.topic_id, r.place
"""
_COLUMNS = "topic_id, floor, cursor, open, numbers, retries"
_PROGRESS = f"SELECT $1::bigint, {_COLUMNS} FROM ({_ROWS}) AS r"
_PROGRESS_OF = f"{_PROGRESS} WHERE topic_id = ANY ($2::bigint[])"
_OPEN = f"""
SELECT subscription_id, {_COLUMNS} FROM conduit.progress AS p {_NUMBERS}
WHERE p.subscription_id = ANY ($1::bigint[]) AND octet_length(open) > 0
"""

# A topic's id is the key of where a subscription began. With nothing appended to it, that is read from the
# table once, and not once for each topic: it may have 200 KB.
_PROGRESS_AT = f"""
SELECT subscription_id, topic_id, floor, cursor, open, numbers, retries FROM (
  SELECT s.subscription_id, i.topic_id, coalesce(p.floor, i.begun) AS floor,
         coalesce(p.cursor, i.begun) AS cursor, coalesce(p.open, ''::bytea) AS open,
         g.numbers, g.retries
  FROM (
    SELECT subscription_id, array_agg(topic_id) AS topic_ids
    FROM unnest($1::bigint[], $2::bigint[]) AS asked (subscription_id, topic_id) GROUP BY 1
  ) AS asked
  JOIN conduit.subscriptions AS s USING (subscription_id)
  CROSS JOIN LATERAL (
    SELECT topic_id, (b.begins ->> topic_id::text)::bigint AS begun
    FROM (SELECT s.begins || '{{}}'::jsonb AS begins OFFSET 0) AS b, unnest(asked.topic_ids) AS topic_id
  ) AS i
  JOIN conduit.topics AS t ON t.topic_id = i.topic_id AND t.tenant = s.tenant
  LEFT JOIN conduit.progress AS p
    ON p.subscription_id = s.subscription_id AND p.topic_id = i.topic_id
  {_NUMBERS}
) AS r WHERE floor IS NOT NULL
"""

# The home does not know where topics begin whose messages are elsewhere: $2 and $3 say it, where that is
# not at 1.
# Of each subscription the same as in _ROWS, without what is open.
_PASSED = """
SELECT a.subscription_id,
       coalesce(sum(greatest(0, r.cursor - coalesce(f.first_seq, r.first_seq) + 1)), 0)::bigint
FROM unnest($1::bigint[]) AS a (subscription_id)
JOIN conduit.subscriptions AS s USING (subscription_id)
CROSS JOIN LATERAL (
  SELECT DISTINCT ON (r.topic_id) r.topic_id, t.first_seq, r.cursor
  FROM (
    SELECT p.topic_id, p.cursor, 1 AS place FROM conduit.progress AS p
    WHERE p.subscription_id = s.subscription_id
    UNION ALL
    SELECT key::bigint, value::bigint, 2 FROM jsonb_each_text(s.begins)
  ) AS r
  JOIN conduit.topics AS t USING (topic_id)
  WHERE t.tenant = s.tenant
  ORDER BY r.topic_id, r.place
) AS r
LEFT JOIN unnest($2::bigint[], $3::bigint[]) AS f (topic_id, first_seq) USING (topic_id)
GROUP BY 1
"""

# Two statements: the first waits for those who store progress of the subscription, and only what begins
# after that sees the rows that they have stored.
_MOVE = """
UPDATE conduit.subscriptions SET begins = $2, fence = fence + (fence IS DISTINCT FROM $3)::int
WHERE subscription_id = $1
"""
_FORGET = """
WITH pages AS (
  DELETE FROM conduit.progress_pages WHERE subscription_id = $1 AND topic_id = ANY ($2::bigint[])
)
DELETE FROM conduit.progress WHERE subscription_id = $1 AND topic_id = ANY ($2::bigint[])
"""

# The fates of dead letters that are gone, of deliveries that come again; in the order of the keys.
_ARE_BACK = """
DELETE FROM conduit.gone_letters AS g USING (
  SELECT l.topic_id, l.seq, l.subscription
  FROM conduit.subscriptions AS s
  JOIN conduit.gone_letters AS l ON l.subscription = s.name
  JOIN unnest($2::bigint[], $3::bigint[]) AS f (topic_id, floor) USING (topic_id)
  WHERE s.subscription_id = $1 AND l.seq > f.floor
  ORDER BY l.topic_id, l.seq, l.subscription FOR UPDATE OF l
) AS b
WHERE (g.topic_id, g.seq, g.subscription) = (b.topic_id, b.seq, b.subscription)
"""

_UPDATE = """
UPDATE conduit.subscriptions SET settings = $2, paused = $3 WHERE subscription_id = $1
"""

_DELETE = "DELETE FROM conduit.subscriptions WHERE subscription_id = $1"

_settings = msgspec.json.Decoder(SubscriptionSettings).decode


async def all_records(connection: Connection) -> list[SubscriptionRecord]:
    """See `Store.subscriptions`."""
    async with scope.across(connection):
        return [_record(row) for row in await connection.fetch(_ALL)]


async def records_of(connection: Connection, ids: list[int]) -> list[SubscriptionRecord]:
    """See `Store.subscriptions_of`."""
    async with scope.across(connection):
        return [_record(row) for row in await connection.fetch(_SOME, ids)]


def _record(row: asyncpg.Record) -> SubscriptionRecord:
    return SubscriptionRecord(*[*row[:6], _settings(row[6])])


async def create(
    connection: Connection,
    record: SubscriptionRecord,
    floors: Iterable[tuple[int, int]],
    gaps: Sequence[Former],
) -> SubscriptionRecord:
    """Store the record under a new id, with its (topic id, floor), in one row, and what it has to be told.
    Raises Conflict, NotFound.

    Since the floors were found a topic may have got messages: they are delivered. It may have been trimmed:
    the subscription has a gap, as if that came later. It may have been deleted: its id then stands for
    nothing. A topic that was made, perhaps anew, is not named, and begins at its first message.
    """
    settings = msgspec.json.encode(record.settings).decode()
    begins = _text({topic_id: floor for topic_id, floor in floors if floor})
    values = (record.tenant, record.name, record.pattern, record.created_at_ms, settings, begins)
    async with scope.of(connection, record.tenant):
        await tenants.hold(connection, record.tenant)
        subscription_id = await connection.fetchval(_CREATE, *values)
        if subscription_id is None:
            raise Conflict(f"subscription {record.name!r} exists", code="subscription_exists")
        if gaps:
            await former.add(connection, subscription_id, gaps, record.created_at_ms)
    return msgspec.structs.replace(record, subscription_id=subscription_id)


async def update(
    connection: Connection, subscription_id: int, settings: SubscriptionSettings, paused: bool
) -> None:
    """See `Store.subscription_update`."""
    text = msgspec.json.encode(settings).decode()
    async with scope.across(connection):
        await connection.execute(_UPDATE, subscription_id, text, paused)


async def delete(connection: Connection, subscription_id: int) -> None:
    """See `Store.subscription_delete`."""
    async with scope.across(connection):
        await connection.execute(_DELETE, subscription_id)


async def progress(
    connection: Connection, subscription_id: int, topic_ids: Sequence[int] | None
) -> list[Progress]:
    """See `Store.progress`."""
    if topic_ids is not None:
        async with scope.across(connection):
            return _read(await connection.fetch(_PROGRESS_OF, subscription_id, topic_ids))
    found = []
    async for some in in_parts(connection, scope.ALL, _PROGRESS, subscription_id):
        found += _read(some)
    return found


async def progress_at(connection: Connection, places: Sequence[tuple[int, int]]) -> list[Progress]:
    """See `Store.progress_at`."""
    subscription_ids, topic_ids = [one for one, _ in places], [topic for _, topic in places]
    async with scope.across(connection):
        return _read(await connection.fetch(_PROGRESS_AT, subscription_ids, topic_ids))


async def settled(
    connection: Connection, subscription_ids: Sequence[int], first_seqs: Sequence[tuple[int, int]]
) -> dict[int, Settled]:
    """See `Store.settled`. `first_seqs`: (topic id, number) of the topics of other shards."""
    topic_ids, numbers = [topic for topic, _ in first_seqs], [seq for _, seq in first_seqs]
    found = {each: Settled(0, []) for each in subscription_ids}
    async with scope.across(connection):
        for each, passed in await connection.fetch(_PASSED, subscription_ids, topic_ids, numbers):
            found[each] = Settled(passed, [])
        for row in _read(await connection.fetch(_OPEN, subscription_ids)):
            found[row.subscription_id].open.append(row)
    return found


def _read(rows: Iterable[asyncpg.Record]) -> list[Progress]:
    # The pages are the last two columns.
    return [
        Progress(*[*row[:5], None, dict(zip(row[5] or (), row[6] or (), strict=True))])
        for row in rows
    ]


async def put(connection: Connection, progress: Sequence[Progress], ticket: Ticket) -> set[int]:
    """Store it, as `Store.settle` says; returns the refused. Of several rows of one key the last counts.
    Raises Overtaken."""
    rows = {(row.subscription_id, row.topic_id): row for row in progress}.values()
    if not rows:
        return set()
    values: list[object] = [
        [row.subscription_id for row in rows],
        [row.topic_id for row in rows],
        [row.floor for row in rows],
        [row.cursor for row in rows],
        [row.open for row in rows],
        [row.fence for row in rows],
        *ticket,
    ]
    pages = [
        (row.subscription_id, row.topic_id, number, page)
        for row in rows
        for number, page in row.pages.items()
    ]
    if pages:
        values += zip(*pages, strict=True)
    refused = await connection.fetch(_PUT_ALL if pages else _PUT_ROWS, *values)
    found = {row[0] for row in refused}
    if None in found:
        raise Overtaken
    return found


async def seek(
    connection: Connection,
    subscription_id: int,
    floors: Sequence[tuple[int, int]],
    fence: int | None = None,
) -> None:
    """See `Store.seek`."""
    begins = dict(floors)
    async with scope.across(connection):
        await connection.execute(_MOVE, subscription_id, _text(begins), fence)
        await connection.execute(_FORGET, subscription_id, list(begins))
        await connection.execute(_ARE_BACK, subscription_id, list(begins), list(begins.values()))


def _text(begins: dict[int, int]) -> str:
    return msgspec.json.encode(begins).decode()
