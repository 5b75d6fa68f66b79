"""Reading topics and the log. Each statement sees one state of the database."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

import asyncpg

from conduit.core.message import Message, Retention, TopicRecord
from conduit.errors import StoreUnavailable
from conduit.storage.base import SHARDS_MAX_COUNT, Extent
from conduit.storage.postgres import scope
from conduit.storage.postgres.extents import Extents, Span, span_at
from conduit.storage.postgres.parts import in_parts

if TYPE_CHECKING:
    from conduit.storage.postgres.database import Connection

_RECORD = """topic_id, tenant, name, epoch, created_at_ms, first_seq, last_seq, stored_bytes,
  max_age_s, max_messages, max_bytes"""
_TOPICS = f"SELECT {_RECORD} FROM conduit.topics WHERE topic_id % {SHARDS_MAX_COUNT} = $1"
_TOPICS_OF = f"SELECT {_RECORD} FROM conduit.topics WHERE topic_id = ANY ($1::bigint[])"

# `~` comes after every character of a name.
_EXTENTS = f"""
SELECT topic_id, name, first_seq, last_seq, trimmed_ms FROM conduit.topics
WHERE topic_id % {SHARDS_MAX_COUNT} = $1 AND tenant = $2 AND name BETWEEN $3 AND $3 || '~'
"""

_FIRST_SEQS = f"""
SELECT topic_id, first_seq FROM conduit.topics
WHERE topic_id % {SHARDS_MAX_COUNT} = $1 AND first_seq > 1
"""

_EXTENTS_OF = """
SELECT topic_id, name, first_seq, last_seq, trimmed_ms FROM conduit.topics WHERE topic_id = ANY ($1::bigint[])
"""

# One segment, by its own name: nothing has to be planned over all of them. Numbers have no holes, so a page
# is a range, which is found by the index whatever the planner knows of the table. What is below the topic's
# first number is not there any more, and nothing is if the topic is gone.
_PAGE = """
WITH {said},
span AS MATERIALIZED (
  SELECT greatest($2, first_seq) AS low, least($3, last_seq) AS high
  FROM conduit.topics WHERE topic_id = $1 AND {is_said}
)
SELECT message_id, seq, published_at_ms, payload, key, headers
FROM (
  SELECT message_id, seq, published_at_ms, payload, key, headers,
         sum(octet_length(payload)) OVER (ORDER BY seq {order}) - octet_length(payload) AS before
  FROM conduit.messages_{segment}
  WHERE topic_id = $1 AND seq BETWEEN {numbers}
) AS page
WHERE before <= $5 ORDER BY seq {order}
"""
_UP = "(SELECT low FROM span) AND (SELECT least(high, low + $4 - 1) FROM span)"
_DOWN = "(SELECT greatest(low, high - $4 + 1) FROM span) AND (SELECT high FROM span)"

_MESSAGES = """
WITH {said}
SELECT message_id, seq, published_at_ms, payload, key, headers
FROM conduit.messages_{segment}
WHERE topic_id = $1 AND seq = ANY ($2::bigint[])
  AND seq >= (SELECT first_seq FROM conduit.topics WHERE topic_id = $1 AND {is_said})
"""

_FIND = """
SELECT m.topic_id, m.seq, m.published_at_ms, m.payload, m.key, m.headers
FROM conduit.messages AS m JOIN conduit.topics AS t USING (topic_id)
WHERE m.message_id = $1 AND t.tenant = $2 AND m.seq >= t.first_seq
"""

# The array is made in the statement, and each LIMIT is there, for the reasons below.
_LAST_STAMPS = """
SELECT t.topic_id, m.published_at_ms
FROM conduit.topics AS t
CROSS JOIN LATERAL (
  SELECT published_at_ms FROM conduit.messages
  WHERE segment = t.segment AND topic_id = t.topic_id AND seq = t.last_seq LIMIT 1
) AS m
WHERE t.topic_id = ANY (ARRAY (SELECT unnest($1::bigint[]))) AND t.last_seq >= t.first_seq
"""

# Binary search for all topics at once: `low` ends as the answer. Each LIMIT makes a look by index into one
# segment of it; without them the planner joins, and reads the whole log in every step. The array of the
# ids is made in the statement so that it is planned for few: for thousands it is compiled first, for 1.2 s.
_SEQS_AT = """
WITH RECURSIVE search (topic_id, low, high) AS (
  SELECT topic_id, first_seq, last_seq + 1 FROM conduit.topics
  WHERE topic_id = ANY (ARRAY (SELECT unnest($1::bigint[])))
  UNION ALL
  SELECT s.topic_id,
         CASE WHEN m.published_at_ms < $2 THEN m.seq + 1 ELSE s.low END,
         CASE WHEN m.published_at_ms < $2 THEN s.high ELSE m.seq END
  FROM search AS s
  CROSS JOIN LATERAL (
    SELECT segment FROM conduit.extents
    WHERE topic_id = s.topic_id AND first_seq <= (s.low + s.high) / 2
    ORDER BY first_seq DESC LIMIT 1
  ) AS e
  CROSS JOIN LATERAL (
    SELECT seq, published_at_ms FROM conduit.messages
    WHERE segment = e.segment AND topic_id = s.topic_id AND seq = (s.low + s.high) / 2
    LIMIT 1
  ) AS m
  WHERE s.low < s.high
)
SELECT topic_id, low FROM search WHERE low >= high
"""

# Segments that may be dropped while one page is read.
DROPS_MAX_COUNT = 3


class Page(NamedTuple):
    """The arguments of `Store.read`."""

    topic_id: int
    from_seq: int
    limit: int
    max_bytes: int
    descending: bool


@lru_cache(maxsize=256)
def _page(segment: int, descending: bool) -> str:
    order, numbers = ("DESC", _DOWN) if descending else ("ASC", _UP)
    return _PAGE.format(
        segment=segment, order=order, numbers=numbers, said=scope.SAID, is_said=scope.IS_SAID
    )


# Those that have storage of their own; indexes and out-of-line values are counted with their tables.
_SIZE_BYTES = """
SELECT coalesce(sum(pg_total_relation_size(oid)), 0) FROM pg_class
WHERE relnamespace = 'conduit'::regnamespace AND relkind IN ('r', 'm')
"""

# Of what somebody has locked it is not told before that is over, and `VACUUM FULL` may take hours.
_SIZE_WAIT = "SET LOCAL lock_timeout = '200ms'"
# The same without a lock, as it was when each part was last vacuumed or analyzed.
_SIZE_ABOUT_BYTES = """
WITH tables AS (
    SELECT oid, reltoastrelid FROM pg_class
    WHERE relnamespace = 'conduit'::regnamespace AND relkind IN ('r', 'm')
), heaps AS (
    SELECT oid FROM tables UNION ALL SELECT reltoastrelid FROM tables
), parts AS (
    SELECT oid FROM heaps UNION ALL
    SELECT indexrelid FROM pg_index JOIN heaps ON indrelid = oid
)
SELECT coalesce(sum(relpages::bigint), 0) * current_setting('block_size')::bigint
FROM pg_class JOIN parts USING (oid)
"""


async def topics(connection: Connection, number: int) -> list[TopicRecord]:
    """See `Store.topics`: those of the shard `number`."""
    async with scope.across(connection):
        return [_topic(row) for row in await connection.fetch(_TOPICS, number)]


async def topics_of(connection: Connection, topic_ids: list[int]) -> list[TopicRecord]:
    """See `Store.topics_of`: topics whose messages are here."""
    async with scope.across(connection):
        return [_topic(row) for row in await connection.fetch(_TOPICS_OF, topic_ids)]


def _topic(row: asyncpg.Record) -> TopicRecord:
    # Retention is the last three columns.
    return TopicRecord(*[*row[:8], Retention(*row[8:])])


async def extents(connection: Connection, number: int, tenant: str, prefix: str) -> list[Extent]:
    """The tenant's topics of the shard `number` whose names begin with `prefix`."""
    found = []
    async for some in in_parts(connection, tenant, _EXTENTS, number, tenant, prefix):
        found += [Extent(*row) for row in some]
    return found


async def first_seqs(connection: Connection, number: int) -> list[tuple[int, int]]:
    """(topic id, first number) of the topics of the shard `number` that do not begin at 1."""
    async with scope.across(connection):
        return [(row[0], row[1]) for row in await connection.fetch(_FIRST_SEQS, number)]


async def extents_of(connection: Connection, topic_ids: list[int]) -> list[Extent]:
    """See `Store.extents`."""
    async with scope.across(connection):
        return [Extent(*row) for row in await connection.fetch(_EXTENTS_OF, topic_ids)]


async def read(connection: Connection, extents: Extents, page: Page) -> list[Message]:
    """See `Store.read`."""
    for _ in range(DROPS_MAX_COUNT):
        try:
            return await _read(connection, extents, page)
        except asyncpg.UndefinedTableError:
            # A segment was dropped since its extents were read.
            extents.forget(page.topic_id)
    raise StoreUnavailable("segments of the log are dropped faster than they can be read")


async def _read(connection: Connection, extents: Extents, page: Page) -> list[Message]:
    if page.descending:
        # Where the newest numbers are is what may have changed.
        extents.forget(page.topic_id)
    spans = await extents.spans(connection, page.topic_id)
    found = await _read_spans(connection, spans, page)
    size = sum(len(message.payload) for message in found)
    if page.descending or len(found) >= page.limit or size > page.max_bytes:
        return found
    # The end of what is known: others may have begun a segment.
    extents.forget(page.topic_id)
    newer = await extents.spans(connection, page.topic_id)
    if newer != spans:
        rest = page._replace(
            from_seq=found[-1].seq + 1 if found else page.from_seq,
            limit=page.limit - len(found),
            max_bytes=page.max_bytes - size,
        )
        found += await _read_spans(connection, newer, rest)
    return found


async def _read_spans(connection: Connection, spans: list[Span], page: Page) -> list[Message]:
    found: list[Message] = []
    size = 0
    for span in _asked(spans, page):
        low, high = span.first_seq, span.last_seq
        if page.descending:
            high = min(high, page.from_seq)
        else:
            low = max(low, page.from_seq)
        limit, max_bytes = page.limit - len(found), page.max_bytes - size
        statement = _page(span.segment, page.descending)
        rows = await connection.fetch(statement, page.topic_id, low, high, limit, max_bytes)
        found += [_message(*row) for row in rows]
        size = sum(len(message.payload) for message in found)
        if len(found) >= page.limit or size > page.max_bytes:
            break
    return found


def _asked(spans: list[Span], page: Page) -> Iterable[Span]:
    """The spans that the page may need, in its direction."""
    if not spans or page.limit <= 0:
        return []
    place = span_at(spans, page.from_seq)
    if not page.descending:
        return spans[place:]
    return [span for span in reversed(spans[: place + 1]) if span.first_seq <= page.from_seq]


def _message(
    message_id: UUID, seq: int, at_ms: int, payload: bytes, key: bytes | None, headers: bytes | None
) -> Message:
    text = None if key is None else key.decode()
    return Message(str(message_id), seq, at_ms, payload, text, headers)


async def messages(
    connection: Connection, extents: Extents, topic_id: int, seqs: list[int]
) -> list[Message]:
    """Those of the topic that have these numbers and are still stored."""
    extents.forget(topic_id)
    found = []
    for span in await extents.spans(connection, topic_id):
        wanted = [seq for seq in seqs if span.first_seq <= seq <= span.last_seq]
        if wanted:
            with suppress(asyncpg.UndefinedTableError):
                said = {"said": scope.SAID, "is_said": scope.IS_SAID}
                statement = _MESSAGES.format(segment=span.segment, **said)
                rows = await connection.fetch(statement, topic_id, wanted)
                found += [_message(*row) for row in rows]
    return found


async def find(connection: Connection, tenant: str, message_id: str) -> tuple[int, Message] | None:
    """See `Store.find`."""
    try:
        wanted = UUID(message_id)
    except ValueError:
        return None
    if str(wanted) != message_id:
        return None
    async with scope.of(connection, tenant):
        row = await connection.fetchrow(_FIND, wanted, tenant)
    if row is None:
        return None
    topic_id, *columns = row
    return topic_id, _message(wanted, *columns)


async def seqs_at(connection: Connection, topic_ids: Iterable[int], time_ms: int) -> dict[int, int]:
    """`Store.seq_at` for many topics; those that are gone are left out."""
    async with scope.across(connection):
        rows = await connection.fetch(_SEQS_AT, list(topic_ids), time_ms)
    return {row["topic_id"]: row["low"] for row in rows}


async def last_stamps(connection: Connection, topic_ids: list[int]) -> list[tuple[int, int]]:
    """See `Store.last_stamps`."""
    async with scope.across(connection):
        return [(row[0], row[1]) for row in await connection.fetch(_LAST_STAMPS, topic_ids)]


async def size_bytes(connection: Connection) -> int:
    """All that is in the schema, with indexes and what is stored out of line; while a part of it is locked
    about so much."""
    try:
        async with connection.transaction():
            await connection.execute(_SIZE_WAIT)
            return int(await connection.fetchval(_SIZE_BYTES))
    except asyncpg.LockNotAvailableError:
        return int(await connection.fetchval(_SIZE_ABOUT_BYTES))
