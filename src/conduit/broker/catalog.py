"""The topics of all tenants, in memory; the store has the durable copy."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from conduit.broker.clock import Clock
from conduit.core.message import Retention, TopicRecord
from conduit.core.topics import TopicIndex
from conduit.errors import Conflict, LimitReached, NotFound, Unavailable
from conduit.names import check_topic, is_pattern
from conduit.storage.base import Store


class Topic:
    """One topic as this node knows it. `last_seq` is the last number that was committed and seen here."""

    __slots__ = (
        "created_at_ms",
        "epoch",
        "epoch_bytes",
        "first_seq",
        "is_deleted",
        "last_seq",
        "name",
        "name_bytes",
        "retention",
        "stored_bytes",
        "tenant",
        "topic_id",
    )

    def __init__(self, record: TopicRecord) -> None:
        self.topic_id = record.topic_id
        self.tenant = record.tenant
        self.name = record.name
        self.epoch = record.epoch
        self.created_at_ms = record.created_at_ms
        self.first_seq = record.first_seq
        self.last_seq = record.last_seq
        self.stored_bytes = record.stored_bytes
        self.retention = record.retention
        # As they stand in frames: their grammar needs no JSON escapes.
        self.name_bytes = self.name.encode()
        self.epoch_bytes = self.epoch.encode()
        # Set while the store forgets it: what is missing in the log then is no gap.
        self.is_deleted = False


class TopicWatcher(Protocol):
    """Who is told of topics that come and go."""

    def topic_created(self, topic: Topic) -> None:
        """The topic exists from now on. If another node made it, it may hold messages already: up to its
        `last_seq`."""

    async def topic_deleting(self, topic: Topic) -> Sequence[int]:
        """The topic takes no more; called before the store forgets it. Returns when no publish to it is under
        way, with the ids of the durable subscriptions that follow it."""

    def topic_deleted(self, topic: Topic) -> None:
        """The store has forgotten it."""


class Catalog:
    """Finds, creates and deletes topics, and tells the watcher."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        watcher: TopicWatcher,
        default_retention: Retention,
        max_count: int,
    ) -> None:
        self._store = store
        self._clock = clock
        self._watcher = watcher
        self._default_retention = default_retention
        self._max_count = max_count
        # tenant -> name -> topic, and the same by patterns.
        self._names: dict[str, dict[str, Topic]] = {}
        self._indexes: dict[str, TopicIndex[Topic]] = {}
        self._ids: dict[int, Topic] = {}
        # One change at a time, so that a name is never created while it is being deleted.
        self._changing = asyncio.Lock()

    async def load(self) -> None:
        """Take over what the store has."""
        for record in await self._store.topics():
            self._add(Topic(record))

    def __len__(self) -> int:
        return len(self._ids)

    def find(self, tenant: str, name: str) -> Topic | None:
        """The topic, or None; the name need not be valid."""
        names = self._names.get(tenant)
        return names.get(name) if names is not None else None

    def by_id(self, topic_id: int) -> Topic | None:
        """The topic with this id, if it still exists."""
        return self._ids.get(topic_id)

    def get(self, tenant: str, name: str) -> Topic:
        """The topic. Raises InvalidRequest `invalid_topic` or NotFound `topic_not_found`."""
        topic = self.find(tenant, name)
        if topic is None:
            check_topic(name)
            raise NotFound(f"topic {name!r} does not exist", code="topic_not_found", field="topic")
        return topic

    def matching(self, tenant: str, pattern: str) -> list[Topic]:
        """The existing topics of a pattern, or the one of this name. What it costs follows from their
        number, not from that of all topics."""
        if not is_pattern(pattern):
            topic = self.find(tenant, pattern)
            return [] if topic is None else [topic]
        index = self._indexes.get(tenant)
        return [] if index is None else list(index.match(pattern))

    def everywhere(self) -> list[Topic]:
        """Every topic of every tenant; for housekeeping only."""
        return list(self._ids.values())

    def list(self, tenant: str, *, q: str | None, limit: int, after: str | None) -> list[Topic]:
        """By name: those that contain `q` and come after `after`."""
        names = sorted(
            name
            for name in self._names.get(tenant, {})
            if (after is None or name > after) and (q is None or q in name)
        )
        return [self.get(tenant, name) for name in names[:limit]]

    async def create(self, tenant: str, name: str, retention: Retention | None = None) -> Topic:
        """A new topic. Raises InvalidRequest, Conflict `topic_exists`, LimitReached."""
        check_topic(name, "name")
        async with self._changing:
            if self.find(tenant, name) is not None:
                raise Conflict(f"topic {name!r} exists already", code="topic_exists", field="name")
            return await self._create(tenant, name, retention or self._default_retention)

    async def ensure(self, tenant: str, name: str) -> Topic:
        """The topic, created if need be; several callers at once get the same one."""
        topic = self.find(tenant, name)
        if topic is not None:
            return topic
        check_topic(name)
        async with self._changing:
            topic = self.find(tenant, name)
            if topic is not None:
                return topic
            try:
                return await self._create(tenant, name, self._default_retention)
            except Conflict:
                # It is there by now: what was wanted.
                topic = self.find(tenant, name)
                if topic is None:
                    raise
                return topic

    async def update(self, tenant: str, name: str, retention: Retention) -> Topic:
        """Replace the retention, which takes effect with the next round of housekeeping."""
        topic = self.get(tenant, name)
        await self._store.topic_update(topic.topic_id, retention)
        topic.retention = retention
        return topic

    async def delete(self, tenant: str, name: str) -> None:
        """Forget the topic and its messages; subscribers that named it are disconnected with 4001.

        If the store refuses, everything is as before. Until it answers the name has no topic, and whoever
        follows it still does.
        """
        async with self._changing:
            topic = self.get(tenant, name)
            topic.is_deleted = True
            del self._names[tenant][name]
            try:
                followers = await self._watcher.topic_deleting(topic)
                now_ms = int(self._clock.now() * 1000)
                await self._delete(topic.topic_id, followers, now_ms)
            except BaseException:
                topic.is_deleted = False
                self._names[tenant][name] = topic
                raise
            self._forget(topic)

    async def _delete(self, topic_id: int, followers: Sequence[int], now_ms: int) -> None:
        try:
            await self._store.topic_delete(topic_id, followers, now_ms)
        except Unavailable:
            # It may be done although the answer was lost.
            if any(record.topic_id == topic_id for record in await self._store.topics()):
                raise

    async def learn(self) -> None:
        """Take over what other nodes have made and deleted."""
        async with self._changing:
            await self._learn()

    async def _create(self, tenant: str, name: str, retention: Retention) -> Topic:
        if len(self._ids) >= self._max_count:
            raise LimitReached(f"there are {self._max_count} topics, which is the limit")
        now_ms = int(self._clock.now() * 1000)
        try:
            topic = Topic(await self._store.topic_create(tenant, name, retention, now_ms))
        except Conflict:
            # Somebody else's, or ours from a call whose answer was lost.
            await self._learn()
            raise
        self._add(topic)
        self._watcher.topic_created(topic)
        return topic

    async def _learn(self) -> None:
        """Know the topics that the store has, and no others."""
        records = {record.topic_id: record for record in await self._store.topics()}
        for topic in self.everywhere():
            if topic.topic_id not in records:
                self._forget(topic)
        for record in records.values():
            if record.topic_id not in self._ids:
                topic = Topic(record)
                self._add(topic)
                self._watcher.topic_created(topic)

    def _forget(self, topic: Topic) -> None:
        """The store has deleted it."""
        topic.is_deleted = True
        self._names[topic.tenant].pop(topic.name, None)
        del self._ids[topic.topic_id]
        self._indexes[topic.tenant].remove(topic.name)
        self._watcher.topic_deleted(topic)

    def _add(self, topic: Topic) -> None:
        self._names.setdefault(topic.tenant, {})[topic.name] = topic
        self._indexes.setdefault(topic.tenant, TopicIndex()).add(topic.name, topic)
        self._ids[topic.topic_id] = topic
