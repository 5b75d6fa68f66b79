"""Appending to the log of one database: one statement for each batch, on a connection of its own.

An append is a transaction of one round trip. If its connection ends before the answer, nobody knows
whether it was committed. Then a new connection first takes the token of this writer further: that waits
for a transaction of the old connection that still runs, and a statement of it that comes later finds the
token changed and does nothing. `last_batch` then says what became of the batch, and its message ids
where it is. Taking the token is itself a commit, so with a synchronous standby it is not answered before
the standby has the batch too. Nothing is ever cancelled.

A batch in which a message has an idempotency key that the log knows stores nothing, and is sent again
without what is known.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import asyncpg
import uuid_utils

from conduit.core.message import NewMessage
from conduit.errors import KeyConflict, OutcomeUnknown, StoreUnavailable
from conduit.storage.base import TOPIC_GONE, Appended, KnownKey
from conduit.storage.postgres import copies, scope
from conduit.storage.postgres.batch import SEGMENT, WRITER, Batch
from conduit.storage.postgres.database import CALL_TIMEOUT_S, Database, within
from conduit.storage.postgres.errors import is_lost, is_passing, translated, why_lost
from conduit.storage.postgres.housekeeping import FORGET_WRITERS_AFTER_S

if TYPE_CHECKING:
    from conduit.storage.postgres.database import Connection

logger = logging.getLogger(__name__)

# A commit that takes longer has lost its connection, or might as well have.
ANSWER_TIMEOUT_S = 15.0
# How long a batch of which nothing is stored is tried again while the database cannot be reached. Less
# than a publish waits: its publishers then learn that it is not stored.
TRY_FOR_S = 2.0
# Between two tries, and between two lines in the log that say so.
PAUSE_S = 0.1
LOG_INTERVAL_S = 10.0

FORGOTTEN = (
    "PostgreSQL lacks messages that it had committed: an asynchronous standby took over. Nothing is stored "
    "until the server is restarted; it then gives all topics new epochs"
)

FOREIGN = (
    "PostgreSQL has rows in the schema conduit that Conduit did not store: another program writes there; "
    "stop that"
)

# A token of an earlier row with this id is never given again, should the row have been removed.
_REGISTER = """
INSERT INTO conduit.writers (writer_id, token) VALUES ($1, extract(epoch FROM now()) * 1000)
ON CONFLICT (writer_id) DO NOTHING
"""
# $2: the topic of the last message that was answered.
_FENCE = """
UPDATE conduit.writers SET token = token + 1 WHERE writer_id = $1
RETURNING token, last_batch,
  (SELECT segment FROM conduit.segments WHERE retired_at IS NULL) AS segment,
  (SELECT last_seq FROM conduit.topics WHERE topic_id = $2) AS last_seq
"""
# In the order of the keys, as everybody who takes several.
_LOCK_ALL = "SELECT FROM conduit.writers ORDER BY writer_id FOR UPDATE"
_FENCE_ALL = "UPDATE conduit.writers SET token = token + 1"
_FOUND = "SELECT message_id, seq FROM conduit.messages WHERE message_id = ANY ($1::uuid[])"

# What keys of a batch stand for, by the places of their messages in it.
Known = dict[int, KnownKey]


class _Lost(Exception):
    """The connection ended before the answer."""


class _Forgotten(StoreUnavailable):
    """The database does not have what it has answered: an asynchronous standby took over."""


async def fence_all(connection: Connection) -> None:
    """When this returns, an append that was sent before is stored, or never will be.

    A process that was killed leaves appends behind, which run on or are still on their way. Writers that are
    alive find their token changed, with nothing stored, and take a new one.
    """
    async with connection.transaction():
        await connection.execute(_LOCK_ALL)
        await connection.execute(_FENCE_ALL)


async def _fence(connection: Connection, writer_id: str, topic_id: int) -> asyncpg.Record | None:
    async with scope.across(connection):
        return await connection.fetchrow(_FENCE, writer_id, topic_id)


class Writer:
    """The one of this process that appends to a database. An idempotency key is known for `window_s`."""

    def __init__(self, database: Database, window_s: float) -> None:
        self._database = database
        self._window_s = window_s
        self._id = str(uuid_utils.uuid7())
        self._connection: Connection | None = None
        self._token = 0
        self._segment = 0
        # Of the newest batch here, and of the last one that the database has, read with the token.
        self._number = 0
        self._last_number = 0
        # Of the last batch that was answered: its number, and its last message's topic and number.
        self._answered = (0, 0, 0)
        self._answered_at = 0.0
        self._next_log_at = 0.0
        # In the order of the calls.
        self._turn = asyncio.Lock()
        self._is_closed = False

    async def close(self) -> None:
        """Give up the connection when what was begun has an outcome, or cannot get one. Idempotent."""
        self._is_closed = True
        async with self._turn:
            self._drop()

    async def append(self, batch: Sequence[NewMessage]) -> list[Appended]:
        """See `Store.append`. Goes on to its end if the caller is cancelled."""
        if not batch:
            return []
        task = asyncio.get_running_loop().create_task(self._append(batch))
        try:
            return await asyncio.shield(task)
        finally:
            # Its error knows this frame, and the frame would know the error's task.
            del task

    async def _append(self, batch: Sequence[NewMessage]) -> list[Appended]:
        try:
            columns = Batch(batch, self._window_s)
        except UnicodeEncodeError as error:
            raise translated(error) from error
        async with self._turn:
            self._database.check()
            places = list[Appended]()
            stored = await self._stored(columns)
            if isinstance(stored, dict):
                places += await self._stored_without(columns, stored)
            else:
                places += stored
            last = places[-1]
            seq = last if isinstance(last, int) else last.seq
            self._answered = (self._number, batch[-1].topic_id, seq)
            self._answered_at = self._now()
            return places

    async def _stored_without(self, batch: Batch, known: Known) -> list[Appended]:
        """Store what is left of a batch of which so much is known. Raises as `_stored`, and KeyConflict if a
        key stands for another payload; then nothing is stored."""
        places: list[Appended] = [TOPIC_GONE] * len(batch.messages)
        left = list(range(len(places)))
        while True:
            conflicts = {
                left[at]: key.key
                for at, key in known.items()
                if not key.stands_for(batch.messages[at])
            }
            if conflicts:
                raise KeyConflict(conflicts)
            for at, key in known.items():
                # One that is ours was stored when its connection ended.
                is_ours = key.message_id == batch.messages[at].message_id
                places[left[at]] = key.seq if is_ours else key
            rest = [at for at in range(len(left)) if at not in known]
            if not rest:
                return places
            left = [left[at] for at in rest]
            batch = Batch([batch.messages[at] for at in rest], self._window_s)
            stored = await self._stored(batch)
            if not isinstance(stored, dict):
                break
            known = stored
        for index, seq in zip(left, stored, strict=True):
            places[index] = seq
        return places

    async def _stored(self, batch: Batch) -> list[int] | Known:
        """Send it until its outcome is known; nothing of it is stored if keys of it are known. Raises
        StoreUnavailable if nothing of it is stored, OutcomeUnknown if the store is closed before that is
        known."""
        self._number += 1
        give_up_at = self._now() + TRY_FOR_S
        is_unknown = False
        while True:
            try:
                connection = await self._connected()
                if is_unknown and (seqs := await self._outcome(connection, batch)) is not None:
                    return seqs
            except _Forgotten as error:
                self._say(error.detail)
                raise
            except StoreUnavailable as error:
                # Until the outcome is known there is no answer, however long that takes.
                if is_unknown and self._is_closed:
                    raise OutcomeUnknown("the store is closed; it may be stored") from error
                if not is_unknown and (self._is_closed or self._now() >= give_up_at):
                    raise
                self._say(f"an append waits for PostgreSQL: {error}")
            else:
                is_unknown = False
                try:
                    stored = await self._send(connection, batch)
                    if stored is not None:
                        return stored
                except _Lost as lost:
                    is_unknown = True
                    self._say(f"the connection ended before a commit was answered ({lost})")
            await asyncio.sleep(PAUSE_S if self._connection is None else 0)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _say(self, what: str) -> None:
        if self._now() >= self._next_log_at:
            logger.warning(what)
            self._next_log_at = self._now() + LOG_INTERVAL_S

    async def _connected(self) -> Connection:
        """A connection with the newest token. Raises StoreUnavailable."""
        if self._connection is None or self._connection.is_closed():
            self._drop()
            connection = await self._database.connect()
            try:
                await within(CALL_TIMEOUT_S, connection, connection.execute(_REGISTER, self._id))
                fence = _fence(connection, self._id, self._answered[1])
                row = await within(CALL_TIMEOUT_S, connection, fence)
                assert row is not None
                self._token, self._last_number, self._segment, last_seq = row
                await self._compare(connection, last_seq)
            except BaseException:
                connection.terminate()
                raise
            self._connection = connection
        return self._connection

    async def _compare(self, connection: Connection, last_seq: int | None) -> None:
        """See to it that the database has what was answered last, and so all before it. It may be another
        server that took over. Raises StoreUnavailable if not."""
        number, _, seq = self._answered
        if not number:
            return
        # Without a number the topic was deleted, or it is forgotten as well.
        if last_seq is None and self._now() - self._answered_at > FORGET_WRITERS_AFTER_S / 2:
            # The row of this writer may be a new one, because it has not appended for so long.
            return
        is_there = self._last_number >= number if last_seq is None else last_seq >= seq
        remember = copies.trust if is_there else copies.distrust
        await within(CALL_TIMEOUT_S, connection, remember(connection))
        if not is_there:
            raise _Forgotten(FORGOTTEN)

    async def _send(self, connection: Connection, batch: Batch) -> list[int] | Known | None:
        """The numbers, or what keys of it stand for; None if it is to be sent again. Raises _Lost,
        StoreUnavailable, StoreDataError."""
        statement = batch.statement(self._segment)
        # Ending the connection is not cancelling: the server may still commit.
        give_up = asyncio.get_running_loop().call_later(ANSWER_TIMEOUT_S, connection.terminate)
        try:
            rows = await connection.fetch(
                statement, self._id, self._token, self._number, *batch.values
            )
        except asyncpg.UndefinedTableError:
            # The segment is gone: a new connection says which one is next.
            self._drop()
            return None
        except Exception as error:
            if is_lost(error) or connection.is_closed():
                self._drop()
                raise _Lost(why_lost(error)) from error
            if is_passing(error):
                # Both sides of a conflict that come again at once would only meet again.
                await asyncio.sleep(PAUSE_S)
                return None
            if isinstance(error, asyncpg.IntegrityConstraintViolationError):
                # No message can break a rule of the tables: its number or its id is there already.
                raise StoreUnavailable(FOREIGN) from error
            raise translated(error) from error
        finally:
            give_up.cancel()
        known = [row for row in rows if row[2] is not None] if batch.is_keyed else ()
        if known:
            return batch.known(known)
        answer = {row[0]: row[1] for row in rows}
        segment = answer.pop(SEGMENT)
        if answer.pop(WRITER, 0):
            return batch.seqs(answer)
        if segment == self._segment:
            # The writer's row was removed, or a newer connection has its token: begin anew.
            self._drop()
        self._segment = segment
        return None

    async def _outcome(self, connection: Connection, batch: Batch) -> list[int] | None:
        """The numbers of a batch if it was committed before its answer was lost; None if it is to be sent
        again, also because it stored nothing for its keys."""
        if self._last_number != self._number:
            return None
        try:
            found = connection.fetch(_FOUND, batch.message_ids)
            rows = await within(CALL_TIMEOUT_S, connection, found)
        except StoreUnavailable:
            self._drop()
            raise
        seqs = {str(row["message_id"]): row["seq"] for row in rows}
        if not seqs and batch.is_keyed:
            self._number += 1
            return None
        return [seqs.get(message_id, TOPIC_GONE) for message_id in batch.message_ids]

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
