"""Dead letters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from conduit.core.message import DeadLetter, DeadPlace, Death, Message, Redriven
from conduit.storage.dead import Look, Shelf, Span, index_of, topics_meant
from conduit.storage.dead_letters import (
    DEAD,
    FORGOTTEN,
    NO_TENANTS,
    REDRIVEN,
    DeadFilter,
    DeadGroup,
    DeadTally,
    DeadTenants,
    Fate,
    Found,
    fates_of,
)
from conduit.storage.postgres import scope

if TYPE_CHECKING:
    import asyncpg

    from conduit.storage.postgres.database import Connection

Messages = Mapping[tuple[int, int], Message]
"""(topic id, seq) → the message, of those that are still in the log."""

_COLUMNS = """
dead_id, tenant, subscription, topic, topic_id, seq, message_id, attempts, reason, died_at_ms,
redriven_at_ms, published_at_ms, payload, key, headers
"""

# Of several deaths of one delivery the first gives the id and the last all else, as if they had come one
# after the other. In the order of the keys, as everybody inserts them. One whose message is gone has an
# empty payload. Returns how many these are, by what they share a bound with.
_PUT = """
WITH given AS (
  SELECT d.*, t.name
  FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::integer[],
              $7::bytea[], $8::bigint[], $9::uuid[], $10::bigint[], $11::bytea[], $12::bytea[],
              $13::bytea[])
    AS d (dead_id, tenant, subscription, topic_id, seq, attempts, reason, died_at_ms, message_id,
          published_at_ms, key, headers, payload)
  JOIN conduit.topics AS t ON t.topic_id = d.topic_id AND t.tenant = d.tenant
  WHERE d.subscription = '' OR EXISTS (
    SELECT FROM conduit.subscriptions AS s WHERE s.tenant = d.tenant AND s.name = d.subscription)
),
known AS (
  UPDATE conduit.dead_letters AS k
  SET attempts = g.attempts, reason = g.reason, died_at_ms = g.died_at_ms, redriven_at_ms = NULL
  FROM given AS g
  WHERE k.topic_id = g.topic_id AND k.seq = g.seq AND k.subscription = g.subscription
  RETURNING k.topic_id, k.seq, k.subscription
),
remembered AS (
  DELETE FROM conduit.gone_letters AS l USING given AS g
  WHERE l.topic_id = g.topic_id AND l.seq = g.seq AND l.subscription = g.subscription
),
added AS (
INSERT INTO conduit.dead_letters AS k (
  dead_id, tenant, subscription, topic, topic_id, seq, message_id, attempts, reason, died_at_ms,
  published_at_ms, key, headers, payload)
SELECT g.dead_id, g.tenant, g.subscription, g.name, g.topic_id, g.seq, g.message_id, g.attempts,
       g.reason, g.died_at_ms, coalesce(g.published_at_ms, 0), g.key, g.headers, coalesce(g.payload, '')
FROM given AS g
WHERE NOT EXISTS (
  SELECT FROM known AS n
  WHERE n.topic_id = g.topic_id AND n.seq = g.seq AND n.subscription = g.subscription)
ORDER BY g.topic_id, g.seq, g.subscription
ON CONFLICT (topic_id, seq, subscription) DO UPDATE SET
  attempts = excluded.attempts, reason = excluded.reason, died_at_ms = excluded.died_at_ms,
  redriven_at_ms = NULL
RETURNING tenant, subscription, topic, payload
)
SELECT tenant, subscription, CASE subscription WHEN '' THEN topic ELSE '' END, count(*)
FROM added WHERE octet_length(payload) = 0 GROUP BY 1, 2, 3
"""

_MARK = """
UPDATE conduit.dead_letters AS k SET redriven_at_ms = g.at_ms
FROM unnest($1::text[], $2::bigint[]) AS g (dead_id, at_ms) WHERE k.dead_id = g.dead_id
"""
# What was discarded or dropped while its redrive was on the way: the state is that of the new delivery. After
# `_MARK`, and not with it: that has waited until they were gone.
_OPEN_AGAIN = """
DELETE FROM conduit.gone_letters AS l
USING unnest($1::bigint[], $2::bigint[], $3::text[]) AS g (topic_id, seq, subscription)
WHERE l.topic_id = g.topic_id AND l.seq = g.seq AND l.subscription = g.subscription
"""

_CONDITIONS = {
    "topic": "topic = {}",
    "subscription": "subscription = {}",
    "reason": "reason = {}",
    "from_ms": "died_at_ms >= {}",
    "to_ms": "died_at_ms < {}",
    "is_redriven": "(redriven_at_ms IS NOT NULL) = {}::boolean",
    "q": "(position({0} IN payload) > 0 OR position({0} IN key) > 0 OR position({0} IN reason) > 0"
    " OR position({0} IN convert_to(message_id::text, 'UTF8')) > 0)",
}
# Compared as bytes.
_BYTES = ("reason", "q")

# Those of a tenant: conditions follow.
_PLACES = """
SELECT dead_id, subscription, topic, topic_id, seq, octet_length(payload) = 0, redriven_at_ms IS NOT NULL
FROM conduit.dead_letters WHERE tenant = $1"""
_GROUPS = """
SELECT topic, reason, count(*), count(redriven_at_ms), min(died_at_ms), max(died_at_ms), max(dead_id)
FROM conduit.dead_letters WHERE tenant = $1"""
_LETTERS = f"SELECT {_COLUMNS} FROM conduit.dead_letters WHERE tenant = $1"
_IDS = "SELECT dead_id FROM conduit.dead_letters WHERE tenant = $1"
_LOWEST = "SELECT min(dead_id), count(*) FROM ({}) AS newest"
# A topic's id is of one tenant.
_OF = f"""
SELECT {_COLUMNS} FROM conduit.dead_letters WHERE topic_id = $1 AND seq = $2 AND subscription = $3
"""

# From the lengths alone.
_SIZE = (
    "octet_length(payload) + coalesce(octet_length(key), 0) + coalesce(octet_length(headers), 0)"
)

_TALLY = """
SELECT open_count, redriven_count, bytes FROM conduit.dead_tallies
WHERE tenant = $1 AND subscription = $2 AND topic = ''
"""

_TALLIES = """
SELECT subscription, open_count, redriven_count, bytes FROM conduit.dead_tallies
WHERE tenant = $1 AND subscription = ANY($2::text[]) AND topic = ''
"""

_TENANT_TALLY = """
SELECT coalesce(sum(open_count), 0)::bigint, coalesce(sum(redriven_count), 0)::bigint,
       coalesce(sum(bytes), 0)::bigint
FROM conduit.dead_tallies WHERE tenant = $1
"""

_TENANTS = """
SELECT tenant, sum(open_count)::bigint, count(*) OVER (), (sum(sum(open_count)) OVER ())::bigint
FROM conduit.dead_tallies
GROUP BY tenant HAVING sum(open_count) > 0 ORDER BY 2 DESC, 1 LIMIT $1
"""

_FATES = """
SELECT subscription, CASE WHEN redriven_at_ms IS NULL THEN $4 ELSE $5 END, attempts, reason,
    died_at_ms, redriven_at_ms
FROM conduit.dead_letters WHERE topic_id = $1 AND seq = $2 AND subscription = ANY($3::text[])
UNION ALL
SELECT subscription, fate, 0, '', NULL, NULL FROM conduit.gone_letters
WHERE topic_id = $1 AND seq = $2 AND subscription = ANY($3::text[])
UNION ALL
SELECT '', $6, 0, '', NULL, NULL FROM conduit.forgotten_letters WHERE topic_id = $1 AND seq >= $2
"""


def _columns(deaths: Sequence[Death], messages: Messages) -> list[list[Any]]:
    """The values of _PUT."""
    first: dict[tuple[str, int, int, str], str] = {}
    last: dict[tuple[str, int, int, str], Death] = {}
    for death in deaths:
        key = (death.tenant, death.topic_id, death.seq, death.subscription)
        first.setdefault(key, death.dead_id)
        last[key] = death
    rows = [
        (
            first[key],
            death.tenant,
            death.subscription,
            death.topic_id,
            death.seq,
            death.attempts,
            death.reason.encode(),
            death.died_at_ms,
            *_content(messages.get((death.topic_id, death.seq))),
        )
        for key, death in last.items()
    ]
    return [list(column) for column in zip(*rows, strict=True)]


def _content(message: Message | None) -> tuple[str | int | bytes | None, ...]:
    if message is None:
        return (None,) * 5
    key = None if message.key is None else message.key.encode()
    return message.message_id, message.published_at_ms, key, message.headers, message.payload


def _letter(row: asyncpg.Record) -> DeadLetter:
    values = dict(row)
    values["message_id"] = str(values["message_id"] or "")
    values["reason"] = values["reason"].decode()
    if values["key"] is not None:
        values["key"] = values["key"].decode()
    return DeadLetter(**values)


def _meant(tenant: str, which: DeadFilter, before_id: str | None) -> tuple[str, list[Any]]:
    """The filter as SQL that follows the tenant, which is the first of its values; of those below
    `before_id`."""
    values: list[Any] = [tenant]
    conditions = ""
    for name, condition in _CONDITIONS.items():
        value = getattr(which, name)
        if value is not None:
            values.append(value.encode() if name in _BYTES else value)
            conditions += f" AND {condition}".format(f"${len(values)}")
    if before_id is not None:
        values.append(before_id)
        conditions += f" AND dead_id < ${len(values)}"
    return conditions, values


async def put(
    connection: Connection, deaths: Sequence[Death], messages: Messages
) -> list[tuple[Shelf, int]]:
    """Store them with their messages, as `Store.settle` says; returns how many are without, by shelf. In a
    transaction across tenants, as `mark`."""
    if not deaths:
        return []
    lost = await connection.fetch(_PUT, *_columns(deaths, messages))
    return [(Shelf(row[0], row[1], row[2]), row[3]) for row in lost]


async def page(connection: Connection, look: Look) -> Found[DeadLetter]:
    """See `Store.dead_list`."""
    async with scope.of(connection, look.tenant):
        span, rows = await _looked(connection, look, _LETTERS)
    return span.found([_letter(row) for row in rows], look.limit)


async def places(connection: Connection, look: Look) -> Found[DeadPlace]:
    """See `Store.dead_places`."""
    async with scope.of(connection, look.tenant):
        span, rows = await _looked(connection, look, _PLACES)
    return span.found([DeadPlace(*row) for row in rows], look.limit)


async def groups(connection: Connection, look: Look) -> Found[DeadGroup]:
    """See `Store.dead_groups`."""
    async with scope.of(connection, look.tenant):
        span, conditions, values = await _span(connection, look)
        if span.low_id is None:
            return span.grouped([])
        rows = await connection.fetch(f"{_GROUPS}{conditions} GROUP BY topic, reason", *values)
    return span.grouped(DeadGroup(row[0], row[1].decode(), *row[2:]) for row in map(tuple, rows))


async def _looked(
    connection: Connection, look: Look, select: str
) -> tuple[Span, list[asyncpg.Record]]:
    """What is looked at, and those of it that match."""
    span, conditions, values = await _span(connection, look)
    if span.low_id is None:
        return span, []
    statement = _newest(f"{select}{conditions}", values)
    return span, await connection.fetch(statement, *values, look.limit)


async def _span(connection: Connection, look: Look) -> tuple[Span, str, list[Any]]:
    """What is looked at; and what to ask for of it, as conditions and their values. In between letters may
    come and go: an id that comes is above."""
    conditions, values = _meant(look.tenant, index_of(look.which), look.before_id)
    topics = None
    if look.max_bytes is None and look.which.patterns is None:
        # How far so many letters go, without their ids.
        newest = _newest(f"{_IDS}{conditions}", values)
        ((low_id, count),) = await connection.fetch(_LOWEST.format(newest), *values, look.max_count)
        span = Span(low_id, is_all=count < look.max_count)
    else:
        what = _sized(look)
        sizes = f"SELECT {what} FROM conduit.dead_letters WHERE tenant = $1{conditions}"
        rows = await connection.fetch(_newest(sizes, values), *values, look.max_count)
        span = look.span([(row[0], row[1], row[2]) for row in rows])
        topics = topics_meant(look.which, (row[2] for row in rows))
    conditions, values = _meant(look.tenant, look.which, look.before_id)
    if topics is not None:
        values.append(topics)
        conditions += f" AND topic = ANY(${len(values)}::text[])"
    values.append(span.low_id)
    conditions += f" AND dead_id >= ${len(values)}"
    return span, conditions, values


def _sized(look: Look) -> str:
    """Of each letter that is looked at: its id, its size and its topic, as far as they are asked for."""
    size = "0" if look.max_bytes is None else _SIZE
    topic = "''" if look.which.patterns is None else "topic"
    return f"dead_id, {size}, {topic}"


def _newest(select: str, values: Sequence[Any]) -> str:
    """The statement that ends with the newest of them, as many as the value after these says."""
    return f"{select} ORDER BY dead_id DESC LIMIT ${len(values) + 1}"


async def find(connection: Connection, tenant: str, dead_ids: Sequence[str]) -> list[DeadPlace]:
    """See `Store.dead_find`."""
    condition = "dead_id = ANY ($2::text[]) ORDER BY dead_id"
    async with scope.of(connection, tenant):
        rows = await connection.fetch(f"{_PLACES} AND {condition}", tenant, list(dead_ids))
    return [DeadPlace(*row) for row in rows]


async def get(connection: Connection, tenant: str, dead_id: str) -> DeadLetter | None:
    """See `Store.dead_get`."""
    async with scope.of(connection, tenant):
        return await _first(connection, f"{_LETTERS} AND dead_id = $2", tenant, dead_id)


async def of(
    connection: Connection, subscription: str, topic_id: int, seq: int
) -> DeadLetter | None:
    """See `Store.dead_of`."""
    async with scope.across(connection):
        return await _first(connection, _OF, topic_id, seq, subscription)


async def _first(connection: Connection, statement: str, *values: object) -> DeadLetter | None:
    row = await connection.fetchrow(statement, *values)
    return None if row is None else _letter(row)


async def mark(connection: Connection, redriven: Sequence[Redriven]) -> None:
    """These were redriven; unknown ids are ignored."""
    if redriven:
        marks = [one.dead_id for one in redriven], [one.at_ms for one in redriven]
        await connection.execute(_MARK, *marks)
        places = [(one.topic_id, one.seq, one.subscription) for one in redriven]
        await connection.execute(_OPEN_AGAIN, *[list(each) for each in zip(*places, strict=True)])


async def tally(connection: Connection, tenant: str, subscription: str | None) -> DeadTally:
    """See `Store.dead_tally`."""
    async with scope.of(connection, tenant):
        if subscription is None:
            row = await connection.fetchrow(_TENANT_TALLY, tenant)
        else:
            row = await connection.fetchrow(_TALLY, tenant, subscription)
    return DeadTally(0, 0, 0) if row is None else DeadTally(*row)


async def tallies(
    connection: Connection, tenant: str, subscriptions: Sequence[str]
) -> dict[str, DeadTally]:
    """See `Store.dead_tallies`."""
    async with scope.of(connection, tenant):
        found = await connection.fetch(_TALLIES, tenant, list(subscriptions))
    return {name: DeadTally(*counts) for name, *counts in found}


async def tenants(connection: Connection, limit: int) -> DeadTenants:
    """See `Store.dead_tenants`."""
    async with scope.across(connection):
        found = await connection.fetch(_TENANTS, limit)
    return DeadTenants([(row[0], row[1]) for row in found], *found[0][2:]) if found else NO_TENANTS


async def fates(
    connection: Connection, topic_id: int, seq: int, subscriptions: Sequence[str]
) -> dict[str, Fate]:
    """See `Store.dead_fates`."""
    names = list(subscriptions)
    async with scope.across(connection):
        found = await connection.fetch(_FATES, topic_id, seq, names, DEAD, REDRIVEN, FORGOTTEN)
    return fates_of([(*row[:3], row[3].decode(), *row[4:]) for row in found], names)


def count_of(status: str) -> int:
    """How many rows a statement changed, from its command tag."""
    return int(status.rpartition(" ")[2])
