"""Dead letters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from conduit.core.message import DeadLetter, Death, Message, Redriven
from conduit.storage.base import DeadFilter

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
# after the other. In the order of the keys, as everybody inserts them. One whose message is gone has no
# payload, and only changes what is there.
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
)
INSERT INTO conduit.dead_letters AS k (
  dead_id, tenant, subscription, topic, topic_id, seq, message_id, attempts, reason, died_at_ms,
  published_at_ms, key, headers, payload)
SELECT g.dead_id, g.tenant, g.subscription, g.name, g.topic_id, g.seq, g.message_id, g.attempts,
       g.reason, g.died_at_ms, g.published_at_ms, g.key, g.headers, g.payload
FROM given AS g
WHERE g.payload IS NOT NULL AND NOT EXISTS (
  SELECT FROM known AS n
  WHERE n.topic_id = g.topic_id AND n.seq = g.seq AND n.subscription = g.subscription)
ORDER BY g.topic_id, g.seq, g.subscription
ON CONFLICT (topic_id, seq, subscription) DO UPDATE SET
  attempts = excluded.attempts, reason = excluded.reason, died_at_ms = excluded.died_at_ms,
  redriven_at_ms = NULL
"""

_MARK = """
UPDATE conduit.dead_letters AS k SET redriven_at_ms = g.at_ms
FROM unnest($1::text[], $2::bigint[]) AS g (dead_id, at_ms) WHERE k.dead_id = g.dead_id
"""

_CONDITIONS = {
    "topic": "topic = {}",
    "subscription": "subscription = {}",
    "reason": "reason = {}",
    "from_ms": "died_at_ms >= {}",
    "to_ms": "died_at_ms < {}",
    "q": "(position({0} IN payload) > 0 OR position({0} IN key) > 0 OR position({0} IN reason) > 0"
    " OR position({0} IN convert_to(message_id::text, 'UTF8')) > 0)",
}
# Compared as bytes.
_BYTES = ("reason", "q")

_TRIM_OLD = """
DELETE FROM conduit.dead_letters WHERE dead_id IN (
  SELECT dead_id FROM conduit.dead_letters WHERE died_at_ms < $1 ORDER BY died_at_ms LIMIT $2)
"""
# The one behind which a tenant has too many is found along the index, from the newest.
_TRIM_SURPLUS = """
DELETE FROM conduit.dead_letters WHERE dead_id IN (
  SELECT dead_id FROM conduit.dead_letters
  WHERE tenant = $1 AND dead_id <= (
    SELECT dead_id FROM conduit.dead_letters WHERE tenant = $1
    ORDER BY dead_id DESC OFFSET $2 LIMIT 1)
  ORDER BY dead_id LIMIT $3)
"""

# Each tenant is one step along the index, however many dead letters it has.
_TENANTS = """
WITH RECURSIVE tenants (tenant) AS (
  (SELECT tenant FROM conduit.dead_letters ORDER BY tenant LIMIT 1)
  UNION ALL
  SELECT (SELECT d.tenant FROM conduit.dead_letters AS d WHERE d.tenant > t.tenant
          ORDER BY d.tenant LIMIT 1)
  FROM tenants AS t WHERE t.tenant IS NOT NULL
)
SELECT tenant FROM tenants WHERE tenant IS NOT NULL
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
    values["message_id"] = str(values["message_id"])
    values["reason"] = values["reason"].decode()
    if values["key"] is not None:
        values["key"] = values["key"].decode()
    return DeadLetter(**values)


def _meant(tenant: str, which: DeadFilter) -> tuple[str, list[Any]]:
    """The filter as SQL and its values, of which the tenant is the first."""
    values: list[Any] = [tenant]
    conditions = ["tenant = $1"]
    for name, condition in _CONDITIONS.items():
        value = getattr(which, name)
        if value is not None:
            values.append(value.encode() if name in _BYTES else value)
            conditions.append(condition.format(f"${len(values)}"))
    return " AND ".join(conditions), values


async def put(connection: Connection, deaths: Sequence[Death], messages: Messages) -> None:
    """Store them with their messages, as `Store.settle` says."""
    if deaths:
        await connection.execute(_PUT, *_columns(deaths, messages))


async def page(
    connection: Connection, tenant: str, which: DeadFilter, limit: int, before_id: str | None
) -> list[DeadLetter]:
    """See `Store.dead_list`."""
    conditions, values = _meant(tenant, which)
    if before_id is not None:
        values.append(before_id)
        conditions += f" AND dead_id < ${len(values)}"
    values.append(limit)
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM conduit.dead_letters WHERE {conditions}"
        f" ORDER BY dead_id DESC LIMIT ${len(values)}",
        *values,
    )
    return [_letter(row) for row in rows]


async def count(connection: Connection, tenant: str, which: DeadFilter) -> int:
    """See `Store.dead_count`."""
    conditions, values = _meant(tenant, which)
    statement = f"SELECT count(*) FROM conduit.dead_letters WHERE {conditions}"
    return int(await connection.fetchval(statement, *values))


async def get(connection: Connection, tenant: str, dead_id: str) -> DeadLetter | None:
    """See `Store.dead_get`."""
    return await _first(connection, "dead_id = $1 AND tenant = $2", dead_id, tenant)


async def of(
    connection: Connection, subscription: str, topic_id: int, seq: int
) -> DeadLetter | None:
    """See `Store.dead_of`."""
    condition = "topic_id = $1 AND seq = $2 AND subscription = $3"
    return await _first(connection, condition, topic_id, seq, subscription)


async def _first(connection: Connection, condition: str, *values: object) -> DeadLetter | None:
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM conduit.dead_letters WHERE {condition}", *values
    )
    return None if row is None else _letter(row)


async def mark(connection: Connection, redriven: Sequence[Redriven]) -> None:
    """These were redriven; unknown ids are ignored."""
    if redriven:
        marks = [one.dead_id for one in redriven], [one.at_ms for one in redriven]
        await connection.execute(_MARK, *marks)


async def delete(connection: Connection, tenant: str, dead_ids: Sequence[str]) -> int:
    """See `Store.dead_delete`."""
    status = await connection.execute(
        "DELETE FROM conduit.dead_letters WHERE dead_id = ANY ($1::text[]) AND tenant = $2",
        list(dead_ids),
        tenant,
    )
    return count_of(status)


async def trim(connection: Connection, before_ms: int, max_count: int, limit: int) -> int:
    """See `Store.dead_trim`."""
    removed = count_of(await connection.execute(_TRIM_OLD, before_ms, limit))
    for (tenant,) in await connection.fetch(_TENANTS):
        if removed >= limit:
            break
        status = await connection.execute(_TRIM_SURPLUS, tenant, max_count, limit - removed)
        removed += count_of(status)
    return removed


def count_of(status: str) -> int:
    """How many rows a statement changed, from its command tag."""
    return int(status.rpartition(" ")[2])
