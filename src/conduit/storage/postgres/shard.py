"""One database of the log: topics with their messages and idempotency keys, and the connections to it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from conduit.core.message import Message, NewMessage, Retention, TopicRecord
from conduit.errors import ConduitError
from conduit.storage.base import Appended, Changes, Extent, KnownKey, Rule, Trimmed
from conduit.storage.postgres import (
    changes,
    copies,
    durability,
    housekeeping,
    keys,
    migrations,
    placing,
    reads,
    segments,
    topics,
)
from conduit.storage.postgres.claims import Claims
from conduit.storage.postgres.database import MAINTENANCE_TIMEOUT_S, Database, within
from conduit.storage.postgres.extents import Extents
from conduit.storage.postgres.lane import Lane
from conduit.storage.postgres.nodes import PostgresNodes
from conduit.storage.postgres.presence import Presence
from conduit.storage.postgres.writer import Writer, fence_all

if TYPE_CHECKING:
    from conduit.storage.postgres.database import Connection

logger = logging.getLogger(__name__)

# Between two looks at the segments and at the settings.
MAINTENANCE_INTERVAL_S = 60.0


class Shard:
    """One database. Probe its `database`, `open` it, and give it its `number`, before anything else."""

    kind = "postgresql"

    def __init__(
        self, url: str, *, allow_unsafe: bool, rules: segments.Rules, keys_window_s: float
    ) -> None:
        self.database = Database(url)
        self.number = 0
        self.settings: dict[str, str] = {}
        self.copied: str | None = None
        """See `Store.copied`."""
        self._allow_unsafe = allow_unsafe
        self._rules = rules
        self.lane = Lane(self.database)
        self.claims = Claims(self.database, self.lane)
        self.presence = Presence()
        self._table_oid: int | None = None
        self.nodes = PostgresNodes(self.database)
        self._writer = Writer(self.database, keys_window_s)
        self._extents = Extents()
        self._maintained_at = float("-inf")

    async def open(self) -> None:
        """Raises StoreUnavailable when the database cannot be used, is not durable, or was migrated by a
        newer Conduit."""
        connection = await self.database.connect()
        try:
            await within(MAINTENANCE_TIMEOUT_S, connection, self._prepare(connection))
        finally:
            connection.terminate()
        await self.database.open_pools()

    async def _prepare(self, connection: Connection) -> None:
        durability.check_version(connection)
        settings = await durability.read(connection)
        durability.check(settings, allow_unsafe=self._allow_unsafe)
        if unsafe := durability.unsafe(settings):
            logger.warning("PostgreSQL runs with %s off: a crash loses what was acked", unsafe)
        for applied in await migrations.migrate(connection, contract=False):
            logger.info("schema version %d (%s) is applied", applied.version, applied.name)
        self.settings = await durability.read(connection)
        if (why := durability.why_open(self.settings)) is not None:
            logger.warning("row-level security does not keep tenants apart: %s", why)
        self.copied = await copies.why_copied(connection)
        self._table_oid = await copies.table_oid(connection)
        # What is read from now on, topics and idempotency keys, has all of a killed predecessor's.
        await fence_all(connection)

    async def close(self) -> None:
        """Finish what was begun and give up all connections. Idempotent."""
        await self.nodes.close()
        await self._writer.close()
        # A database that does not answer is not waited for.
        if self.presence.is_told:
            with suppress(ConduitError):
                await self.database.prove(self.presence.leave)
        await self.database.close()

    async def identity(self) -> placing.Identity | None:
        """Which shard of which log it is; None if it was not given any yet."""
        return await self.database.ask(placing.identity)

    async def become(self, identity: placing.Identity) -> placing.Identity:
        """Record what it is, unless it has been recorded; returns what is."""
        return await self.database.write(placing.become, identity)

    async def renew(self, epochs: Mapping[int, str]) -> None:
        """See `Store.renew`."""
        await self.database.maintain(copies.renew, epochs)
        self.copied = None

    async def trust(self) -> None:
        """See `Store.trust`."""
        await self.database.write(copies.trust)
        self.copied = None

    # Topics ---------------------------------------------------------------------------------------

    async def topics(self) -> list[TopicRecord]:
        """Those whose messages are here."""
        return await self.database.ask(reads.topics, self.number)

    async def topics_of(self, topic_ids: list[int]) -> list[TopicRecord]:
        """See `Store.topics_of`: topics whose messages are here."""
        return await self.database.ask(reads.topics_of, topic_ids)

    async def extents(self, tenant: str, prefix: str) -> list[Extent]:
        """Those whose messages are here and whose names begin like this."""
        return await self.database.ask(reads.extents, self.number, tenant, prefix)

    async def first_seqs(self) -> list[tuple[int, int]]:
        """(topic id, first number) of those whose messages are here, and that do not begin at 1."""
        return await self.database.ask(reads.first_seqs, self.number)

    async def extents_of(self, topic_ids: list[int]) -> list[Extent]:
        """See `Store.extents`: topics whose messages are here."""
        return await self.database.ask(reads.extents_of, topic_ids)

    async def topic_update(self, topic_id: int, retention: Retention) -> None:
        """See `Store.topic_update`."""
        await self.database.write(topics.update, topic_id, retention)

    def forget(self, topic_id: int) -> None:
        """The topic is deleted."""
        self._extents.forget(topic_id)

    # The log --------------------------------------------------------------------------------------

    async def append(self, batch: Sequence[NewMessage]) -> list[Appended]:
        """See `Store.append`."""
        return await self._writer.append(batch)

    async def prove(self, size_bytes: int) -> None:
        """See `Appender.prove`."""
        await self.database.prove(self._prove, size_bytes)

    async def _prove(self, connection: Connection, size_bytes: int) -> None:
        """Also sees whether these are the tables that it was opened with."""
        if await copies.table_oid(connection) != self._table_oid:
            self.database.refuse(copies.RESTORED)
            self.database.check()
        await self.presence.prove(connection, size_bytes)

    async def read(self, page: reads.Page) -> list[Message]:
        """See `Store.read`."""
        return await self.database.read(reads.read, self._extents, page)

    async def messages(self, topic_id: int, seqs: Iterable[int]) -> list[Message]:
        """Those of these numbers that are stored."""
        return await self.database.ask(reads.messages, self._extents, topic_id, list(seqs))

    async def find(self, tenant: str, message_id: str) -> tuple[int, Message] | None:
        """See `Store.find`."""
        return await self.database.read(reads.find, tenant, message_id)

    async def seqs_at(self, topic_ids: Iterable[int], time_ms: int) -> dict[int, int]:
        """`Store.seq_at` for many topics; those that are not here are left out."""
        return await self.database.read(reads.seqs_at, topic_ids, time_ms)

    async def last_stamps(self, topic_ids: list[int]) -> list[tuple[int, int]]:
        """See `Store.last_stamps`."""
        return await self.database.read(reads.last_stamps, topic_ids)

    async def trim(self, topic_id: int, rule: Rule, limit: int) -> Trimmed:
        """See `Store.trim`."""
        trim, extents = housekeeping.trim, self._extents
        return await self.database.maintain(trim, extents, topic_id, rule, limit)

    async def purge(self, limit: int) -> int:
        """See `Store.purge`. Also looks after the segments, once a minute."""
        removed = await self.database.maintain(segments.purge, limit)
        now = asyncio.get_running_loop().time()
        if removed < limit and now >= self._maintained_at + MAINTENANCE_INTERVAL_S:
            removed += await self.database.maintain(self._maintain, limit - removed)
            if removed < limit:
                self._maintained_at = now
        return removed

    async def changes(self, position: str | None) -> Changes:
        """See `Store.changes`: those of this database."""
        return await self.database.ask(changes.since, position)

    async def _maintain(self, connection: Connection, limit: int) -> int:
        settings = await durability.read(connection)
        if durability.unsafe(settings) != durability.unsafe(self.settings):
            logger.warning("PostgreSQL's settings changed: %s", settings)
        self.settings = settings
        await housekeeping.forget_writers(connection)
        await segments.rotate(connection, self._rules)
        await segments.drop_unneeded(connection, self._rules)
        removed = await changes.forget(connection, limit)
        return removed + await segments.sweep(connection, self._rules, limit - removed)

    # Idempotency ----------------------------------------------------------------------------------

    async def known_keys(self, since_ms: int, limit: int) -> tuple[list[KnownKey], dict[int, str]]:
        """See `Store.known_keys`; and whose each of their topics is."""
        return await self.database.ask(keys.known_keys, since_ms, limit)

    async def forget_keys(self, before_ms: int, limit: int) -> int:
        """See `Store.forget_keys`."""
        return await self.database.maintain(housekeeping.forget_keys, before_ms, limit)
