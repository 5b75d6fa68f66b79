"""The memory store: `Store` as one object of this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from conduit.core.message import Message, NewMessage, Retention, TopicRecord
from conduit.storage.base import Appender, Changes, Extent, Former, KnownKey, Rule, Sizes, Trimmed
from conduit.storage.memory.access_calls import AccessCalls
from conduit.storage.memory.log import Log

MAX_MESSAGES = 1_000_000
MAX_BYTES = 256 << 20
MAX_KEYS = 250_000
# Dead letters may take one part in so many of the bytes.
LETTERS_SHARE = 2


class MemoryStore(AccessCalls):
    """A store without a disk: what is acked is gone with the process (`durable` is False).

    `max_messages` and `max_bytes` (payload, key and headers) bound the log over all topics and
    tenants; `memory/log.py` says who makes room. Dead letters take their part of the bytes, up to half.
    Of idempotency keys `max_keys` are known, and of more the topic that has the most loses its oldest. Age
    is bounded by each topic's retention. What concerns all topics or dead letters is done in slices; no other
    method waits, so each is one step of the event loop.
    """

    kind = "memory"
    durable = False
    server_count = 1
    nodes = None
    needs_lock = False
    shards: Mapping[int, Appender] = {}

    def __init__(
        self,
        *,
        max_messages: int = MAX_MESSAGES,
        max_bytes: int = MAX_BYTES,
        max_keys: int = MAX_KEYS,
    ) -> None:
        super().__init__(Log(max_messages, max_bytes, max_keys), max_bytes // LETTERS_SHARE)
        self._bounds = {"max_messages": max_messages, "max_bytes": max_bytes, "max_keys": max_keys}

    async def open(self) -> None:
        """There is nothing to open."""

    async def close(self) -> None:
        """There is nothing to close; what is stored stays as long as the object."""

    def describe(self) -> dict[str, object]:
        """`kind`, `durable` and the bounds."""
        return {"kind": self.kind, "durable": self.durable, **self._bounds}

    # What it knows about itself -------------------------------------------------------------------

    async def fact(self, name: str) -> bytes | None:
        return self._facts.get(name)

    async def facts(self, prefix: str) -> dict[str, bytes]:
        return {name: value for name, value in self._facts.items() if name.startswith(prefix)}

    async def keep_fact(self, name: str, value: bytes | None) -> None:
        if value is None:
            self._facts.pop(name, None)
        else:
            self._facts[name] = value

    @property
    def copied(self) -> str | None:
        return None

    async def trust(self) -> None:
        """It is never taken for a copy."""

    async def renew(self, epochs: Mapping[int, str]) -> None:
        for topic_id, epoch in epochs.items():
            if (topic := self._log.topics.get(topic_id)) is not None:
                topic.record.epoch = epoch

    async def measure(self) -> Sizes:
        return Sizes(size_bytes=self._log.size_bytes + self._dead.size_bytes)

    async def give_back(self) -> bool:
        return False

    async def prove(self, size_bytes: int) -> None:
        """Memory takes writes."""

    async def changes(self, position: str | None) -> Changes:
        """Nobody else changes anything."""
        return Changes(position or "")

    # Topics ---------------------------------------------------------------------------------------

    async def topics(self) -> list[TopicRecord]:
        return [replace(topic.record) for topic in self._log.topics.values()]

    async def topic_create(
        self, tenant: str, name: str, retention: Retention, now_ms: int
    ) -> TopicRecord:
        self._tenants.check(tenant)
        return self._log.create(tenant, name, retention, now_ms)

    async def topics_create(
        self, tenant: str, names: Sequence[str], retention: Retention, now_ms: int
    ) -> list[TopicRecord]:
        self._tenants.check(tenant)
        return [
            self._log.create(tenant, name, retention, now_ms)
            for name in names
            if self._log.id_of(tenant, name) is None
        ]

    async def topic_update(self, topic_id: int, retention: Retention) -> None:
        topic = self._log.topics.get(topic_id)
        if topic is not None:
            topic.record.retention = retention

    async def topic_delete(
        self, topic_id: int, followers: Sequence[int] = (), now_ms: int = 0
    ) -> None:
        topic = self._log.topics.get(topic_id)
        if topic is None:
            return
        record = topic.record
        for subscription_id in set(followers):
            if self._subscriptions.tenant_of(subscription_id) == record.tenant:
                floor = self._subscriptions.floor(subscription_id, topic_id) or 0
                former = Former(record.name, record.epoch, floor, record.last_seq)
                self._former.remember(subscription_id, former, now_ms)
        self._log.delete(topic_id)
        self._subscriptions.forget_topic(topic_id)
        self._dead.gone.forget_topic(topic_id)

    async def topics_of(self, topic_ids: Sequence[int]) -> list[TopicRecord]:
        topics = (self._log.topics.get(topic_id) for topic_id in set(topic_ids))
        return [replace(topic.record) for topic in topics if topic is not None]

    async def extents(self, topic_ids: Sequence[int]) -> list[Extent]:
        topics = (self._log.topics.get(topic_id) for topic_id in set(topic_ids))
        return [topic.extent for topic in topics if topic is not None]

    # The log --------------------------------------------------------------------------------------

    async def append(self, batch: Sequence[NewMessage]) -> list[int]:
        return self._log.append(batch)

    async def read(
        self,
        topic_id: int,
        from_seq: int,
        *,
        limit: int,
        max_bytes: int = 1 << 20,
        descending: bool = False,
    ) -> list[Message]:
        found: list[Message] = []
        for message in self._log.read(topic_id, from_seq, limit, descending):
            found.append(message)
            max_bytes -= len(message.payload)
            if max_bytes < 0:
                break
        return found

    async def find(self, tenant: str, message_id: str) -> tuple[int, Message] | None:
        return self._log.find(tenant, message_id)

    async def seq_at(self, topic_id: int, time_ms: int) -> int:
        return self._log.seq_at(topic_id, time_ms)

    async def last_stamps(self, topic_ids: Sequence[int]) -> dict[int, int]:
        return self._log.last_stamps(topic_ids)

    async def trim(self, topic_id: int, rule: Rule, limit: int) -> Trimmed:
        return self._log.trim(topic_id, rule, limit)

    async def cleans_up(self) -> bool:
        return True

    async def purge(self, limit: int) -> int:
        return self._log.purge(limit)

    # Idempotency ----------------------------------------------------------------------------------

    async def known_keys(self, since_ms: int, limit: int) -> list[KnownKey]:
        return self._log.keys.since(since_ms, limit)

    async def forget_keys(self, before_ms: int, limit: int) -> int:
        return self._log.keys.forget(before_ms, limit)
