"""Whether a database is whole. Reads all of it, also while a server uses it. Blocks."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import apsw
import msgspec

from conduit.storage.sqlite.bulk import rows
from conduit.storage.sqlite.errors import translated_of
from conduit.storage.sqlite.ours import opened

# Faults that are told.
FAULTS_MAX_COUNT = 100
_DAMAGED = "the file is damaged: {}"

# What must be so in every state that was committed.
_RULES = (
    (
        "topic {} has {} messages, and its numbers say {}",
        """
        SELECT t.name, count(m.seq), t.last_seq - t.first_seq + 1
        FROM topics AS t LEFT JOIN messages AS m USING (topic_id) GROUP BY t.topic_id
        HAVING count(m.seq) <> t.last_seq - t.first_seq + 1
          OR min(m.seq) < t.first_seq OR max(m.seq) > t.last_seq
        """,
    ),
    (
        "topic {} has {} bytes, and its row says {}",
        """
        SELECT t.name, coalesce(sum(m.bytes), 0), t.stored_bytes
        FROM topics AS t LEFT JOIN messages AS m USING (topic_id) GROUP BY t.topic_id
        HAVING coalesce(sum(m.bytes), 0) <> t.stored_bytes
        """,
    ),
    (
        "{} messages are of a topic that there never was: {}",
        """
        SELECT count(*), m.topic_id FROM messages AS m
        WHERE NOT EXISTS (SELECT 1 FROM topics AS t WHERE t.topic_id = m.topic_id)
          AND NOT EXISTS (SELECT 1 FROM gone_topics AS g WHERE g.topic_id = m.topic_id)
        GROUP BY m.topic_id
        """,
    ),
    (
        "subscription {} has {} dead letters, and its tally says {}",
        """
        SELECT d.subscription, count(*), coalesce(t.open_count + t.redriven_count, 0)
        FROM dead_letters AS d LEFT JOIN dead_tallies AS t
          ON t.tenant = d.tenant AND t.subscription = d.subscription
            AND t.topic = iif(d.subscription = '', d.topic, '')
        GROUP BY d.tenant, d.subscription, iif(d.subscription = '', d.topic, '')
        HAVING count(*) <> coalesce(t.open_count + t.redriven_count, 0)
        """,
    ),
)

_MESSAGES = """
SELECT 'message', t.name, m.seq, CAST(m.key AS BLOB), m.payload, m.headers
FROM messages AS m JOIN topics AS t USING (topic_id)
UNION ALL
SELECT 'dead letter', topic, seq, CAST(key AS BLOB), nullif(payload, x''), nullif(headers, x'')
FROM dead_letters -- without a payload, if retention or a purge was first
"""
_json = msgspec.json.Decoder(msgspec.Raw).decode


def check(path: Path) -> list[str]:
    """What is wrong with it, in sentences; nothing if it is whole. It is one state that is looked at: what is
    written meanwhile is not seen. Raises StoreUnavailable if it cannot be read."""
    try:
        with opened(path) as connection:
            connection.execute("BEGIN")
            return _faults(connection)[:FAULTS_MAX_COUNT]
    except apsw.CorruptError as error:
        return [_DAMAGED.format(error)]
    except UnicodeDecodeError as error:
        return [_DAMAGED.format(f"a text in it is not UTF-8: {error.reason}")]
    except apsw.Error as error:
        raise translated_of(error, path) from error


def _faults(connection: apsw.Connection) -> list[str]:
    damage = rows(connection, f"PRAGMA integrity_check({FAULTS_MAX_COUNT})")
    if damage != [("ok",)]:
        # What is damaged cannot be counted.
        return [_DAMAGED.format(text) for (text,) in damage]
    broken = [sentence.format(*row) for sentence, sql in _RULES for row in rows(connection, sql)]
    return broken + list(islice(_unreadable(connection), FAULTS_MAX_COUNT))


def _unreadable(connection: apsw.Connection) -> Iterator[str]:
    """Messages and dead letters that no client could read. SQLite does not see what changed in a value."""
    for what, name, seq, key, *values in connection.execute(_MESSAGES):
        try:
            (key or b"").decode()
            for value in values:
                if value is not None:
                    # Raw values are skipped over, their UTF-8 as well.
                    value.decode()
                    _json(value)
        except (UnicodeDecodeError, msgspec.DecodeError) as error:
            yield f"{what} {seq} of topic {name} is damaged: {error}"
