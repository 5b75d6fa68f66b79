"""The memory store: `Store` as one object of this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

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
from conduit.core.topics import matcher
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
from conduit.storage.dead_letters import DeadBounds, DeadFilter, DeadTally, Loss
from conduit.storage.fences import Fences, allowed
from conduit.storage.floors import floor_of
from conduit.storage.memory.dead_letters import DeadLetters
from conduit.storage.memory.dead_search import matching
from conduit.storage.memory.former import FormerTopics
from conduit.storage.memory.log import Log, Topic
from conduit.storage.memory.subscriptions import Subscriptions
from conduit.storage.slices import in_slices

MAX_MESSAGES = 1_000_000
MAX_BYTES = 256 << 20
MAX_KEYS = 250_000
# Dead letters may take one part in so many of the bytes.
LETTERS_SHARE = 2


class MemoryStore:
    """A store without a disk: what is acked is gone with the process (`durable` is False).

    `max_messages` and `max_bytes` (payload, key and headers) bound the log over all topics and
    tenants; `memory/log.py` says who makes room. Dead letters take their part of the bytes, up to half.
    Of idempotency keys the newest `max_keys` are known. Age is bounded by each topic's retention. What
    concerns all topics or dead letters is done in slices; no other method waits, so each is one step of
    the event loop.
    """

    kind = "memory"
    durable = False
    shards: Mapping[int, Appender] = {}

    def __init__(
        self,
        *,
        max_messages: int = MAX_MESSAGES,
        max_bytes: int = MAX_BYTES,
        max_keys: int = MAX_KEYS,
    ) -> None:
        self._log = Log(max_messages, max_bytes, max_keys)
        self._subscriptions = Subscriptions()
        self._former = FormerTopics()
        self._dead = DeadLetters(max_bytes // LETTERS_SHARE)
        self._fences = Fences()
        self._facts: dict[str, bytes] = {}
        self._bounds = {
            "max_messages": max_messages,
            "max_bytes": max_bytes,
            "max_keys": max_keys,
        }

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

    async def keep_fact(self, name: str, value: bytes) -> None:
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

    # Topics ---------------------------------------------------------------------------------------

    async def topics(self) -> list[TopicRecord]:
        return [replace(topic.record) for topic in self._log.topics.values()]

    async def topic_create(
        self, tenant: str, name: str, retention: Retention, now_ms: int
    ) -> TopicRecord:
        return self._log.create(tenant, name, retention, now_ms)

    async def topics_create(
        self, tenant: str, names: Sequence[str], retention: Retention, now_ms: int
    ) -> list[TopicRecord]:
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

    async def extents(self, topic_ids: Sequence[int]) -> list[Extent]:
        topics = (self._log.topics.get(topic_id) for topic_id in set(topic_ids))
        return [_extent(topic) for topic in topics if topic is not None]

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

    async def trim(
        self, topic_id: int, retention: Retention, now_ms: int, limit: int, through_seq: int = 0
    ) -> Trimmed:
        return self._log.trim(topic_id, retention, now_ms, limit, through_seq)

    async def cleans_up(self) -> bool:
        return True

    async def purge(self, limit: int) -> int:
        return self._log.purge(limit)

    # Idempotency ----------------------------------------------------------------------------------

    async def known_keys(self, since_ms: int, limit: int) -> list[KnownKey]:
        since = self._log.keys.since(since_ms)
        known = [key for key in since if key.topic_id in self._log.topics]
        return known[max(len(known) - limit, 0) :]

    async def forget_keys(self, before_ms: int, limit: int) -> int:
        return self._log.keys.forget(before_ms, limit)

    # Durable subscriptions ------------------------------------------------------------------------

    async def subscriptions(self) -> list[SubscriptionRecord]:
        return self._subscriptions.all()

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
        floors = await self.positions(tenant, pattern, start)
        created = self._subscriptions.add(record, floors)
        for gap in start.gaps:
            self._former.remember(created.subscription_id, gap, now_ms)
        return created

    async def subscription_update(
        self, subscription_id: int, settings: SubscriptionSettings, paused: bool
    ) -> None:
        self._subscriptions.update(subscription_id, settings, paused)

    async def subscription_delete(self, subscription_id: int) -> None:
        self._subscriptions.delete(subscription_id)
        self._former.forget_subscription(subscription_id)

    async def subscription_claim(self, subscription_id: int) -> int:
        return self._fences.claim(subscription_id)

    async def positions(self, tenant: str, pattern: str, start: Start) -> list[tuple[int, int]]:
        is_meant, floors = matcher(pattern), []
        async for some in in_slices(list(self._log.topics.values())):
            for topic in some:
                record = topic.record
                if record.tenant == tenant and is_meant(record.name):
                    floor = floor_of(start, _extent(topic), self._log.seq_at)
                    floors.append((record.topic_id, floor))
        return floors

    async def progress(
        self, subscription_id: int, topic_ids: Sequence[int] | None = None
    ) -> list[Progress]:
        if topic_ids is None:
            topic_ids = self._subscriptions.topic_ids(subscription_id)
        found = []
        async for some in in_slices(topic_ids):
            found += self._subscriptions.progress(subscription_id, some)
        return found

    async def progress_in(self, topic_id: int, subscription_ids: Sequence[int]) -> list[Progress]:
        found = []
        for subscription_id in subscription_ids:
            found += self._subscriptions.progress(subscription_id, [topic_id])
        return found

    async def settled(self, subscription_id: int) -> Settled:
        passed, opened = 0, []
        for row in await self.progress(subscription_id):
            topic = self._log.topics.get(row.topic_id)
            if topic is None:
                continue
            passed += max(0, row.cursor - topic.record.first_seq + 1)
            if row.open:
                opened.append(row)
        return Settled(passed, opened)

    async def former(self, subscription_id: int) -> list[Former]:
        return self._former.of(subscription_id)

    async def former_heard(self, heard: Sequence[Heard]) -> None:
        self._former.heard(heard)

    async def former_add(self, subscription_id: int, gaps: Sequence[Former], now_ms: int) -> None:
        if self._subscriptions.tenant_of(subscription_id) is not None:
            for gap in gaps:
                self._former.remember(subscription_id, gap, now_ms)

    async def former_trim(self, before_ms: int, limit: int) -> int:
        return self._former.trim(before_ms, limit)

    async def settle(
        self,
        progress: Sequence[Progress],
        deaths: Sequence[Death],
        redriven: Sequence[Redriven] = (),
    ) -> set[int]:
        self._dead.check(deaths)
        refused = self._fences.refused(progress)
        known = self._is_known
        rows = allowed(refused, progress)
        self._subscriptions.put([row for row in rows if known(row.subscription_id, row.topic_id)])
        for death in allowed(refused, deaths):
            topic = self._log.topics.get(death.topic_id)
            if topic is None or topic.record.tenant != death.tenant:
                continue
            if death.subscription and not self._subscriptions.has(death.tenant, death.subscription):
                continue
            message = self._log.message(death.topic_id, death.seq)
            self._dead.bury(death, topic.record.name, message)
        self._dead.mark(allowed(refused, redriven))
        self._dead.make_room(self._log.first_seq)
        self._log.reserve(self._dead.size_bytes)
        return refused

    async def seek(self, subscription_id: int, positions: Sequence[tuple[int, int]]) -> None:
        if self._subscriptions.tenant_of(subscription_id) is not None:
            known = self._is_known
            begins = {id_: floor for id_, floor in positions if known(subscription_id, id_)}
            self._subscriptions.move(subscription_id, begins)

    def _is_known(self, subscription_id: int, topic_id: int) -> bool:
        """Whether both are there, and of one tenant."""
        topic = self._log.topics.get(topic_id)
        tenant = self._subscriptions.tenant_of(subscription_id)
        return topic is not None and topic.record.tenant == tenant

    # Dead letters ---------------------------------------------------------------------------------

    async def dead_list(
        self, tenant: str, which: DeadFilter, *, limit: int, before_id: str | None = None
    ) -> list[DeadLetter]:
        return [replace(one) for one in await self._matching(tenant, which, limit, before_id)]

    async def dead_places(
        self, tenant: str, which: DeadFilter, *, limit: int, before_id: str | None = None
    ) -> list[DeadPlace]:
        return [letter.place for letter in await self._matching(tenant, which, limit, before_id)]

    async def _matching(
        self, tenant: str, which: DeadFilter, limit: int, before_id: str | None
    ) -> list[DeadLetter]:
        found: list[DeadLetter] = []
        async for some in matching(self._dead, tenant, which, before_id, limit):
            found += some
        return found

    async def dead_count(self, tenant: str, which: DeadFilter) -> int:
        return sum([len(some) async for some in matching(self._dead, tenant, which, None, None)])

    async def dead_get(self, tenant: str, dead_id: str) -> DeadLetter | None:
        return self._dead.get(tenant, dead_id)

    async def dead_find(self, tenant: str, dead_ids: Sequence[str]) -> list[DeadPlace]:
        found = (self._dead.get(tenant, dead_id) for dead_id in sorted(set(dead_ids)))
        return [letter.place for letter in found if letter is not None]

    async def dead_of(self, subscription: str, topic_id: int, seq: int) -> DeadLetter | None:
        return self._dead.of(subscription, topic_id, seq)

    async def dead_tally(self, tenant: str, subscription: str) -> DeadTally:
        return self._dead.tally(tenant, subscription)

    async def dead_fate(self, subscription: str, topic_id: int, seq: int) -> str | None:
        return self._dead.gone.fate(subscription, topic_id, seq)

    async def dead_delete(self, tenant: str, dead_ids: Sequence[str]) -> int:
        removed = self._dead.delete(tenant, dead_ids, self._log.first_seq)
        self._log.reserve(self._dead.size_bytes)
        return removed

    async def dead_trim(self, before_ms: int, bounds: DeadBounds, limit: int) -> int:
        removed = self._dead.trim(before_ms, bounds, limit, self._log.first_seq)
        self._log.reserve(self._dead.size_bytes)
        return removed

    async def dead_losses(self) -> list[Loss]:
        return self._dead.losses.take()


def _extent(topic: Topic) -> Extent:
    record = topic.record
    ends = record.first_seq, record.last_seq
    return Extent(record.topic_id, record.name, *ends, topic.trimmed_ms)
