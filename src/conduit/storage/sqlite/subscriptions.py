"""Durable subscriptions and their progress."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import apsw
import msgspec

from conduit.core.message import Progress, SubscriptionRecord, SubscriptionSettings
from conduit.core.topics import matcher, prefix_of
from conduit.errors import Conflict
from conduit.storage.base import Extent, Former, Settled, Start
from conduit.storage.floors import floor_of
from conduit.storage.sqlite import begins, dead_letters, former, tenants
from conduit.storage.sqlite.begins import Part
from conduit.storage.sqlite.bulk import (
    Insert,
    Query,
    Statement,
    Value,
    execute_all,
    rows,
    transaction,
)
from conduit.storage.sqlite.reads import seqs_at

_ALL = """
SELECT json_group_array(json_object(
  'subscription_id', subscription_id, 'tenant', tenant, 'name', name, 'pattern', pattern,
  'created_at_ms', created_at_ms, 'paused', json(iif(paused, 'true', 'false')),
  'settings', json(settings)))
FROM subscriptions
"""
all_records = Query(_ALL, SubscriptionRecord)
_records_of = Query(
    f"{_ALL} WHERE subscription_id IN (SELECT value FROM json_each(?))", SubscriptionRecord
)

_CREATE = """
INSERT INTO subscriptions (tenant, name, pattern, created_at_ms, paused, settings)
VALUES (?, ?, ?, ?, FALSE, ?)
ON CONFLICT (tenant, name) DO NOTHING
RETURNING subscription_id
"""


class _Row(NamedTuple):
    subscription_id: int
    topic_id: int
    floor: int
    cursor: int
    open_digits: str
    pages: dict[int, str]


# Rows that are decoded at once are those of about so many topics.
_AT_ONCE = 1_024

# `~` comes after every character of a name.
_extents = Query(
    f"""
    SELECT json_group_array(json_array(topic_id, name, first_seq, last_seq, trimmed_ms))
    FROM topics WHERE tenant = :tenant AND name BETWEEN :prefix AND :prefix || '~'
    GROUP BY topic_id / {_AT_ONCE}
    """,
    Extent,
)

_PAGES = """
(SELECT json_group_object(page, hex(retries)) FROM progress_pages AS g
 WHERE g.subscription_id = p.subscription_id AND g.topic_id = p.topic_id)
"""

# What a deleted one has left is removed later.
_IS_THERE = "EXISTS (SELECT 1 FROM subscriptions WHERE subscription_id = :subscription_id)"

# What was recorded, and of the other topics that are still there where it began, in these parts. CROSS keeps
# the order of the tables: SQLite would look through all the floors for each topic.
_ROWS_IN = f"""
SELECT p.subscription_id, p.topic_id, t.first_seq, p.floor, p.cursor, p.open, {_PAGES} AS pages
FROM progress AS p JOIN topics AS t USING (topic_id)
WHERE p.subscription_id = :subscription_id AND {_IS_THERE}
UNION ALL
SELECT s.subscription_id, t.topic_id, t.first_seq, b.value, b.value, x'', '{{{{}}}}'
FROM subscriptions AS s CROSS JOIN begins AS g USING (subscription_id)
CROSS JOIN json_each(g.floors) AS b
CROSS JOIN topics AS t ON t.topic_id = CAST(b.key AS INTEGER) AND t.tenant = s.tenant
WHERE s.subscription_id = :subscription_id{{and_part}} AND NOT EXISTS (
  SELECT 1 FROM progress AS p
  WHERE p.subscription_id = s.subscription_id AND p.topic_id = t.topic_id)
"""
_ROWS = _ROWS_IN.format(and_part="")
_ROWS_OF = _ROWS_IN.format(
    and_part=f" AND g.part IN (SELECT value >> {begins.PART_BITS} FROM json_each(:topic_ids))"
)

_ROW = "json_array(subscription_id, topic_id, floor, cursor, hex(open), json(pages))"
_progress = Query(
    f"SELECT json_group_array({_ROW}) FROM ({_ROWS}) GROUP BY topic_id / {_AT_ONCE}", _Row
)
_progress_of = Query(
    f"""
    SELECT json_group_array({_ROW}) FROM ({_ROWS_OF})
    WHERE topic_id IN (SELECT value FROM json_each(:topic_ids))
    """,
    _Row,
)
_open = Query(
    f"""
    SELECT json_group_array({_ROW}) FROM (
      SELECT p.*, {_PAGES} AS pages FROM progress AS p
      WHERE p.subscription_id = :subscription_id AND p.open <> x'' AND {_IS_THERE})
    """,
    _Row,
)
_PASSED = f"SELECT coalesce(sum(max(0, cursor - first_seq + 1)), 0) FROM ({_ROWS})"

# CROSS keeps the order of the tables: SQLite would look through all subscriptions of the tenant.
_progress_in = Query(
    f"""
    SELECT json_group_array({_ROW}) FROM (
      SELECT s.subscription_id, :topic_id AS topic_id, coalesce(p.floor, s.begun) AS floor,
             coalesce(p.cursor, s.begun) AS cursor, coalesce(p.open, x'') AS open, {_PAGES} AS pages
      FROM (
        SELECT s.subscription_id, {begins.FLOOR} AS begun
        FROM (SELECT DISTINCT value FROM json_each(:subscription_ids)) AS asked
        CROSS JOIN subscriptions AS s ON s.subscription_id = asked.value {begins.JOIN}
        WHERE s.tenant = (SELECT tenant FROM topics WHERE topic_id = :topic_id)
      ) AS s
      LEFT JOIN progress AS p ON p.subscription_id = s.subscription_id AND p.topic_id = :topic_id
    ) WHERE floor IS NOT NULL
    """,
    _Row,
)

_recorded = Query("SELECT json_group_array(topic_id) FROM progress WHERE subscription_id = ?", int)

_PUT = Insert(
    "progress",
    width=5,
    then="""
    AND EXISTS (
      SELECT 1 FROM subscriptions AS s JOIN topics AS t USING (tenant)
      WHERE s.subscription_id = column1 AND t.topic_id = column2)
    ON CONFLICT (subscription_id, topic_id) DO UPDATE SET
      floor = excluded.floor, cursor = excluded.cursor, open = excluded.open
    """,
)

_PUT_PAGES = Insert(
    "progress_pages",
    width=4,
    then="""
    AND EXISTS (SELECT 1 FROM progress WHERE subscription_id = column1 AND topic_id = column2)
    ON CONFLICT (subscription_id, topic_id, page) DO UPDATE SET retries = excluded.retries
    """,
)

_REMOVE_PAGES = """
DELETE FROM progress_pages WHERE (subscription_id, topic_id, page) IN (
  SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?))
"""

_FORGET = """
DELETE FROM progress
WHERE subscription_id = ? AND topic_id IN (SELECT value FROM json_each(?))
"""


def records_of(
    connection: apsw.Connection, subscription_ids: Sequence[int]
) -> list[SubscriptionRecord]:
    """See `Store.subscriptions_of`."""
    return _records_of(connection, (msgspec.json.encode(list(subscription_ids)).decode(),))


def beginning(connection: apsw.Connection, tenant: str, pattern: str, start: Start) -> list[Part]:
    """Where a new subscription begins, as it is stored; for `create`. Runs on a reader's thread.

    Until the commit a topic may get messages: they are delivered. It may be trimmed: the subscription has a
    gap, as if that came after the commit. It may be deleted: its id then stands for nothing. A topic
    that is made, perhaps anew, is not named, and begins at its first message.
    """
    floors = positions(connection, tenant, pattern, start)
    return begins.parts(connection, ((topic_id, floor) for topic_id, floor in floors if floor))


def create(
    connection: apsw.Connection,
    record: SubscriptionRecord,
    parts: Sequence[Part],
    gaps: Sequence[Former],
) -> SubscriptionRecord:
    """Store the record under a new id, and what it has to be told. Raises Conflict, NotFound."""
    settings = msgspec.json.encode(record.settings).decode()
    values = (record.tenant, record.name, record.pattern, record.created_at_ms, settings)
    with transaction(connection):
        tenants.check(connection, record.tenant)
        created = rows(connection, _CREATE, values)
        if not created:
            raise Conflict(f"subscription {record.name!r} exists", code="subscription_exists")
        ((subscription_id,),) = created
        for statement in begins.put(subscription_id, parts):
            connection.execute(*statement)
        if gaps:
            former.add(connection, subscription_id, gaps, record.created_at_ms)
    return msgspec.structs.replace(record, subscription_id=subscription_id)


def update(
    connection: apsw.Connection,
    subscription_id: int,
    settings: SubscriptionSettings,
    paused: bool,
) -> None:
    """See `Store.subscription_update`."""
    connection.execute(
        "UPDATE subscriptions SET settings = ?, paused = ? WHERE subscription_id = ?",
        (msgspec.json.encode(settings).decode(), paused, subscription_id),
    )


def delete(connection: apsw.Connection, subscription_id: int) -> None:
    """See `Store.subscription_delete`."""
    connection.execute("DELETE FROM subscriptions WHERE subscription_id = ?", (subscription_id,))


def is_there(connection: apsw.Connection, subscription_id: int) -> bool:
    """Whether it exists."""
    values = {"subscription_id": subscription_id}
    ((found,),) = connection.execute(f"SELECT {_IS_THERE}", values)
    return bool(found)


def positions(
    connection: apsw.Connection, tenant: str, pattern: str, start: Start
) -> list[tuple[int, int]]:
    """See `Store.positions`."""
    found = _extents(connection, {"tenant": tenant, "prefix": prefix_of(pattern)})
    is_meant = matcher(pattern)
    extents = [extent for extent in found if is_meant(extent.name)]
    seqs: dict[int, int] = {}
    if start.time_ms is not None:
        seqs = seqs_at(connection, [extent.topic_id for extent in extents], start.time_ms)
    return [
        (extent.topic_id, floor_of(start, extent, lambda topic_id, _: seqs.get(topic_id, 1)))
        for extent in extents
    ]


def progress(
    connection: apsw.Connection, subscription_id: int, topic_ids: Sequence[int] | None
) -> list[Progress]:
    """See `Store.progress`."""
    asked: dict[str, Value] = {"subscription_id": subscription_id}
    if topic_ids is None:
        return [_read(row) for row in _progress(connection, asked)]
    asked["topic_ids"] = _text(list(topic_ids))
    return [_read(row) for row in _progress_of(connection, asked)]


def progress_at(connection: apsw.Connection, places: Sequence[tuple[int, int]]) -> list[Progress]:
    """See `Store.progress_at`. A topic at a time, or a subscription, of which there are fewer: what is slow
    about many is to ask for each."""
    topic_ids: dict[int, list[int]] = {}
    subscription_ids: dict[int, list[int]] = {}
    for subscription_id, topic_id in places:
        topic_ids.setdefault(subscription_id, []).append(topic_id)
        subscription_ids.setdefault(topic_id, []).append(subscription_id)
    if len(topic_ids) <= len(subscription_ids):
        found = (progress(connection, key, some) for key, some in topic_ids.items())
    else:
        found = (_in(connection, key, some) for key, some in subscription_ids.items())
    return list(chain.from_iterable(found))


def _in(connection: apsw.Connection, topic_id: int, subscription_ids: list[int]) -> list[Progress]:
    asked: dict[str, Value] = {"topic_id": topic_id, "subscription_ids": _text(subscription_ids)}
    return [_read(row) for row in _progress_in(connection, asked)]


def settled(connection: apsw.Connection, subscription_ids: Sequence[int]) -> dict[int, Settled]:
    """See `Store.settled`."""
    return {each: _settled(connection, each) for each in subscription_ids}


def _settled(connection: apsw.Connection, subscription_id: int) -> Settled:
    asked = {"subscription_id": subscription_id}
    ((passed,),) = rows(connection, _PASSED, asked)
    return Settled(passed, [_read(row) for row in _open(connection, asked)])


def _read(row: _Row) -> Progress:
    pages = {number: bytes.fromhex(page) for number, page in row.pages.items()}
    return Progress(*row[:4], bytes.fromhex(row.open_digits), pages=pages)


def progress_statements(progress: Sequence[Progress]) -> list[Statement]:
    """What stores these rows, but for those whose topic or subscription is gone."""
    rows = [
        (row.subscription_id, row.topic_id, row.floor, row.cursor, row.open) for row in progress
    ]
    pages = [
        (row.subscription_id, row.topic_id, number, page)
        for row in progress
        for number, page in row.pages.items()
    ]
    kept = [page for page in pages if page[3]]
    statements = [*_PUT.statements(rows), *_PUT_PAGES.statements(kept)]
    if len(kept) < len(pages):
        removed = [page[:3] for page in pages if not page[3]]
        statements.append((_REMOVE_PAGES, [msgspec.json.encode(removed).decode()]))
    return statements


class Move(NamedTuple):
    """The floors to which a subscription is moved, by topic id; and the same as it is stored."""

    floors: dict[int, int]
    parts: list[Part]


def move(connection: apsw.Connection, floors: Sequence[tuple[int, int]]) -> Move:
    """These (topic id, floor), as they are stored; for `seek`. Runs on a reader's thread."""
    return Move(dict(floors), begins.parts(connection, floors))


def seek(connection: apsw.Connection, subscription_id: int, move: Move) -> None:
    """See `Store.seek`."""
    # Few may have a row, where many are moved. Nobody else writes, so these are all.
    recorded = _recorded(connection, (subscription_id,))
    moved = [topic_id for topic_id in recorded if topic_id in move.floors]
    statements = begins.replace(subscription_id, move.parts)
    if moved:
        statements.append((_FORGET, [subscription_id, _text(moved)]))
    statements += dead_letters.back_statements(connection, subscription_id, move.floors)
    execute_all(connection, statements)


def _text(value: list[int]) -> str:
    return msgspec.json.encode(value).decode()
