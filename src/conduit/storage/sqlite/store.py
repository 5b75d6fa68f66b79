"""The SQLite store: `Store` as one file of one process.

One thread writes, in the order of the calls; two threads read what is committed, so that neither
waits for the other (WAL). A call carries its whole batch to its thread and back in one future.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

import apsw

from conduit.core.message import (
    DeadLetter,
    DeadPlace,
    Death,
    Message,
    NewMessage,
    Progress,
    Redriven,
    Retention,
    SubscriptionRecord,
    SubscriptionSettings,
    TopicRecord,
)
from conduit.errors import StoreUnavailable
from conduit.storage.base import (
    Appender,
    Extent,
    Former,
    Heard,
    KnownKey,
    Settled,
    Start,
    Trimmed,
)
from conduit.storage.dead import Losses, Shelf
from conduit.storage.dead_letters import DeadBounds, DeadFilter, DeadTally, Loss
from conduit.storage.fences import Fences, allowed
from conduit.storage.sqlite import (
    dead_letters,
    dead_removal,
    facts,
    former,
    housekeeping,
    reads,
    subscriptions,
)
from conduit.storage.sqlite.bulk import execute_all
from conduit.storage.sqlite.database import Database, undo_failed
from conduit.storage.sqlite.errors import translated
from conduit.storage.sqlite.worker import Worker


class _Open:
    """What exists while the store is open."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.log = database.log
        self.writer = Worker("conduit-sqlite-writer", [database.writer], undo_failed)
        self.readers = Worker("conduit-sqlite-reader", database.readers)

    def close(self) -> None:
        """Finish every call, then give up the file. Blocks."""
        self.readers.close()
        self.writer.close()
        self.database.close()


class SqliteStore:
    """A durable store in the file `path`; its directory is created. One process owns the file.

    Cancelling a call ends the waiting, not the work: what was asked is still done, in its turn.
    """

    kind = "sqlite"
    durable = True
    shards: Mapping[int, Appender] = {}

    def __init__(self, path: Path) -> None:
        self._path = path
        self._state: _Open | None = None
        self._settings: dict[str, object] = {}
        self._fences = Fences()
        self._losses = Losses()

    async def open(self) -> None:
        """Raises StoreUnavailable when the file cannot be used, is not durable, belongs to another
        server, or was written by a newer Conduit."""
        database = await asyncio.to_thread(_open, self._path)
        self._settings = database.settings
        self._state = _Open(database)

    async def close(self) -> None:
        state, self._state = self._state, None
        if state is not None:
            await asyncio.to_thread(state.close)

    def describe(self) -> dict[str, object]:
        """`kind`, `durable` and, once open, the SQLite settings that durability rests on."""
        return {"kind": self.kind, "durable": self.durable, **self._settings}

    @property
    def _db(self) -> _Open:
        if self._state is None:
            raise StoreUnavailable("the store is not open")
        return self._state

    # What it knows about itself -------------------------------------------------------------------

    async def fact(self, name: str) -> bytes | None:
        return await self._db.readers.call(facts.get, name)

    async def keep_fact(self, name: str, value: bytes) -> None:
        await self._db.writer.call(facts.keep, name, value)

    @property
    def copied(self) -> str | None:
        return self._db.database.copied

    async def trust(self) -> None:
        await self._db.writer.call(lambda _: self._db.database.renew({}))

    async def renew(self, epochs: Mapping[int, str]) -> None:
        await self._db.writer.call(lambda _: self._db.database.renew(epochs))

    # Topics ---------------------------------------------------------------------------------------

    async def topics(self) -> list[TopicRecord]:
        return await self._db.readers.call(reads.topics)

    async def topic_create(
        self, tenant: str, name: str, retention: Retention, now_ms: int
    ) -> TopicRecord:
        create = self._db.log.create_topic
        return await self._db.writer.call(create, tenant, name, retention, now_ms)

    async def topics_create(
        self, tenant: str, names: Sequence[str], retention: Retention, now_ms: int
    ) -> list[TopicRecord]:
        create = self._db.log.create_topics
        return await self._db.writer.call(create, tenant, names, retention, now_ms)

    async def topic_update(self, topic_id: int, retention: Retention) -> None:
        await self._db.writer.call(self._db.log.update_topic, topic_id, retention)

    async def topic_delete(
        self, topic_id: int, followers: Sequence[int] = (), now_ms: int = 0
    ) -> None:
        delete = self._db.log.delete_topic
        await self._db.writer.call(delete, topic_id, followers, now_ms)

    async def extents(self, topic_ids: Sequence[int]) -> list[Extent]:
        return await self._db.readers.call(reads.extents, topic_ids)

    # The log --------------------------------------------------------------------------------------

    async def append(self, batch: Sequence[NewMessage]) -> list[int]:
        return await self._db.writer.call(self._db.log.append, batch)

    async def read(
        self,
        topic_id: int,
        from_seq: int,
        *,
        limit: int,
        max_bytes: int = 1 << 20,
        descending: bool = False,
    ) -> list[Message]:
        page = reads.Page(topic_id, from_seq, limit, max_bytes, descending)
        return await self._db.readers.call(reads.read, page)

    async def find(self, tenant: str, message_id: str) -> tuple[int, Message] | None:
        return await self._db.readers.call(reads.find, tenant, message_id)

    async def seq_at(self, topic_id: int, time_ms: int) -> int:
        return await self._db.readers.call(reads.seq_at, topic_id, time_ms)

    async def trim(
        self, topic_id: int, retention: Retention, now_ms: int, limit: int, through_seq: int = 0
    ) -> Trimmed:
        trim = housekeeping.trim
        return await self._db.writer.housekeep(
            trim, topic_id, retention, now_ms, limit, through_seq
        )

    async def cleans_up(self) -> bool:
        return True

    async def purge(self, limit: int) -> int:
        return await self._db.writer.housekeep(housekeeping.purge, limit)

    # Idempotency ----------------------------------------------------------------------------------

    async def known_keys(self, since_ms: int, limit: int) -> list[KnownKey]:
        return await self._db.readers.call(reads.known_keys, since_ms, limit)

    async def forget_keys(self, before_ms: int, limit: int) -> int:
        return await self._db.writer.housekeep(housekeeping.forget_keys, before_ms, limit)

    # Durable subscriptions ------------------------------------------------------------------------

    async def subscriptions(self) -> list[SubscriptionRecord]:
        return await self._db.readers.call(subscriptions.all_records)

    async def subscription_create(
        self,
        tenant: str,
        name: str,
        pattern: str,
        settings: SubscriptionSettings,
        start: Start,
        now_ms: int,
    ) -> SubscriptionRecord:
        record = SubscriptionRecord(0, tenant, name, pattern, now_ms, False, settings)
        begins = await self._db.readers.call(subscriptions.begins, tenant, pattern, start)
        return await self._db.writer.call(subscriptions.create, record, begins, start.gaps)

    async def subscription_update(
        self, subscription_id: int, settings: SubscriptionSettings, paused: bool
    ) -> None:
        await self._db.writer.call(subscriptions.update, subscription_id, settings, paused)

    async def subscription_delete(self, subscription_id: int) -> None:
        await self._db.writer.call(subscriptions.delete, subscription_id)

    async def subscription_claim(self, subscription_id: int) -> int:
        # In its turn: what was stored before is there when this returns.
        return await self._db.writer.call(lambda _: self._fences.claim(subscription_id))

    async def positions(self, tenant: str, pattern: str, start: Start) -> list[tuple[int, int]]:
        return await self._db.readers.call(subscriptions.positions, tenant, pattern, start)

    async def progress(
        self, subscription_id: int, topic_ids: Sequence[int] | None = None
    ) -> list[Progress]:
        progress = subscriptions.progress
        return await self._db.readers.call(progress, subscription_id, topic_ids)

    async def progress_in(self, topic_id: int, subscription_ids: Sequence[int]) -> list[Progress]:
        progress_in = subscriptions.progress_in
        return await self._db.readers.call(progress_in, topic_id, subscription_ids)

    async def settled(self, subscription_id: int) -> Settled:
        return await self._db.readers.call(subscriptions.settled, subscription_id)

    async def former(self, subscription_id: int) -> list[Former]:
        return await self._db.readers.call(former.of, subscription_id)

    async def former_heard(self, heard: Sequence[Heard]) -> None:
        await self._db.writer.call(former.heard, heard)

    async def former_add(self, subscription_id: int, gaps: Sequence[Former], now_ms: int) -> None:
        await self._db.writer.call(former.add, subscription_id, gaps, now_ms)

    async def former_trim(self, before_ms: int, limit: int) -> int:
        return await self._db.writer.housekeep(former.trim, before_ms, limit)

    async def settle(
        self,
        progress: Sequence[Progress],
        deaths: Sequence[Death],
        redriven: Sequence[Redriven] = (),
    ) -> set[int]:
        refused = self._fences.refused(progress)
        rows, deaths = allowed(refused, progress), allowed(refused, deaths)
        lost = await self._db.writer.call(_settle, rows, deaths, allowed(refused, redriven))
        for shelf, count in lost:
            self._losses.lost(shelf, count)
        return refused

    async def seek(self, subscription_id: int, positions: Sequence[tuple[int, int]]) -> None:
        await self._db.writer.call(subscriptions.seek, subscription_id, positions)

    # Dead letters ---------------------------------------------------------------------------------

    async def dead_list(
        self, tenant: str, which: DeadFilter, *, limit: int, before_id: str | None = None
    ) -> list[DeadLetter]:
        page = dead_letters.page
        return await self._db.readers.call(page, tenant, which, limit, before_id)

    async def dead_places(
        self, tenant: str, which: DeadFilter, *, limit: int, before_id: str | None = None
    ) -> list[DeadPlace]:
        places = dead_letters.places
        return await self._db.readers.call(places, tenant, which, limit, before_id)

    async def dead_count(self, tenant: str, which: DeadFilter) -> int:
        return await self._db.readers.call(dead_letters.count, tenant, which)

    async def dead_get(self, tenant: str, dead_id: str) -> DeadLetter | None:
        return await self._db.readers.call(dead_letters.get, tenant, dead_id)

    async def dead_find(self, tenant: str, dead_ids: Sequence[str]) -> list[DeadPlace]:
        return await self._db.readers.call(dead_letters.find, tenant, dead_ids)

    async def dead_of(self, subscription: str, topic_id: int, seq: int) -> DeadLetter | None:
        return await self._db.readers.call(dead_letters.of, subscription, topic_id, seq)

    async def dead_tally(self, tenant: str, subscription: str) -> DeadTally:
        return await self._db.readers.call(dead_letters.tally, tenant, subscription)

    async def dead_fate(self, subscription: str, topic_id: int, seq: int) -> str | None:
        return await self._db.readers.call(dead_letters.fate, subscription, topic_id, seq)

    async def dead_delete(self, tenant: str, dead_ids: Sequence[str]) -> int:
        return await self._db.writer.call(dead_removal.delete, tenant, dead_ids)

    async def dead_trim(self, before_ms: int, bounds: DeadBounds, limit: int) -> int:
        trim = dead_removal.trim
        gone = await self._db.writer.housekeep(trim, before_ms, bounds, limit)
        self._losses.dropped(gone)
        return len(gone)

    async def dead_losses(self) -> list[Loss]:
        return self._losses.take()


def _open(path: Path) -> Database:
    try:
        return Database(path)
    except (OSError, apsw.Error) as error:
        raise translated(error) from error


def _settle(
    connection: apsw.Connection,
    progress: Sequence[Progress],
    deaths: Sequence[Death],
    redriven: Sequence[Redriven],
) -> list[tuple[Shelf, int]]:
    rows = subscriptions.progress_statements(progress)
    letters = dead_letters.death_statements(deaths) + dead_letters.redriven_statements(redriven)
    execute_all(connection, [*rows, *letters])
    return dead_letters.lost(connection, deaths) if deaths else []
