"""The one statement that appends a batch, and its values as columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from conduit.core.message import NewMessage
from conduit.storage.base import TOPIC_GONE, KnownKey
from conduit.storage.postgres.scope import ALL

# What the answer tells beside (topic_id, last_seq): rows with these in place of a topic.
WRITER, SEGMENT = 0, -1

# All that one topic gets is counted before, so that a number is its counter row and a place in the batch.
# The topics are locked in the order of their ids by everybody: no two appends wait for each other. If
# the writer's row is not found, somebody took its place, or the segment is full: then nothing happens. What
# finds it says that this is for all tenants, before the topics are looked at (scope.py).
_APPEND = """
WITH head AS (SELECT segment FROM conduit.segments WHERE retired_at IS NULL),
writer AS (
  UPDATE conduit.writers SET last_batch = $3, appended_at = now()
  WHERE writer_id = $1 AND token = $2 AND (SELECT segment FROM head) = {segment}
  RETURNING set_config('conduit.tenant', '{all}', true)
),
locked AS (
  SELECT topic_id, last_seq, segment FROM conduit.topics
  WHERE topic_id = ANY ($4::bigint[]) AND EXISTS (SELECT FROM writer)
  ORDER BY topic_id FOR NO KEY UPDATE
),{known}
counted AS (
  SELECT l.topic_id, l.last_seq, l.segment, c.count, c.bytes
  FROM locked AS l
  JOIN unnest($4::bigint[], $5::bigint[], $6::bigint[]) AS c (topic_id, count, bytes)
    USING (topic_id){unless_known}
),
numbered AS (
  UPDATE conduit.topics AS t
  SET last_seq = c.last_seq + c.count, stored_bytes = t.stored_bytes + c.bytes,
      segment = {segment}
  FROM counted AS c WHERE t.topic_id = c.topic_id
),
placed AS (
  INSERT INTO conduit.extents (topic_id, first_seq, segment)
  SELECT topic_id, last_seq + 1, {segment} FROM counted WHERE segment IS DISTINCT FROM {segment}
),
stored AS (
  INSERT INTO conduit.messages_{segment} (
    segment, topic_id, seq, message_id, published_at_ms, bytes, key, headers, payload)
  SELECT {segment}, m.topic_id, c.last_seq + m.place, m.message_id, m.published_at_ms,
         octet_length(m.payload) + coalesce(octet_length(m.key), 0)
           + coalesce(octet_length(m.headers), 0),
         m.key, m.headers, m.payload
  FROM unnest($7::bigint[], $8::bigint[], $9::uuid[], $10::bigint[], $11::bytea[], $12::bytea[],
              $13::bytea[])
    AS m (topic_id, place, message_id, published_at_ms, key, headers, payload)
  JOIN counted AS c USING (topic_id)
){keys}
SELECT topic_id, last_seq{nothing} FROM counted
UNION ALL SELECT 0, 1{nothing} FROM writer
UNION ALL SELECT -1, segment{nothing} FROM head{and_known}
"""
# Of a batch with keys nothing is stored if a message is known by its key, and the answer has what is known:
# left out, it takes no place among the others. The count is known when all topics are locked, and not before.
_KNOWN = """
known AS MATERIALIZED (
  SELECT k.* FROM (SELECT count(*) AS count FROM locked) AS l
  CROSS JOIN LATERAL conduit.known_keys($14::bigint[], $15::bytea[], $20::float8, l.count) AS k
  WHERE k.topic_id IN (SELECT topic_id FROM locked)
),"""
_UNLESS_KNOWN = " WHERE NOT EXISTS (SELECT FROM known)"
_NOTHING = ", NULL::uuid, NULL::bigint, NULL::bytea"
_AND_KNOWN = """
UNION ALL SELECT place, seq, message_id, published_at_ms, payload_hash FROM known"""
# A key that comes twice in a batch stands for its last message.
_KEYS = """,
keys AS (
  INSERT INTO conduit.idempotency_keys AS k (
    topic_id, key, message_id, seq, published_at_ms, payload_hash)
  SELECT DISTINCT ON (i.topic_id, i.key)
         i.topic_id, i.key, i.message_id, c.last_seq + i.place, i.published_at_ms, i.payload_hash
  FROM unnest($14::bigint[], $15::bytea[], $16::uuid[], $17::bigint[], $18::bigint[],
              $19::bytea[])
    AS i (topic_id, key, message_id, place, published_at_ms, payload_hash)
  JOIN counted AS c USING (topic_id)
  ORDER BY i.topic_id, i.key, i.place DESC
  ON CONFLICT (topic_id, key) DO UPDATE SET message_id = excluded.message_id, seq = excluded.seq,
    published_at_ms = excluded.published_at_ms, payload_hash = excluded.payload_hash, stored_at = now()
)
"""
_KEYED = {
    "known": _KNOWN,
    "unless_known": _UNLESS_KNOWN,
    "keys": _KEYS,
    "nothing": _NOTHING,
    "and_known": _AND_KNOWN,
}
_UNKEYED = dict.fromkeys(_KEYED, "")


@lru_cache(maxsize=8)
def _statement(segment: int, keyed: bool) -> str:
    return _APPEND.format(segment=segment, all=ALL, **_KEYED if keyed else _UNKEYED)


class Batch:
    """A batch as columns. A key is known for `window_s`. Raises UnicodeEncodeError for text that is not
    Unicode."""

    def __init__(self, batch: Sequence[NewMessage], window_s: float) -> None:
        self.messages = batch
        counts: dict[int, int] = {}
        sizes: dict[int, int] = {}
        topic_ids, places, keys = [], [], []
        for new in batch:
            topic_id = new.topic_id
            key = None if new.key is None else new.key.encode()
            size = len(new.payload) + len(key or b"") + len(new.headers or b"")
            counts[topic_id] = place = counts.get(topic_id, 0) + 1
            sizes[topic_id] = sizes.get(topic_id, 0) + size
            topic_ids.append(topic_id)
            places.append(place)
            keys.append(key)
        topics = sorted(counts)
        self.message_ids = [new.message_id for new in batch]
        self.is_keyed = False
        self._topic_ids = topic_ids
        # The place of each message among those of its topic, from 1.
        self._places = places
        self._values: list[Any] = [
            topics,
            [counts[topic_id] for topic_id in topics],
            [sizes[topic_id] for topic_id in topics],
            topic_ids,
            places,
            self.message_ids,
            [new.published_at_ms for new in batch],
            keys,
            [new.headers for new in batch],
            [new.payload for new in batch],
        ]
        # Where in the batch those with a key are.
        self._keyed_at = [at for at, new in enumerate(batch) if new.idempotency_key]
        if self._keyed_at:
            self.is_keyed = True
            keyed = [batch[at] for at in self._keyed_at]
            self._values += [
                [new.topic_id for new in keyed],
                [str(new.idempotency_key).encode() for new in keyed],
                [new.message_id for new in keyed],
                [places[at] for at in self._keyed_at],
                [new.published_at_ms for new in keyed],
                [new.payload_hash for new in keyed],
                window_s,
            ]

    def statement(self, segment: int) -> str:
        """What appends it to that segment; its values are three of the writer, and `values`."""
        return _statement(segment, self.is_keyed)

    @property
    def values(self) -> list[Any]:
        """From $4 on."""
        return self._values

    def known(self, rows: Iterable[Iterable[Any]]) -> dict[int, KnownKey]:
        """What the keys in these rows of an answer stand for, by the places of their messages from 0."""
        found = {}
        for place, seq, message_id, published_at_ms, payload_hash in rows:
            at = self._keyed_at[place - 1]
            new = self.messages[at]
            key = str(new.idempotency_key)
            found[at] = KnownKey(
                new.topic_id, key, str(message_id), seq, published_at_ms, payload_hash
            )
        return found

    def seqs(self, last_seqs: dict[int, int]) -> list[int]:
        """The numbers, from the last one that each topic had before; TOPIC_GONE for one that had none."""
        return [
            last_seqs[topic_id] + place if topic_id in last_seqs else TOPIC_GONE
            for topic_id, place in zip(self._topic_ids, self._places, strict=True)
        ]
