"""Durable subscriptions and their progress."""

from __future__ import annotations

import re
from collections.abc import Sequence

import apsw
import msgspec

from conduit.core.message import Progress, SubscriptionRecord, SubscriptionSettings
from conduit.core.topics import matches
from conduit.errors import Conflict
from conduit.storage.base import Extent, Start
from conduit.storage.floors import floor_of
from conduit.storage.sqlite.bulk import Insert, Query, Statement, execute_all, rows, transaction
from conduit.storage.sqlite.reads import seqs_at

all_records = Query(
    """
    SELECT json_group_array(json_object(
      'subscription_id', subscription_id, 'tenant', tenant, 'name', name, 'pattern', pattern,
      'created_at_ms', created_at_ms, 'paused', json(iif(paused, 'true', 'false')),
      'settings', json(settings)))
    FROM subscriptions
    """,
    SubscriptionRecord,
)

_CREATE = """
INSERT INTO subscriptions (tenant, name, pattern, created_at_ms, paused, settings)
VALUES (?, ?, ?, ?, FALSE, ?)
ON CONFLICT (tenant, name) DO NOTHING
RETURNING subscription_id
"""

# `~` comes after every character of a name.
_extents = Query(
    """
    SELECT json_group_array(json_array(topic_id, name, first_seq, last_seq))
    FROM topics WHERE tenant = :tenant AND name BETWEEN :prefix AND :prefix || '~'
    """,
    Extent,
)

_progress = Query(
    """
    SELECT json_group_array(json_array(topic_id, floor, cursor, hex(open)))
    FROM progress WHERE subscription_id = ?
    """,
    tuple[int, int, int, str],
)

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


def create(
    connection: apsw.Connection, record: SubscriptionRecord, start: Start
) -> SubscriptionRecord:
    """Store the record under a new id, with its progress. Raises Conflict.

    On the writer's thread nothing is appended between finding the floors and the commit.
    """
    floors = positions(connection, record.tenant, record.pattern, start)
    settings = msgspec.json.encode(record.settings).decode()
    values = (record.tenant, record.name, record.pattern, record.created_at_ms, settings)
    with transaction(connection):
        created = rows(connection, _CREATE, values)
        if not created:
            raise Conflict(f"subscription {record.name!r} exists", code="subscription_exists")
        subscription_id: int = created[0][0]
        ahead = [Progress(subscription_id, topic_id, at, at) for topic_id, at in floors if at]
        for statement in progress_statements(ahead):
            connection.execute(*statement)
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


def positions(
    connection: apsw.Connection, tenant: str, pattern: str, start: Start
) -> list[tuple[int, int]]:
    """See `Store.positions`."""
    prefix = re.split(r"[*>]", pattern)[0]
    found = _extents(connection, {"tenant": tenant, "prefix": prefix})
    extents = [extent for extent in found if matches(pattern, extent.name)]
    seqs: dict[int, int] = {}
    if start.time_ms is not None:
        seqs = seqs_at(connection, [extent.topic_id for extent in extents], start.time_ms)
    return [
        (extent.topic_id, floor_of(start, extent, lambda topic_id, _: seqs.get(topic_id, 1)))
        for extent in extents
    ]


def progress(connection: apsw.Connection, subscription_id: int) -> list[Progress]:
    """See `Store.progress`."""
    return [
        Progress(subscription_id, topic_id, floor, cursor, bytes.fromhex(digits))
        for topic_id, floor, cursor, digits in _progress(connection, (subscription_id,))
    ]


def progress_statements(progress: Sequence[Progress]) -> list[Statement]:
    """What stores these rows, but for those whose topic or subscription is gone."""
    return list(
        _PUT.statements(
            [
                (row.subscription_id, row.topic_id, row.floor, row.cursor, row.open)
                for row in progress
            ]
        )
    )


def seek(
    connection: apsw.Connection, subscription_id: int, floors: Sequence[tuple[int, int]]
) -> None:
    """See `Store.seek`."""
    moved = [Progress(subscription_id, topic_id, floor, floor) for topic_id, floor in floors]
    execute_all(connection, progress_statements(moved))
