"""Dead letters: read on the threads of readers, changed on the writer's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import apsw
import msgspec

from conduit.core.message import DeadLetter, DeadPlace, Death, Redriven
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
from conduit.storage.sqlite.bulk import Insert, Query, Statement, Value, rows

_INSERT = Insert("incoming_deaths", width=8)

_MARK = """
UPDATE dead_letters SET redriven_at_ms = given.value ->> 1
FROM json_each(?) AS given WHERE dead_id = given.value ->> 0
"""
# What was discarded or dropped while its redrive was on the way: the state is that of the new delivery.
_OPEN_AGAIN = """
DELETE FROM gone_letters WHERE (topic_id, seq, subscription) IN (
  SELECT value ->> 2, value ->> 3, value ->> 4 FROM json_each(?))
"""

# The topics that have any, each by a step through the index.
_GONE_IN = """
WITH RECURSIVE found (topic_id) AS (
  SELECT min(topic_id) FROM gone_letters
  UNION ALL
  SELECT (SELECT min(g.topic_id) FROM gone_letters AS g WHERE g.topic_id > found.topic_id)
  FROM found WHERE topic_id IS NOT NULL)
SELECT topic_id FROM found WHERE topic_id IS NOT NULL
"""
_ARE_BACK = """
DELETE FROM gone_letters WHERE (topic_id, seq, subscription) IN (
  SELECT g.topic_id, g.seq, g.subscription
  FROM json_each(?2) AS f CROSS JOIN gone_letters AS g
    ON g.topic_id = f.value ->> 0 AND g.seq > f.value ->> 1
  WHERE g.subscription = (SELECT name FROM subscriptions WHERE subscription_id = ?1))
"""

_CONDITIONS = {
    "topic": "topic = :topic",
    "subscription": "subscription = :subscription",
    "reason": "reason = :reason",
    "from_ms": "died_at_ms >= :from_ms",
    "to_ms": "died_at_ms < :to_ms",
    "is_redriven": "(redriven_at_ms IS NOT NULL) = :is_redriven",
    "q": "(instr(payload, CAST(:q AS BLOB)) OR instr(key, :q) OR instr(message_id, :q)"
    " OR instr(reason, :q))",
}

_TALLY = """
SELECT open_count, redriven_count, bytes FROM dead_tallies
WHERE tenant = ? AND subscription = ? AND topic = ''
"""

_TALLIES = """
SELECT subscription, open_count, redriven_count, bytes FROM dead_tallies
WHERE tenant = ? AND subscription IN (SELECT value FROM json_each(?)) AND topic = ''
"""

_TENANT_TALLY = """
SELECT coalesce(sum(open_count), 0), coalesce(sum(redriven_count), 0), coalesce(sum(bytes), 0)
FROM dead_tallies WHERE tenant = ?
"""

_TENANTS = """
SELECT tenant, sum(open_count), count(*) OVER (), sum(sum(open_count)) OVER () FROM dead_tallies
GROUP BY tenant HAVING sum(open_count) > 0 ORDER BY 2 DESC, 1 LIMIT ?
"""

_FATES = """
SELECT subscription, iif(redriven_at_ms IS NULL, :dead, :redriven), attempts, reason, died_at_ms,
    redriven_at_ms
FROM dead_letters
WHERE topic_id = :topic_id AND seq = :seq AND subscription IN (SELECT value FROM json_each(:names))
UNION ALL
SELECT subscription, fate, 0, '', NULL, NULL FROM gone_letters
WHERE topic_id = :topic_id AND seq = :seq AND subscription IN (SELECT value FROM json_each(:names))
UNION ALL
SELECT '', :forgotten, 0, '', NULL, NULL FROM forgotten_letters WHERE topic_id = :topic_id AND seq >= :seq
"""

_LOST = """
SELECT tenant, subscription, iif(subscription = '', topic, ''), count(*)
FROM dead_letters
WHERE dead_id IN (SELECT value FROM json_each(?)) AND octet_length(payload) = 0
GROUP BY 1, 2, 3
"""

_COLUMNS = """
dead_id, tenant, subscription, topic, topic_id, seq, message_id, attempts, reason, died_at_ms,
redriven_at_ms, published_at_ms, {payload}, key, {headers}
"""
_RAW = _COLUMNS.format(payload="payload", headers="headers")
_GET = f"SELECT {_RAW} FROM dead_letters WHERE dead_id = ? AND tenant = ?"
# A topic's id is of one tenant.
_OF = f"SELECT {_RAW} FROM dead_letters WHERE topic_id = ? AND seq = ? AND subscription = ?"
_HEX = _COLUMNS.format(payload="hex(payload)", headers="iif(headers IS NULL, NULL, hex(headers))")


def death_statements(deaths: Sequence[Death]) -> list[Statement]:
    """What stores these deaths, as `Store.settle` says."""
    return list(_INSERT.statements([msgspec.structs.astuple(death)[:8] for death in deaths]))


def lost(connection: apsw.Connection, deaths: Sequence[Death]) -> list[tuple[Shelf, int]]:
    """How many of these were stored without their messages, by shelf."""
    ids = _json([death.dead_id for death in deaths])
    return [(Shelf(*row[:3]), row[3]) for row in rows(connection, _LOST, (ids,))]


def redriven_statements(redriven: Sequence[Redriven]) -> list[Statement]:
    """What marks these as redriven; unknown ids are ignored."""
    marks = [(one.dead_id, one.at_ms, one.topic_id, one.seq, one.subscription) for one in redriven]
    given: list[Value] = [msgspec.json.encode(marks).decode()]
    return [(_MARK, given), (_OPEN_AGAIN, given)] if marks else []


def back_statements(
    connection: apsw.Connection, subscription_id: int, floors: Mapping[int, int]
) -> list[Statement]:
    """What forgets the fates of its deliveries above these floors, by topic id; for the writer's thread."""
    gone = [(each[0], floors[each[0]]) for each in rows(connection, _GONE_IN) if each[0] in floors]
    text = msgspec.json.encode(gone).decode()
    return [(_ARE_BACK, [subscription_id, text])] if gone else []


def page(connection: apsw.Connection, look: Look) -> Found[DeadLetter]:
    """See `Store.dead_list`."""
    span, conditions, values = _span(connection, look)
    found = _page(conditions)(connection, values)
    return span.found([_letter(row) for row in found], look.limit)


def places(connection: apsw.Connection, look: Look) -> Found[DeadPlace]:
    """See `Store.dead_places`."""
    span, conditions, values = _span(connection, look)
    return span.found(_places(conditions)(connection, values), look.limit)


def groups(connection: apsw.Connection, look: Look) -> Found[DeadGroup]:
    """See `Store.dead_groups`."""
    span, conditions, values = _span(connection, look)
    return span.grouped(_groups(conditions)(connection, values))


def _span(connection: apsw.Connection, look: Look) -> tuple[Span, str, dict[str, Value]]:
    """What is looked at; and what to ask for of it, as conditions and their values. In between letters may
    come and go: an id that comes is above."""
    size = "0" if look.max_bytes is None else "bytes"
    conditions, values = _meant(look.tenant, index_of(look.which))
    if look.before_id is not None:
        values["before_id"] = look.before_id
        conditions += " AND dead_id < :before_id"
    topic = "''" if look.which.patterns is None else "topic"
    sizes = _sizes(size, topic, conditions)(connection, {**values, "limit": look.max_count})
    span = look.span(sorted(sizes, reverse=True))
    conditions, values = _meant(look.tenant, look.which)
    topics = topics_meant(look.which, (topic for _, _, topic in sizes))
    if topics is not None:
        values["topics"] = _json(topics)
        conditions += " AND topic IN (SELECT value FROM json_each(:topics))"
    conditions += " AND dead_id >= :low_id"
    values |= {"low_id": span.low_id, "limit": look.limit}
    if look.before_id is not None:
        values["before_id"] = look.before_id
        conditions += " AND dead_id < :before_id"
    return span, conditions, values


def find(connection: apsw.Connection, tenant: str, dead_ids: Sequence[str]) -> list[DeadPlace]:
    """See `Store.dead_find`."""
    condition = " AND dead_id IN (SELECT value FROM json_each(:ids))"
    values: dict[str, Value] = {"tenant": tenant, "ids": _json(dead_ids), "limit": -1}
    return sorted(_places(condition)(connection, values), key=lambda place: place.dead_id)


@cache
def _sizes(size: str, topic: str, conditions: str) -> Query[tuple[str, int, str]]:
    return Query(
        f"""
        SELECT json_group_array(json_array(dead_id, {size}, {topic})) FROM (
          SELECT * FROM dead_letters WHERE tenant = :tenant{conditions} ORDER BY dead_id DESC LIMIT :limit)
        """,
        tuple[str, int, str],
    )


@cache
def _places(conditions: str) -> Query[DeadPlace]:
    return Query(
        f"""
        SELECT json_group_array(json_object(
          'dead_id', dead_id, 'subscription', subscription, 'topic', topic, 'topic_id', topic_id,
          'seq', seq, 'is_lost', json(iif(octet_length(payload) = 0, 'true', 'false')),
          'is_redriven', json(iif(redriven_at_ms IS NULL, 'false', 'true'))))
        FROM (
          SELECT * FROM dead_letters WHERE tenant = :tenant{conditions}
          ORDER BY dead_id DESC LIMIT :limit)
        """,
        DeadPlace,
    )


@cache
def _groups(conditions: str) -> Query[DeadGroup]:
    return Query(
        f"""
        SELECT json_group_array(json_object(
          'topic', topic, 'reason', reason, 'count', count, 'redriven_count', redriven_count,
          'first_ms', first_ms, 'last_ms', last_ms, 'newest_id', newest_id))
        FROM (
          SELECT topic, reason, count(*) AS count, count(redriven_at_ms) AS redriven_count,
                 min(died_at_ms) AS first_ms, max(died_at_ms) AS last_ms, max(dead_id) AS newest_id
          FROM (SELECT * FROM dead_letters WHERE tenant = :tenant{conditions} LIMIT :limit)
          GROUP BY topic, reason)
        """,
        DeadGroup,
    )


@cache
def _page(conditions: str) -> Query[list[Any]]:
    return Query(
        f"""
        SELECT json_group_array(json_array({_HEX})) FROM (
          SELECT * FROM dead_letters WHERE tenant = :tenant{conditions} ORDER BY dead_id DESC LIMIT :limit)
        """,
        list[Any],
    )


def _letter(row: list[Any]) -> DeadLetter:
    *columns, payload, key, headers = row
    headers = None if headers is None else bytes.fromhex(headers)
    return DeadLetter(*[*columns, bytes.fromhex(payload), key, headers])


def _meant(tenant: str, which: DeadFilter) -> tuple[str, dict[str, Value]]:
    """The filter as SQL that follows the tenant, one of a hundred texts or so, and its values."""
    values: dict[str, Value] = {"tenant": tenant}
    conditions = ""
    for name, condition in _CONDITIONS.items():
        value = getattr(which, name)
        if value is not None:
            values[name] = value
            conditions += f" AND {condition}"
    return conditions, values


def get(connection: apsw.Connection, tenant: str, dead_id: str) -> DeadLetter | None:
    """See `Store.dead_get`."""
    return _first(connection, _GET, dead_id, tenant)


def of(
    connection: apsw.Connection, subscription: str, topic_id: int, seq: int
) -> DeadLetter | None:
    """See `Store.dead_of`."""
    return _first(connection, _OF, topic_id, seq, subscription)


def _first(connection: apsw.Connection, sql: str, *values: Value) -> DeadLetter | None:
    found = rows(connection, sql, values)
    return DeadLetter(*found[0]) if found else None


def tally(connection: apsw.Connection, tenant: str, subscription: str | None) -> DeadTally:
    """See `Store.dead_tally`."""
    if subscription is None:
        return DeadTally(*rows(connection, _TENANT_TALLY, (tenant,))[0])
    found = rows(connection, _TALLY, (tenant, subscription))
    return DeadTally(*found[0]) if found else DeadTally(0, 0, 0)


def tallies(
    connection: apsw.Connection, tenant: str, subscriptions: Sequence[str]
) -> dict[str, DeadTally]:
    """See `Store.dead_tallies`."""
    found = rows(connection, _TALLIES, (tenant, _json(subscriptions)))
    return {name: DeadTally(*counts) for name, *counts in found}


def tenants(connection: apsw.Connection, limit: int) -> DeadTenants:
    """See `Store.dead_tenants`."""
    found = rows(connection, _TENANTS, (limit,))
    return DeadTenants([(row[0], row[1]) for row in found], *found[0][2:]) if found else NO_TENANTS


def fates(
    connection: apsw.Connection, topic_id: int, seq: int, subscriptions: Sequence[str]
) -> dict[str, Fate]:
    """See `Store.dead_fates`."""
    values: dict[str, Value] = {"topic_id": topic_id, "seq": seq, "names": _json(subscriptions)}
    names = {"dead": DEAD, "redriven": REDRIVEN, "forgotten": FORGOTTEN}
    return fates_of(rows(connection, _FATES, {**values, **names}), subscriptions)


def _json(names: Sequence[str]) -> str:
    return msgspec.json.encode(names).decode()
