"""Fills a server with very much: topics, durable subscriptions, patterns over everything, dead letters.

On SQLite and PostgreSQL topics, their messages and the subscriptions are written by SQL before the server
starts, as a server would have left them; in memory they come over HTTP. Of the patterns one half is settled
everywhere, the other has everything before it; in memory all of them have. Dead letters are rejected by
subscribers, on every store.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import apsw

from bench import filling, wire
from bench.systems import Conduit, ConduitOnPostgres, Server, conduit
from conduit.storage.sqlite import SqliteStore

LETTERS_TOPIC = "letters"
# Dead letters of one subscription.
LETTERS_EACH = 5_000
GROUPS = 100
PATTERN_NAME = "pattern-%d"
LITERAL_NAME = "literal-%d"
_PATTERNS = (">", "load.>", "*.>", "load.*.*")
_MESSAGE_ID = re.compile(rb'"message_id":"([0-9a-f-]{36})"')

_NAME = "'load.g' || (g % {groups}) || '.t' || g"
_PATTERN = f"CASE g % {len(_PATTERNS)} " + " ".join(
    f"WHEN {number} THEN '{pattern}'" for number, pattern in enumerate(_PATTERNS)
)
_SQLITE = f"""
CREATE TEMP TABLE n AS WITH RECURSIVE n (g) AS (SELECT 0 UNION ALL SELECT g + 1 FROM n
  WHERE g + 1 < max({{topics}}, {{subscriptions}})) SELECT g FROM n;
INSERT INTO topics (tenant, name, epoch, created_at_ms, last_seq, stored_bytes)
SELECT 'default', {_NAME}, 'e', 0, 1, 44 FROM n WHERE g < {{topics}};
INSERT INTO messages (topic_id, seq, message_id, published_at_ms, bytes, payload)
SELECT topic_id, 1, randomblob(16), CAST(unixepoch('subsec') * 1000 AS INTEGER), 44,
       CAST('{{{{"n":1}}}}' AS BLOB) FROM topics;
INSERT INTO subscriptions (tenant, name, pattern, created_at_ms, paused, settings)
SELECT 'default', 'pattern-' || g, {_PATTERN} END, 0, FALSE, '{{{{}}}}' FROM n WHERE g < {{patterns}};
INSERT INTO begins SELECT subscription_id, part, floors FROM subscriptions, (
  SELECT topic_id >> 10 AS part, jsonb_group_object(topic_id, 1) AS floors FROM topics GROUP BY 1)
WHERE subscription_id % 2 = 0;
INSERT INTO subscriptions (tenant, name, pattern, created_at_ms, paused, settings)
SELECT 'default', 'literal-' || g, {_NAME}, 0, FALSE, '{{{{}}}}' FROM n WHERE g < {{literals}};
"""
_POSTGRES = f"""
INSERT INTO conduit.topics
  (topic_id, tenant, name, epoch, created_at_ms, last_seq, stored_bytes, segment)
SELECT nextval('conduit.topic_ids'), 'default', {_NAME}, 'e', 0, 1, 44, 1
FROM generate_series(0, {{topics}} - 1) AS g;
INSERT INTO conduit.extents SELECT topic_id, 1, 1 FROM conduit.topics;
INSERT INTO conduit.messages_1
SELECT 1, topic_id, 1, gen_random_uuid(), extract(epoch FROM now()) * 1000, 44, NULL, NULL,
       convert_to('{{{{"n":1}}}}', 'UTF8') FROM conduit.topics;
INSERT INTO conduit.subscriptions (tenant, name, pattern, created_at_ms, settings)
SELECT 'default', 'pattern-' || g, {_PATTERN} END, 0, '{{{{}}}}'
FROM generate_series(0, {{patterns}} - 1) AS g;
UPDATE conduit.subscriptions SET begins = (
  SELECT jsonb_object_agg(topic_id::text, 1) FROM conduit.topics)
WHERE subscription_id % 2 = 0;
INSERT INTO conduit.subscriptions (tenant, name, pattern, created_at_ms, settings)
SELECT 'default', 'literal-' || g, {_NAME}, 0, '{{{{}}}}'
FROM generate_series(0, {{literals}} - 1) AS g;
ANALYZE;
CHECKPOINT;
"""


class Much(NamedTuple):
    """How much there is."""

    topics: int
    subscriptions: int
    patterns: int
    letters: int

    @property
    def literals(self) -> int:
        """Subscriptions on one topic each."""
        return self.subscriptions - self.patterns

    def sql(self, text: str) -> str:
        """The text with these numbers."""
        return text.format(**self._asdict(), literals=self.literals, groups=GROUPS)


def topic(number: int) -> str:
    """The name of a topic."""
    return f"load.g{number % GROUPS}.t{number}"


def pattern(number: int) -> str:
    """What `PATTERN_NAME % number` is on."""
    return _PATTERNS[number % len(_PATTERNS)]


def server(path: Path, store: str, much: Much) -> Server:
    """A server that is not started, on a store that is filled as far as that goes before."""
    settings = {
        "CONDUIT_MAX_TOPICS": str(much.topics + 10_000),
        "CONDUIT_MAX_SUBSCRIPTIONS": str(much.subscriptions + 10_000),
        "CONDUIT_AUTO_CREATE_TOPICS": "true",
    }
    if store == "sqlite":
        asyncio.run(_fill_sqlite(path / "conduit.db", much))
        return Conduit(path, store, **settings)
    made = conduit(path, store, **settings)
    if isinstance(made, ConduitOnPostgres):
        # Its first start makes the tables.
        made.start()
        made.kill()
        made.cluster.sql(much.sql(_POSTGRES))
    return made


async def _fill_sqlite(path: Path, much: Much) -> None:
    store = SqliteStore(path)
    await store.open()
    await store.close()
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute(f"BEGIN; {much.sql(_SQLITE)} COMMIT; PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def fill(server: Server, store: str, much: Much) -> None:
    """What is filled while the server runs."""
    if store == "memory":
        _fill_memory(server.port, much)
    _bury(server.port, much.letters)


def _fill_memory(port: int, much: Much) -> None:
    subscriptions: list[dict[str, object]] = [
        {"name": PATTERN_NAME % number, "topic": pattern(number)} for number in range(much.patterns)
    ]
    subscriptions += [
        {"name": LITERAL_NAME % number, "topic": topic(number)} for number in range(much.literals)
    ]
    filling.subscriptions(port, subscriptions)
    filling.messages(port, [topic(number) for number in range(much.topics)], much.topics)


def _bury(port: int, count: int) -> None:
    """Dead letters: a few thousand messages, rejected by one subscription after the other."""
    names = [f"buries-{number}" for number in range(-(-count // LETTERS_EACH))]
    filling.subscriptions(port, ({"name": name, "topic": LETTERS_TOPIC} for name in names))
    each = min(count, LETTERS_EACH)
    filling.messages(port, [LETTERS_TOPIC], each)
    for name in names:
        reject(port, name, each)


def reject(port: int, name: str, count: int) -> None:
    """Take so many messages of `LETTERS_TOPIC` in this subscription, and make them dead letters."""
    connection = wire.subscribe(port, topic=LETTERS_TOPIC, subscription=name, max_in_flight=256)
    rest, rejected = b"", 0
    while rejected < count:
        data = rest + connection.recv(wire.READ_BYTES)
        found = _MESSAGE_ID.findall(data)
        rest = data[data.rfind(found[-1]) + 36 :] if found else data
        connection.sendall(b"".join(_reject_frames(found, rejected + len(found) >= count)))
        rejected += len(found)
    while b'"done"' not in rest:
        rest += connection.recv(wire.READ_BYTES)
    connection.close()


def _reject_frames(found: list[bytes], is_last: bool) -> Iterator[bytes]:
    for number, message_id in enumerate(found, 1):
        frame = {"type": "reject", "message_id": message_id.decode(), "reason": "for the bench"}
        if is_last and number == len(found):
            frame["ref"] = "done"
        yield wire.text_frame(json.dumps(frame).encode())
