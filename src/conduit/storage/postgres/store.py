"""The PostgreSQL store: `Store` on one database, which may have other writers.

Appends go through one `Writer`, on a connection of its own. All else goes through two pools, so that
reading the log never waits behind the control plane, nor the other way round.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import uuid_utils

from conduit.core.message import (
    DeadLetter,
    Death,
    Message,
    NewMessage,
    Progress,
    Retention,
    SubscriptionRecord,
    SubscriptionSettings,
    TopicRecord,
)
from conduit.storage.base import DeadFilter, KnownKey, Start, Trimmed
from conduit.storage.fences import allowed
from conduit.storage.postgres import (
    dead_letters,
    durability,
    housekeeping,
    migrations,
    reads,
    segments,
    subscriptions,
    topics,
)
from conduit.storage.postgres.database import MAINTENANCE_TIMEOUT_S, Database, within
from conduit.storage.postgres.extents import Extents
from conduit.storage.postgres.writer import Writer, fence_all

if TYPE_CHECKING:
    from conduit.storage.postgres.database import Connection

logger = logging.getLogger(__name__)

# Between two looks at the segments and at the settings.
MAINTENANCE_INTERVAL_S = 60.0


class PostgresStore:
    """A store in the schema `conduit` of the database at `url` (postgresql://…), created there if need be.

    Cancelling a call ends the waiting, not the work: what was asked is still done.
    """

    kind = "postgresql"

    def __init__(
        self, url: str, *, allow_unsafe: bool = False, rules: segments.Rules | None = None
    ) -> None:
        self._database = Database(url)
        self._allow_unsafe = allow_unsafe
        self._rules = rules or segments.Rules()
        self._writer = Writer(self._database)
        self._extents = Extents()
        self._id = str(uuid_utils.uuid7())
        self._settings: dict[str, str] = {}
        self._maintained_at = float("-inf")

    @property
    def durable(self) -> bool:
        """False only if PostgreSQL's settings lose commits, and that is allowed."""
        return not self._settings or not durability.unsafe(self._settings)

    async def open(self) -> None:
        """Raises StoreUnavailable when the database cannot be used, is not durable, or was migrated by a
        newer Conduit."""
        await self._database.probe()
        connection = await self._database.connect()
        try:
            await within(MAINTENANCE_TIMEOUT_S, connection, self._prepare(connection))
        finally:
            connection.terminate()
        await self._database.open_pools()

    async def _prepare(self, connection: Connection) -> None:
        settings = await durability.read(connection)
        durability.check(settings, allow_unsafe=self._allow_unsafe)
        self._settings = settings
        if unsafe := durability.unsafe(settings):
            logger.warning("PostgreSQL runs with %s off: a crash loses what was acked", unsafe)
        for applied in await migrations.migrate(connection, contract=False):
            logger.info("schema version %d (%s) is applied", applied.version, applied.name)
        # What is read from now on, topics and idempotency keys, has all of a killed predecessor's.
        await fence_all(connection)

    async def close(self) -> None:
        await self._writer.close()
        await self._database.close()

    def describe(self) -> dict[str, object]:
        """`kind`, `durable` and, once open, the PostgreSQL settings that durability rests on."""
        described: dict[str, object] = {"kind": self.kind, "durable": self.durable}
        if self._settings:
            described |= {**self._settings, "pooler": self._database.has_pooler}
        return described

    # Topics ---------------------------------------------------------------------------------------

    async def topics(self) -> list[TopicRecord]:
        return await self._database.ask(reads.topics)

    async def topic_create(
        self, tenant: str, name: str, retention: Retention, now_ms: int
    ) -> TopicRecord:
        return await self._database.write(topics.create, tenant, name, retention, now_ms)

    async def topic_update(self, topic_id: int, retention: Retention) -> None:
        await self._database.write(topics.update, topic_id, retention)

    async def topic_delete(self, topic_id: int) -> None:
        self._extents.forget(topic_id)
        await self._database.write(topics.delete, topic_id)

    # The log --------------------------------------------------------------------------------------

    async def append(self, batch: Sequence[NewMessage]) -> list[int]:
        return await self._writer.append(batch)

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
        return await self._database.read(reads.read, self._extents, page)

    async def find(self, tenant: str, message_id: str) -> tuple[int, Message] | None:
        return await self._database.read(reads.find, tenant, message_id)

    async def seq_at(self, topic_id: int, time_ms: int) -> int:
        return await self._database.read(reads.seq_at, topic_id, time_ms)

    async def trim(self, topic_id: int, retention: Retention, now_ms: int, limit: int) -> Trimmed:
        trim, extents = housekeeping.trim, self._extents
        return await self._database.maintain(trim, extents, topic_id, retention, now_ms, limit)

    async def purge(self, limit: int) -> int:
        """Also looks after the segments, once a minute."""
        removed = await self._database.maintain(segments.purge, limit)
        now = asyncio.get_running_loop().time()
        if removed < limit and now >= self._maintained_at + MAINTENANCE_INTERVAL_S:
            removed += await self._database.maintain(self._maintain, limit - removed)
            if removed < limit:
                self._maintained_at = now
        return removed

    async def _maintain(self, connection: Connection, limit: int) -> int:
        settings = await durability.read(connection)
        if durability.unsafe(settings) != durability.unsafe(self._settings):
            logger.warning("PostgreSQL's settings changed: %s", settings)
        self._settings = settings
        await housekeeping.forget_writers(connection)
        await segments.rotate(connection, self._rules)
        await segments.drop_unneeded(connection, self._rules)
        return await segments.sweep(connection, self._rules, limit)

    async def cleans_up(self) -> bool:
        return await self._database.maintain(housekeeping.claim, self._id)

    # Idempotency ----------------------------------------------------------------------------------

    async def known_keys(self, since_ms: int, limit: int) -> list[KnownKey]:
        return await self._database.ask(reads.known_keys, since_ms, limit)

    async def forget_keys(self, before_ms: int, limit: int) -> int:
        return await self._database.maintain(housekeeping.forget_keys, before_ms, limit)

    # Durable subscriptions ------------------------------------------------------------------------

    async def subscriptions(self) -> list[SubscriptionRecord]:
        return await self._database.ask(subscriptions.all_records)

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
        return await self._database.write(subscriptions.create, record, start)

    async def subscription_update(
        self, subscription_id: int, settings: SubscriptionSettings, paused: bool
    ) -> None:
        await self._database.write(subscriptions.update, subscription_id, settings, paused)

    async def subscription_delete(self, subscription_id: int) -> None:
        await self._database.write(subscriptions.delete, subscription_id)

    async def subscription_claim(self, subscription_id: int) -> int:
        return await self._database.write(subscriptions.claim, subscription_id)

    async def positions(self, tenant: str, pattern: str, start: Start) -> list[tuple[int, int]]:
        return await self._database.ask(subscriptions.positions, tenant, pattern, start)

    async def progress(self, subscription_id: int) -> list[Progress]:
        return await self._database.ask(subscriptions.progress, subscription_id)

    async def settle(self, progress: Sequence[Progress], deaths: Sequence[Death]) -> set[int]:
        if not progress and not deaths:
            return set()
        return await self._database.write(_settle, progress, deaths)

    async def seek(self, subscription_id: int, positions: Sequence[tuple[int, int]]) -> None:
        rows = [Progress(subscription_id, topic_id, at, at) for topic_id, at in positions]
        await self.settle(rows, [])

    # Dead letters ---------------------------------------------------------------------------------

    async def dead_list(
        self, tenant: str, which: DeadFilter, *, limit: int, before_id: str | None = None
    ) -> list[DeadLetter]:
        return await self._database.ask(dead_letters.page, tenant, which, limit, before_id)

    async def dead_count(self, tenant: str, which: DeadFilter) -> int:
        return await self._database.ask(dead_letters.count, tenant, which)

    async def dead_get(self, tenant: str, dead_id: str) -> DeadLetter | None:
        return await self._database.ask(dead_letters.get, tenant, dead_id)

    async def dead_of(self, subscription: str, topic_id: int, seq: int) -> DeadLetter | None:
        return await self._database.ask(dead_letters.of, subscription, topic_id, seq)

    async def dead_mark(self, dead_ids: Sequence[str], redriven_at_ms: int) -> None:
        await self._database.write(dead_letters.mark, dead_ids, redriven_at_ms)

    async def dead_delete(self, tenant: str, dead_ids: Sequence[str]) -> int:
        return await self._database.write(dead_letters.delete, tenant, dead_ids)

    async def dead_trim(self, before_ms: int, max_count: int, limit: int) -> int:
        return await self._database.maintain(dead_letters.trim, before_ms, max_count, limit)


async def _settle(
    connection: Connection, progress: Sequence[Progress], deaths: Sequence[Death]
) -> set[int]:
    if not deaths:
        return await subscriptions.put(connection, progress)
    async with connection.transaction():
        refused = await subscriptions.put(connection, progress)
        _, deaths = allowed(refused, progress, deaths)
        await dead_letters.put(connection, deaths)
    return refused
