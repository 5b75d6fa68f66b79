"""Reading topics and the log. Runs on the readers' threads; each query sees one state of the file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import apsw
import msgspec

from conduit.core.message import Message, TopicRecord
from conduit.errors import StoreDataError
from conduit.storage.base import Extent, KnownKey
from conduit.storage.keys import LOOKED_AT_TIMES, Shares, in_order
from conduit.storage.sqlite.bulk import Query, rows
from conduit.storage.sqlite.ids import id_bytes, id_text

_TOPICS = """
SELECT json_group_array(json_object(
  'topic_id', topic_id, 'tenant', tenant, 'name', name, 'epoch', epoch,
  'created_at_ms', created_at_ms, 'first_seq', first_seq, 'last_seq', last_seq,
  'stored_bytes', stored_bytes,
  'retention', json_object(
    'max_age_s', max_age_s, 'max_messages', max_messages, 'max_bytes', max_bytes)))
FROM topics
"""
_OF = "WHERE topic_id IN (SELECT value FROM json_each(?))"
topics = Query(_TOPICS, TopicRecord)
_topics_of = Query(f"{_TOPICS} {_OF}", TopicRecord)

_extents = Query(
    """
    SELECT json_group_array(json_array(topic_id, name, first_seq, last_seq, trimmed_ms)) FROM topics
    """
    + _OF,
    Extent,
)

# First which numbers: the window stops after the message that passes max_bytes, by lengths alone.
_READ = """
WITH extent AS (SELECT topic_id, {start} AS start FROM topics WHERE topic_id = :topic_id),
page AS (
  SELECT m.topic_id, m.seq,
         sum(octet_length(m.payload)) OVER (ORDER BY m.seq {order}) - octet_length(m.payload)
           AS bytes_before
  FROM extent AS e JOIN messages AS m ON m.topic_id = e.topic_id AND m.seq BETWEEN {numbers}
)
SELECT json_group_array(json_array(
  lower(hex(m.message_id)), m.seq, m.published_at_ms, hex(m.payload), m.key,
  iif(m.headers IS NULL, NULL, hex(m.headers))))
FROM page JOIN messages AS m USING (topic_id, seq)
WHERE page.bytes_before <= :max_bytes
"""
_UP = {
    "start": "max(:from_seq, first_seq)",
    "order": "ASC",
    "numbers": "e.start AND e.start + :limit - 1",
}
_DOWN = {
    "start": "min(:from_seq, last_seq)",
    "order": "DESC",
    "numbers": "e.start - :limit + 1 AND e.start",
}


class _Row(NamedTuple):
    id_digits: str
    seq: int
    published_at_ms: int
    payload_digits: str
    key: str | None
    headers_digits: str | None


_read_up = Query(_READ.format(**_UP), _Row)
_read_down = Query(_READ.format(**_DOWN), _Row)

_FIND = """
SELECT m.topic_id, m.seq, m.published_at_ms, m.payload, m.key, m.headers
FROM messages AS m JOIN topics AS t USING (topic_id)
WHERE m.message_id = ? AND t.tenant = ?
"""

# Binary search, in one statement for all topics: `low` ends as the answer.
_seqs_at = Query(
    """
    WITH RECURSIVE search(topic_id, low, high) AS (
      SELECT topic_id, first_seq, last_seq + 1
      FROM topics WHERE topic_id IN (SELECT value FROM json_each(:topic_ids))
      UNION ALL
      SELECT s.topic_id,
             iif(m.published_at_ms < :time_ms, m.seq + 1, s.low),
             iif(m.published_at_ms < :time_ms, s.high, m.seq)
      FROM search AS s CROSS JOIN messages AS m
      WHERE s.low < s.high AND m.topic_id = s.topic_id AND m.seq = (s.low + s.high) / 2
    )
    SELECT json_group_array(json_array(topic_id, low)) FROM search WHERE low >= high
    """,
    tuple[int, int],
)

_last_stamps = Query(
    """
    SELECT json_group_array(json_array(topic_id, published_at_ms)) FROM (
      SELECT m.topic_id, m.published_at_ms
      FROM json_each(:topic_ids) AS i CROSS JOIN topics AS t ON t.topic_id = i.value
      CROSS JOIN messages AS m ON m.topic_id = t.topic_id AND m.seq = t.last_seq)
    """,
    tuple[int, int],
)

_NEWEST = "WHERE published_at_ms >= ? ORDER BY published_at_ms DESC, seq DESC LIMIT ?"
_KEY_COUNTS = f"""
SELECT topic_id, count(*), min(published_at_ms), tenant
FROM (SELECT topic_id, published_at_ms FROM idempotency_keys {_NEWEST}) JOIN topics USING (topic_id)
GROUP BY topic_id
"""
_KEYS = "SELECT topic_id, key, message_id, seq, published_at_ms, payload_hash FROM idempotency_keys"
_NEWEST_KEYS = f"{_KEYS} {_NEWEST}"
_KEYS_OF_A_TOPIC = f"{_KEYS} WHERE topic_id = ? AND published_at_ms >= ?"


class Page(NamedTuple):
    """The arguments of `Store.read`."""

    topic_id: int
    from_seq: int
    limit: int
    max_bytes: int
    descending: bool


def topics_of(connection: apsw.Connection, topic_ids: Sequence[int]) -> list[TopicRecord]:
    """See `Store.topics_of`."""
    return _topics_of(connection, (msgspec.json.encode(list(topic_ids)).decode(),))


def extents(connection: apsw.Connection, topic_ids: Sequence[int]) -> list[Extent]:
    """See `Store.extents`."""
    return _extents(connection, (msgspec.json.encode(list(topic_ids)).decode(),))


def read(connection: apsw.Connection, page: Page) -> list[Message]:
    """See `Store.read`."""
    query = _read_down if page.descending else _read_up
    messages = [_message(row) for row in query(connection, page._asdict())]
    # An aggregate promises no order.
    messages.sort(key=lambda message: message.seq, reverse=page.descending)
    return messages


def _message(row: _Row) -> Message:
    return Message(
        id_text(row.id_digits),
        row.seq,
        row.published_at_ms,
        bytes.fromhex(row.payload_digits),
        row.key,
        None if row.headers_digits is None else bytes.fromhex(row.headers_digits),
    )


def find(connection: apsw.Connection, tenant: str, message_id: str) -> tuple[int, Message] | None:
    """See `Store.find`."""
    try:
        stored = id_bytes(message_id)
    except StoreDataError:
        return None
    found = rows(connection, _FIND, (stored, tenant))
    if not found:
        return None
    topic_id, *columns = found[0]
    return topic_id, Message(message_id, *columns)


def seqs_at(connection: apsw.Connection, topic_ids: Iterable[int], time_ms: int) -> dict[int, int]:
    """`Store.seq_at` for many topics; those that are gone are left out."""
    wanted = msgspec.json.encode(list(topic_ids)).decode()
    return dict(_seqs_at(connection, {"topic_ids": wanted, "time_ms": time_ms}))


def seq_at(connection: apsw.Connection, topic_id: int, time_ms: int) -> int:
    """See `Store.seq_at`."""
    return seqs_at(connection, [topic_id], time_ms).get(topic_id, 1)


def last_stamps(connection: apsw.Connection, topic_ids: Sequence[int]) -> dict[int, int]:
    """See `Store.last_stamps`."""
    wanted = msgspec.json.encode(list(topic_ids)).decode()
    return dict(_last_stamps(connection, {"topic_ids": wanted}))


def known_keys(connection: apsw.Connection, since_ms: int, limit: int) -> list[KnownKey]:
    """See `Store.known_keys`. Row by row: it is asked at start, when no loop wants the lock, and then
    one JSON text takes longer."""
    looked_at = since_ms, limit * LOOKED_AT_TIMES
    counted = rows(connection, _KEY_COUNTS, looked_at)
    tenants = {topic_id: tenant for topic_id, _, _, tenant in counted}
    shares = Shares({topic_id: count for topic_id, count, *_ in counted}, tenants, limit)
    # A topic may have any number of keys that are older than all that are looked at.
    oldest_ms = min((oldest_ms for _, _, oldest_ms, _ in counted), default=since_ms)
    found: list[KnownKey] = []
    for topic_id in shares.whole:
        found += map(_known_key, connection.execute(_KEYS_OF_A_TOPIC, (topic_id, oldest_ms)))
    newest = connection.execute(_NEWEST_KEYS, looked_at)
    while shares.has_more and (row := newest.fetchone()) is not None:
        if shares.takes(row[0]):
            found.append(_known_key(row))
    newest.close()
    return in_order(found, limit)


def _known_key(row: tuple[Any, ...]) -> KnownKey:
    topic_id, key, stored, *rest = row
    return KnownKey(topic_id, key, id_text(stored.hex()), *rest)
