"""Topics that come and go: in the store, which has the durable copy, and then in memory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from typing import Protocol, TypeVar
from weakref import WeakValueDictionary

from conduit.broker.allowances import Allowances
from conduit.broker.changes import LOOK_AGAIN_S, Change, Changes, told
from conduit.broker.clock import Clock
from conduit.broker.topics import Topic, Topics
from conduit.broker.waiting import Deadline, Slots
from conduit.core.message import Retention, TopicRecord
from conduit.errors import Conflict, LimitReached, OutcomeUnknown, Unavailable
from conduit.names import check_topic, named
from conduit.storage.base import Store
from conduit.storage.slices import in_slices

__all__ = ["Catalog", "Topic", "TopicWatcher"]

T = TypeVar("T")

logger = logging.getLogger(__name__)


class TopicWatcher(Protocol):
    """Who is told of topics that come and go."""

    def topic_created(self, topic: Topic) -> None:
        """The topic exists from now on. If another node made it, it may hold messages already: up to its
        `last_seq`."""

    async def topic_deleting(self, topic: Topic) -> Sequence[int]:
        """The topic takes no more; called before the store forgets it. Returns when no publish to it is under
        way, with the ids of the durable subscriptions that follow it."""

    def topic_kept(self, topic: Topic, followers_told: Collection[int]) -> None:
        """The store has not forgotten it, although it was told to, and told of these followers."""

    def topic_deleted(self, topic: Topic) -> None:
        """The store has forgotten it."""


# How often a topic is made again that others delete meanwhile.
ENSURE_TRIES_COUNT = 3
# Changes of one tenant's topics that the store makes at a time: each is a commit of its own, and a publish of
# another tenant may have to wait for all that the store was told before.
TENANT_CHANGES_COUNT = 4


class Catalog(Topics):
    """Finds, creates and deletes topics, and tells the watcher."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        watcher: TopicWatcher,
        default_retention: Retention,
        max_count: int,
        allowances: Allowances,
    ) -> None:
        super().__init__(allowances)
        self._store = store
        self._clock = clock
        self._watcher = watcher
        self._default_retention = default_retention
        self._max_count = max_count
        # By (tenant, name): a name is never created while it is being deleted.
        self._changes = Changes()
        # By tenant, as long as it has a change that is under way.
        self._slots: WeakValueDictionary[str, Slots] = WeakValueDictionary()
        # Topics that the store is being told of: they count towards the limit.
        self._creating_count = 0
        self._learning = asyncio.Lock()
        # Ids of what was changed or deleted while the store is asked for topics.
        self._touched: set[int] = set()
        self.catch_up: Callable[[], Awaitable[None]] = self.learn
        """Know what others have made; for who is told that it is there, and does not know it."""

    async def load(self) -> None:
        """Take over what the store has."""
        for record in await self._store.topics():
            self._add(self._made(record))

    async def create(self, tenant: str, name: str, retention: Retention | None = None) -> Topic:
        """A new topic. Raises InvalidRequest, Conflict `topic_exists`, LimitReached, Unavailable."""
        check_topic(name, "name")
        kept = retention or self._default_retention
        return await self._change(
            tenant, [name], lambda change: self._create(change, tenant, name, kept)
        )

    async def ensure(self, tenant: str, name: str, deadline: Deadline | None = None) -> Topic:
        """The topic, created if need be, which is there until the caller next waits; several callers at once
        get the same one. Raises as `create`, and NotFound `topic_not_found` if others delete it each time."""
        for _ in range(ENSURE_TRIES_COUNT):
            topic = self.find(tenant, name)
            if topic is not None:
                return topic
            # A deletion that waited for its turn may begin before this goes on.
            await self.ensure_all(tenant, [name], deadline)
        return self.get(tenant, name)

    async def ensure_all(
        self, tenant: str, names: Iterable[str], deadline: Deadline | None = None
    ) -> Sequence[Topic]:
        """As `ensure`, for all of them; what is missing is created in one commit."""
        names = sorted({check_topic(name) for name in names})

        async def ensure_all(change: Change) -> Sequence[Topic]:
            missing = [name for name in names if self.find(tenant, name) is None]
            if len(missing) > 1:
                await self._create_several(change, tenant, missing)
            return [await self._ensure(change, tenant, name) for name in names]

        return await self._change(tenant, names, ensure_all, deadline)

    async def update(self, tenant: str, name: str, retention: Retention) -> Topic:
        """Replace the retention, which takes effect with the next round of housekeeping."""

        async def update(change: Change) -> Topic:
            async with self._slot(tenant):
                topic = self.get(tenant, name)
                change.is_told = True
                await self._store.topic_update(topic.topic_id, retention)
                topic.retention = retention
                self._touch(topic)
                return topic

        return await self._change(tenant, [name], update)

    async def delete(self, tenant: str, name: str) -> None:
        """Forget the topic and its messages; subscribers that named it are disconnected with 4001.

        If the store refuses, everything is as before. Until it answers the name has no topic, and whoever
        follows it still does. Raises NotFound, Unavailable.
        """
        await self._change(
            tenant, [name], lambda change: self._delete_in_turn(change, tenant, name)
        )

    async def learn(self) -> None:
        """Know the topics that the store has, and no others: other nodes make and delete some too.

        What is made and deleted here meanwhile is known better than the store has answered.
        """
        async with self._learning:
            known = [*self._ids]
            self._touched.clear()
            records = {record.topic_id: record for record in await self._store.topics()}
            async for some_ids in in_slices(known):
                for topic_id in some_ids:
                    topic = self._ids.get(topic_id)
                    if topic is not None and topic_id not in records:
                        self._forget(topic)
            async for some in in_slices([*records.values()]):
                for record in some:
                    self._compare(record)

    async def learn_of(self, topic_ids: Sequence[int]) -> None:
        """As `learn`, of these topics only."""
        async with self._learning:
            self._touched.clear()
            async for some in in_slices(topic_ids):
                records = {each.topic_id: each for each in await self._store.topics_of(some)}
                for topic_id in some:
                    topic = self._ids.get(topic_id)
                    if topic is not None and topic_id not in records:
                        self._forget(topic)
                for record in records.values():
                    self._compare(record)

    async def close(self) -> None:
        """End the changes that the store has not answered; it is closed by now."""
        await self._changes.close()

    # Changes, each in its turn --------------------------------------------------------------------

    async def _change(
        self,
        tenant: str,
        names: Sequence[str],
        work: Callable[[Change], Awaitable[T]],
        deadline: Deadline | None = None,
    ) -> T:
        async def change(change: Change) -> T:
            try:
                return await work(change)
            except OutcomeUnknown:
                self._changes.later(self._learn_again())
                raise

        return await self._changes.make([(tenant, name) for name in names], change, deadline)

    def _slot(self, tenant: str) -> AbstractAsyncContextManager[None]:
        """While the store makes a change of the tenant's, in turn."""
        return self._slots.setdefault(tenant, Slots(TENANT_CHANGES_COUNT)).taken(None)

    async def _learn_again(self) -> None:
        """Find out what became of a change: soon, and when it must be over."""
        for pause_s in LOOK_AGAIN_S:
            await asyncio.sleep(pause_s)
            with suppress(Unavailable):
                await self.learn()

    async def _create(self, change: Change, tenant: str, name: str, retention: Retention) -> Topic:
        if self.find(tenant, name) is not None:
            raise Conflict(f"topic {name!r} exists already", code="topic_exists", field="name")
        with self._creating(tenant, 1):
            async with self._slot(tenant):
                record = await self._create_stored(change, tenant, name, retention)
        return self._know(record)

    async def _create_stored(
        self, change: Change, tenant: str, name: str, retention: Retention
    ) -> TopicRecord:
        change.is_told = True
        try:
            return await self._store.topic_create(tenant, name, retention, self._clock.wall_ms())
        except Conflict:
            # Somebody else's, or ours from a call whose answer was lost.
            await self.catch_up()
            raise

    async def _create_several(self, change: Change, tenant: str, names: Sequence[str]) -> None:
        """Those that the store does not have."""
        with self._creating(tenant, len(names)):
            async with self._slot(tenant):
                change.is_told = True
                now_ms = self._clock.wall_ms()
                records = await self._store.topics_create(
                    tenant, names, self._default_retention, now_ms
                )
        for record in records:
            self._know(record)

    @contextmanager
    def _creating(self, tenant: str, count: int) -> Iterator[None]:
        """So many topics more count meanwhile. Raises LimitReached."""
        if len(self._ids) + self._creating_count + count > self._max_count:
            raise LimitReached(
                f"there are as many topics as there may be: {self._max_count} (CONDUIT_MAX_TOPICS)"
            )
        self._creating_count += count
        try:
            with self.allowances.of(tenant).topics.coming(count):
                yield
        finally:
            self._creating_count -= count

    async def _ensure(self, change: Change, tenant: str, name: str) -> Topic:
        try:
            return self.find(tenant, name) or await self._create(
                change, tenant, name, self._default_retention
            )
        except Conflict:
            # It is there by now: what was wanted.
            topic = self.find(tenant, name)
            if topic is None:
                raise
            return topic

    async def _delete_in_turn(self, change: Change, tenant: str, name: str) -> None:
        async with self._slot(tenant):
            await self._delete(change, tenant, name)

    async def _delete(self, change: Change, tenant: str, name: str) -> None:
        topic = self.get(tenant, name)
        self._hide(topic)
        try:
            followers = await self._watcher.topic_deleting(topic)
            change.is_told, topic.followers_told = True, frozenset(followers)
            await self._delete_stored(topic, followers)
        except BaseException:
            # Unless it was learned meanwhile that it is gone.
            if topic.topic_id in self._ids:
                followers_told = topic.followers_told
                self._show(topic)
                if followers_told is not None:
                    self._watcher.topic_kept(topic, followers_told)
            raise
        self._forget(topic)

    async def _delete_stored(self, topic: Topic, followers: Sequence[int]) -> None:
        async def is_gone() -> bool:
            await self.learn()
            return topic.topic_id not in self._ids

        now_ms = self._clock.wall_ms()
        await told(self._store.topic_delete(topic.topic_id, followers, now_ms), is_gone)

    # What is known --------------------------------------------------------------------------------

    def _compare(self, record: TopicRecord) -> None:
        """The store has this topic, unless it was changed here since the store was asked."""
        if record.topic_id in self._touched:
            return
        topic = self.find(record.tenant, record.name)
        if topic is not None and topic.topic_id > record.topic_id:
            # It was gone before the answer came.
            return
        if topic is not None and (topic.topic_id, topic.epoch) != (record.topic_id, record.epoch):
            # One of that name is gone of which nobody has told yet; or its numbers are others now.
            self._forget(topic)
            topic = None
        if topic is None:
            self._know(record)
        else:
            topic.retention = record.retention

    def _know(self, record: TopicRecord) -> Topic:
        """The topic with this id, which is new, or was learned while the store was telling of it."""
        topic = self._ids.get(record.topic_id)
        if topic is None:
            topic = self._made(record)
            self._add(topic)
            self._watcher.topic_created(topic)
        return topic

    def _made(self, record: TopicRecord) -> Topic:
        return Topic(record, self.allowances.of(record.tenant))

    def _forget(self, topic: Topic) -> None:
        """The store has deleted it."""
        if self._ids.get(topic.topic_id) is not topic:
            # Learned before.
            return
        self._touch(topic)
        self._remove(topic)
        stored_count = topic.last_seq - topic.first_seq + 1
        name = named(topic.name, topic.tenant)
        logger.info("topic %s is deleted; messages in it: %d", name, stored_count)
        self._watcher.topic_deleted(topic)

    def _touch(self, topic: Topic) -> None:
        if self._learning.locked():
            self._touched.add(topic.topic_id)
