"""Memory stores that misbehave on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from conduit.errors import OutcomeUnknown, StoreUnavailable
from conduit.storage.base import Changes
from conduit.storage.memory import MemoryStore


class AwayStore(MemoryStore):
    """Its log cannot be read while `error` is set: that is raised."""

    error: Exception | None = None
    read_count = 0

    def leave(self) -> None:
        self.error = StoreUnavailable("the store is away")

    def come_back(self) -> None:
        self.error = None

    async def read(self, *args, **kwargs):
        self.read_count += 1
        if self.error is not None:
            raise self.error
        return await super().read(*args, **kwargs)


class SharedStore(MemoryStore):
    """A store that several nodes use: it says what they change of topics and subscriptions, and counts the
    questions of which there should be few."""

    def __init__(self) -> None:
        super().__init__()
        self.server_count = 2
        self._changed: list[tuple[str, int]] = []
        self.asked: list[tuple[str, int]] = []
        self.is_forgetful = False
        """Whether it says of changes only that there are some."""

    async def changes(self, position):
        some = self._changed[int(position) :] if position else []
        position = str(len(self._changed))
        self.asked.append(("changes", len(some)))
        # Somebody else has a turn before the answer comes.
        await asyncio.sleep(0)
        if self.is_forgetful:
            return Changes(position, is_all=True)
        kinds = [[*{id_ for kind, id_ in some if kind == which}] for which in ("topic", "sub")]
        return Changes(position, *kinds)

    async def topics_of(self, topic_ids):
        self.asked.append(("topics_of", len(topic_ids)))
        return await super().topics_of(topic_ids)

    async def topics(self):
        self.asked.append(("topics", 0))
        return await super().topics()

    async def topic_create(self, *args):
        record = await super().topic_create(*args)
        self._changed.append(("topic", record.topic_id))
        return record

    async def topics_create(self, *args):
        records = await super().topics_create(*args)
        self._changed += [("topic", record.topic_id) for record in records]
        return records

    async def topic_update(self, topic_id, *args):
        await super().topic_update(topic_id, *args)
        self._changed.append(("topic", topic_id))

    async def topic_delete(self, topic_id, *args):
        await super().topic_delete(topic_id, *args)
        self._changed.append(("topic", topic_id))

    async def subscription_create(self, *args):
        record = await super().subscription_create(*args)
        self._changed.append(("sub", record.subscription_id))
        return record

    async def subscription_update(self, subscription_id, *args):
        await super().subscription_update(subscription_id, *args)
        self._changed.append(("sub", subscription_id))

    async def subscription_delete(self, subscription_id):
        await super().subscription_delete(subscription_id)
        self._changed.append(("sub", subscription_id))

    async def seek(self, subscription_id, *args, **more):
        await super().seek(subscription_id, *args, **more)
        self._changed.append(("sub", subscription_id))


class Share:
    """What one of several servers has of one store: `is_leader` says whether it is the one that cleans up."""

    def __init__(self, store: MemoryStore, *, is_leader: bool) -> None:
        self._store = store
        self.is_leader = is_leader

    def __getattr__(self, name: str):
        return getattr(self._store, name)

    async def cleans_up(self) -> bool:
        return self.is_leader


class SlowStore(MemoryStore):
    """Calls of the methods in `held` wait until `release`: `former`, `keep_fact`, `seek`, `topics`,
    `topic_delete` and `trim` with the answer, the others before they have an effect, and `settle` with the
    answer if `settled` is held. `settled` is held as `counted`, with the answer."""

    def __init__(self) -> None:
        super().__init__()
        self.held: set[str] = set()
        self.waiting: list[str] = []
        self._released = asyncio.Event()

    def release(self) -> None:
        self.held.clear()
        self._released.set()
        self._released = asyncio.Event()

    async def _pass(self, name: str) -> None:
        if name in self.held:
            self.waiting.append(name)
            await self._released.wait()

    async def keep_fact(self, name, value):
        await super().keep_fact(name, value)
        await self._pass("keep_fact")

    async def last_stamps(self, topic_ids):
        await self._pass("last_stamps")
        return await super().last_stamps(topic_ids)

    async def former(self, subscription_id):
        found = await super().former(subscription_id)
        await self._pass("former")
        return found

    async def topics(self):
        found = await super().topics()
        await self._pass("topics")
        return found

    async def topic_create(self, *args):
        await self._pass("topic_create")
        created = await super().topic_create(*args)
        await self._pass("topic_created")
        return created

    async def topics_create(self, *args):
        await self._pass("topics_create")
        return await super().topics_create(*args)

    async def topic_delete(self, *args):
        await super().topic_delete(*args)
        await self._pass("topic_delete")

    async def extents(self, topic_ids):
        found = await super().extents(topic_ids)
        await self._pass("extents")
        return found

    async def positions(self, *args):
        await self._pass("positions")
        return await super().positions(*args)

    async def subscription_create(self, *args):
        await self._pass("subscription_create")
        created = await super().subscription_create(*args)
        await self._pass("subscription_created")
        return created

    async def progress(self, *args):
        await self._pass("progress")
        return await super().progress(*args)

    async def read(self, *args, **kwargs):
        await self._pass("read")
        return await super().read(*args, **kwargs)

    async def trim(self, *args):
        trimmed = await super().trim(*args)
        await self._pass("trim")
        return trimmed

    async def find(self, *args):
        await self._pass("find")
        return await super().find(*args)

    async def settled(self, subscription_ids):
        found = await super().settled(subscription_ids)
        await self._pass("counted")
        return found

    async def settle(self, *args):
        await self._pass("settle")
        refused = await super().settle(*args)
        await self._pass("settled")
        return refused

    async def seek(self, *args, **more):
        await super().seek(*args, **more)
        await self._pass("seek")

    async def subscription_update(self, *args):
        await self._pass("subscription_update")
        await super().subscription_update(*args)


class UnansweredStore(SlowStore):
    """A `settle` that is held fails when it is released."""

    async def settle(self, *args):
        is_held = "settle" in self.held
        await self._pass("settle")
        if is_held:
            raise StoreUnavailable("the disk is full")
        return await super().settle(*args)


class FailingStore(MemoryStore):
    """Its progress cannot be written while `fails`."""

    fails = False

    async def settle(self, *args):
        if self.fails:
            raise StoreUnavailable("the disk is full")
        return await super().settle(*args)


class RefusingStore(MemoryStore):
    """Deletes nothing while `is_away`; `meanwhile` happens then."""

    is_away = True

    def meanwhile(self) -> None:
        """Nothing."""

    async def topic_delete(self, *args, **kwargs):
        if self.is_away:
            self.meanwhile()
            raise StoreUnavailable("the store is away")
        await super().topic_delete(*args, **kwargs)

    async def subscription_delete(self, subscription_id):
        if self.is_away:
            raise StoreUnavailable("the store is away")
        await super().subscription_delete(subscription_id)


class MuteStore(MemoryStore):
    """Deletes, and its answer is lost."""

    async def topic_delete(self, *args):
        await super().topic_delete(*args)
        raise OutcomeUnknown("the connection broke")

    async def subscription_delete(self, subscription_id):
        await super().subscription_delete(subscription_id)
        raise OutcomeUnknown("the connection broke")


class UncertainStore(MemoryStore):
    """Unless `is_certain`, changes of topics and deletions are not answered, and not made before `catch_up`;
    nor are questions what became of them."""

    is_certain = True

    def __init__(self) -> None:
        super().__init__()
        self._owed: list[Callable[[], Awaitable[object]]] = []

    async def catch_up(self) -> None:
        """Make them."""
        while self._owed:
            await self._owed[0]()
            del self._owed[0]

    async def _changed(self, change, args):
        if self.is_certain:
            return await change(*args)
        self._owed.append(lambda: change(*args))
        raise OutcomeUnknown("the connection broke")

    async def topics(self):
        if self._owed:
            raise StoreUnavailable("the connection is refused")
        return await super().topics()

    async def subscriptions(self):
        if self._owed:
            raise StoreUnavailable("the connection is refused")
        return await super().subscriptions()

    async def topic_create(self, *args):
        return await self._changed(super().topic_create, args)

    async def topic_update(self, *args):
        await self._changed(super().topic_update, args)

    async def topic_delete(self, *args):
        await self._changed(super().topic_delete, args)

    async def subscription_create(self, *args):
        return await self._changed(super().subscription_create, args)

    async def subscription_delete(self, *args):
        await self._changed(super().subscription_delete, args)


class LosingStore(SlowStore):
    """Answers of the calls in `lost` are lost: method → whether it happens. While `is_mute` it does not tell
    what subscriptions it has."""

    def __init__(self) -> None:
        super().__init__()
        self.lost: dict[str, bool] = {}
        self.is_mute = False

    async def _lose(self, name: str, change, *args, **more):
        happens = self.lost.get(name, True)
        result = await change(*args, **more) if happens else None
        if name in self.lost:
            raise OutcomeUnknown("the connection broke")
        return result

    async def subscription_update(self, *args):
        await self._lose("subscription_update", super().subscription_update, *args)

    async def subscription_delete(self, *args):
        await self._pass("subscription_delete")
        await self._lose("subscription_delete", super().subscription_delete, *args)

    async def seek(self, *args, **more):
        await self._lose("seek", super().seek, *args, **more)

    async def subscriptions(self):
        if self.is_mute:
            raise StoreUnavailable("the store is away")
        return await super().subscriptions()


class IdleStore(MemoryStore):
    """Deletes nothing, and does not say so; who asks is told."""

    async def topic_delete(self, *args):
        raise OutcomeUnknown("the connection broke")

    async def subscription_delete(self, subscription_id):
        raise OutcomeUnknown("the connection broke")
