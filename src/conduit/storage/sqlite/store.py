"""The SQLite store: `Store` as one file of one process.

One thread writes, in the order of the calls; two threads read what is committed, so that neither
waits for the other (WAL). A call carries its whole batch to its thread and back in one future.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from conduit.core.message import Message, NewMessage, Retention, TopicRecord
from conduit.storage.base import Changes, Extent, KnownKey, Rule, Sizes, Trimmed
from conduit.storage.sqlite import facts, housekeeping, reads, space
from conduit.storage.sqlite.access_calls import AccessCalls


class SqliteStore(AccessCalls):
    """A durable store in the file `path`; its directory is created. One process owns the file.

    Cancelling a call ends the waiting, not the work: what was asked is still done, in its turn.
    """

    # What it knows about itself -------------------------------------------------------------------

    async def fact(self, name: str) -> bytes | None:
        return await self._db.readers.call(facts.get, name)

    async def facts(self, prefix: str) -> dict[str, bytes]:
        return await self._db.readers.call(facts.beginning, prefix)

    async def keep_fact(self, name: str, value: bytes | None) -> None:
        await self._db.writer.call(facts.keep, name, value)

    @property
    def copied(self) -> str | None:
        return self._db.database.copied

    async def trust(self) -> None:
        await self._db.writer.call(lambda _: self._db.database.renew({}))

    async def renew(self, epochs: Mapping[int, str]) -> None:
        await self._db.writer.call(lambda _: self._db.database.renew(epochs))

    async def measure(self) -> Sizes:
        return await self._db.readers.call(space.measure, self._path.resolve())

    async def give_back(self) -> bool:
        return await self._db.writer.housekeep(space.give_back)

    async def prove(self, size_bytes: int) -> None:
        await self._db.writer.prove(self._db.database.prove, size_bytes)

    async def changes(self, position: str | None) -> Changes:
        """Nobody else changes anything."""
        return Changes(position or "")

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

    async def topics_of(self, topic_ids: Sequence[int]) -> list[TopicRecord]:
        return await self._db.readers.call(reads.topics_of, topic_ids)

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

    async def last_stamps(self, topic_ids: Sequence[int]) -> dict[int, int]:
        return await self._db.readers.call(reads.last_stamps, topic_ids)

    async def trim(self, topic_id: int, rule: Rule, limit: int) -> Trimmed:
        return await self._db.writer.housekeep(housekeeping.trim, topic_id, rule, limit)

    async def cleans_up(self) -> bool:
        return True

    async def purge(self, limit: int) -> int:
        removed_count, more = 0, limit > 0
        while more and removed_count < limit:
            purge = housekeeping.purge
            count, more = await self._db.writer.housekeep(purge, limit - removed_count)
            removed_count += count
        return removed_count

    # Idempotency ----------------------------------------------------------------------------------

    async def known_keys(self, since_ms: int, limit: int) -> list[KnownKey]:
        return await self._db.readers.call(reads.known_keys, since_ms, limit)

    async def forget_keys(self, before_ms: int, limit: int) -> int:
        return await self._db.writer.housekeep(housekeeping.forget_keys, before_ms, limit)
