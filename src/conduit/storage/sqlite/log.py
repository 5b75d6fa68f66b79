"""Writing the log: topics and appends. Runs on the writer's thread only."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import apsw

from conduit.core.message import NewMessage, Retention, TopicRecord
from conduit.errors import Conflict, StoreUnavailable
from conduit.storage.base import TOPIC_GONE
from conduit.storage.sqlite import former, tenants
from conduit.storage.sqlite.bulk import Insert, Statement, Value, execute_all, rows, transaction
from conduit.storage.sqlite.ids import id_bytes
from conduit.storage.sqlite.mark import Mark

_APPEND = Insert("incoming_messages", width=10)
_CREATE = """
INSERT INTO topics (tenant, name, epoch, created_at_ms, max_age_s, max_messages, max_bytes)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (tenant, name) DO NOTHING
RETURNING topic_id
"""


class Log:
    """The one writer's view: the last number of every topic, as committed.

    Nobody else writes to the file, so numbers are given here and the batch is one INSERT. The view
    changes after a commit only: a failed one leaves nothing to undo.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self._last_seqs: dict[int, int] = {}
        self.learn(connection)
        self.mark: Mark | None = None
        """What knows the last message, once it is certain which database this is."""

    def learn(self, connection: apsw.Connection) -> None:
        """Begin anew with what is in the file."""
        self._last_seqs = dict(rows(connection, "SELECT topic_id, last_seq FROM topics"))

    def create_topic(
        self,
        connection: apsw.Connection,
        tenant: str,
        name: str,
        retention: Retention,
        now_ms: int,
    ) -> TopicRecord:
        """See `Store.topic_create`."""
        created = self.create_topics(connection, tenant, [name], retention, now_ms)
        if not created:
            raise Conflict(f"topic {name!r} exists", code="topic_exists")
        return created[0]

    def create_topics(
        self,
        connection: apsw.Connection,
        tenant: str,
        names: Sequence[str],
        retention: Retention,
        now_ms: int,
    ) -> list[TopicRecord]:
        """See `Store.topics_create`."""
        bounds = (retention.max_age_s, retention.max_messages, retention.max_bytes)
        created = []
        with transaction(connection):
            tenants.check(connection, tenant)
            for name in names:
                epoch = secrets.token_hex(8)
                values = (tenant, name, epoch, now_ms)
                for (topic_id,) in rows(connection, _CREATE, (*values, *bounds)):
                    created.append(TopicRecord(topic_id, *values, 1, 0, 0, retention))
        self._last_seqs.update((record.topic_id, 0) for record in created)
        return created

    def update_topic(
        self, connection: apsw.Connection, topic_id: int, retention: Retention
    ) -> None:
        """See `Store.topic_update`."""
        bounds = (retention.max_age_s, retention.max_messages, retention.max_bytes)
        connection.execute(
            "UPDATE topics SET max_age_s = ?, max_messages = ?, max_bytes = ? WHERE topic_id = ?",
            (*bounds, topic_id),
        )

    def delete_topic(
        self, connection: apsw.Connection, topic_id: int, followers: Sequence[int], now_ms: int
    ) -> None:
        """See `Store.topic_delete`."""
        delete: Statement = ("DELETE FROM topics WHERE topic_id = ?", [topic_id])
        execute_all(connection, [*former.remember(topic_id, followers, now_ms), delete])
        self._last_seqs.pop(topic_id, None)

    def append(self, connection: apsw.Connection, batch: Sequence[NewMessage]) -> list[int]:
        """See `Store.append`."""
        numbered: dict[int, int] = {}
        seqs: list[int] = []
        stored: list[tuple[Value, ...]] = []
        for new in batch:
            topic_id = new.topic_id
            last_seq = numbered.get(topic_id) or self._last_seqs.get(topic_id)
            if last_seq is None:
                seqs.append(TOPIC_GONE)
                continue
            numbered[topic_id] = seq = last_seq + 1
            seqs.append(seq)
            stored.append(_row(new, seq))
        try:
            execute_all(connection, list(_APPEND.statements(stored)))
        except apsw.ConstraintError as error:
            if getattr(error, "extendedresult", None) == apsw.SQLITE_CONSTRAINT_DATATYPE:
                raise
            # No message can break a rule of the tables: its number or its id is there already.
            self.learn(connection)
            raise StoreUnavailable(
                "the database has rows that this server did not store: another program writes to it; stop "
                f"that ({error})"
            ) from error
        self._last_seqs.update(numbered)
        if stored and self.mark is not None:
            self.mark.note(*next(reversed(numbered.items())))
        return seqs


def _row(new: NewMessage, seq: int) -> tuple[Value, ...]:
    size = len(new.payload)
    if new.key is not None:
        size += len(new.key.encode())
    if new.headers is not None:
        size += len(new.headers)
    return (
        new.topic_id,
        seq,
        id_bytes(new.message_id),
        new.published_at_ms,
        size,
        new.key,
        new.headers,
        new.payload,
        new.idempotency_key,
        new.payload_hash,
    )
