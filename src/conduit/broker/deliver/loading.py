"""A durable subscription as the store has it becomes one that runs here.

The store is asked several things; during every one of these awaits topics may go and come, so which ones
there are is looked at after the last of them, and those that went meanwhile are remembered.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from itertools import chain

from conduit.broker.catalog import Catalog, Topic
from conduit.broker.deliver.engine import Engine
from conduit.broker.deliver.outset import Outset
from conduit.broker.deliver.ownership import Claim, Ownership
from conduit.broker.deliver.router import Router
from conduit.broker.deliver.running import Running
from conduit.broker.deliver.title import NO_TERM
from conduit.broker.waiting import Slots
from conduit.core.message import Progress, SubscriptionRecord
from conduit.core.topics import matches
from conduit.names import is_pattern
from conduit.storage.base import FORMER_MAX_COUNT, Former, Store

# Rows of progress that are taken over in one turn of the loop.
LOAD_STEP_COUNT = 1_000
# Each row of progress is in memory while a subscription is loaded. After a restart very many are loaded at
# once: of those on more topics than this, so many are.
LARGE_TOPIC_COUNT = 1_000
LARGE_AT_ONCE_COUNT = 4
# What is to be told of so many topics that are gone is taken over in one go; of subscriptions with more, one
# begins to run in each turn of the loop.
FEW_FORMER_COUNT = 100


class Loaded:
    """What the store has of a subscription that is about to run here."""

    __slots__ = ("claim", "former", "gone", "progress", "record")

    def __init__(self, record: SubscriptionRecord) -> None:
        self.record = record
        self.claim = Claim(0, NO_TERM)
        # By topic id.
        self.progress: Mapping[int, Progress] = {}
        self.former: Sequence[Former] = ()
        # The topics of its pattern that were deleted since the store was first asked.
        self.gone: deque[Topic] = deque(maxlen=FORMER_MAX_COUNT)


class Loader:
    """Loads several at once, but each of them once; the caller sees to that."""

    def __init__(
        self,
        store: Store,
        catalog: Catalog,
        router: Router,
        engine: Engine,
        ownership: Ownership,
    ) -> None:
        self._store = store
        self._ownership = ownership
        self._catalog = catalog
        self._router = router
        self._engine = engine
        # Those that are being loaded.
        self._loading: set[Loaded] = set()
        # Taken by those that are large.
        self._large = Slots(LARGE_AT_ONCE_COUNT)
        # Of those with many topics that are gone one has it, for a turn of the loop.
        self._pace = asyncio.Lock()

    async def make_topic(self, record: SubscriptionRecord, *, create: bool) -> None:
        """The topic that it names is there then, until the caller next waits. Raises NotFound
        `topic_not_found` if it is gone, and `create` is False."""
        if is_pattern(record.pattern):
            return
        if create:
            await self._catalog.ensure(record.tenant, record.pattern)
        else:
            self._catalog.get(record.tenant, record.pattern)

    async def load(self, record: SubscriptionRecord, *, create: bool) -> Loaded:
        """What the store has of it; have it `run` before you next wait. Raises as `make_topic`, what the
        store raises, OwnedElsewhere if another node has it, and MeantElsewhere if one is to."""
        lag = self._engine.lags.by_id[record.subscription_id]
        walk = self._catalog.walk(record.tenant, record.pattern)
        await self._engine.lags.cover(lag.coverage, walk)
        is_large = lag.coverage.topic_count > LARGE_TOPIC_COUNT
        async with self._large.taken(record.tenant) if is_large else nullcontext():
            return await self._load(Loaded(record), create=create)

    async def _load(self, loaded: Loaded, *, create: bool) -> Loaded:
        record = loaded.record
        self._loading.add(loaded)
        try:
            # First the claim: what the owner before has not stored by then, it never will.
            loaded.claim = await self._ownership.claim(record)
            if self._ownership.catch_up is not None:
                # The owner before may have paused it just now. From here on this node is asked.
                await self._ownership.catch_up()
            loaded.progress = await self._progress(record)
            loaded.former = await self._store.former(record.subscription_id)
            if len(loaded.former) > FEW_FORMER_COUNT:
                async with self._pace:
                    await asyncio.sleep(0)
            await self.make_topic(record, create=create)
            # Else it would stay here: what is given away when owners change is what runs by then.
            self._ownership.check_meant(record)
        except BaseException:
            # Others need not wait for what does not run here.
            self._ownership.give_up(record.subscription_id, loaded.claim.fence)
            raise
        finally:
            self._loading.remove(loaded)
        return loaded

    def is_loading(self, subscription_id: int) -> bool:
        """Whether it is about to run here."""
        return any(each.record.subscription_id == subscription_id for each in self._loading)

    def run(self, loaded: Loaded) -> Running:
        """The subscription as it runs here from now on, with the settings that it has by now."""
        record = loaded.record
        running = Running(self._engine, record.tenant, record.pattern, record.settings)
        running.make_durable(record, loaded.claim.fence)
        self._ownership.runs(running, loaded.claim)
        self._remember(running, loaded)
        self._router.add(running)
        self._begin(running, loaded.progress, loaded.former)
        return running

    def topic_deleted(self, topic: Topic) -> None:
        """The topic is gone; what is being loaded may be about to learn where it was in it."""
        for loaded in self._loading:
            record = loaded.record
            if record.tenant == topic.tenant and matches(record.pattern, topic.name):
                loaded.gone.append(topic)

    def _remember(self, running: Running, loaded: Loaded) -> None:
        """The topics that it followed and that are gone, also those that went after the store was asked."""
        stored = {(gone.name, gone.epoch) for gone in loaded.former}
        there = partial(self._catalog.find_until_gone, running.tenant)
        for gone in loaded.former:
            running.former.remember(gone, there(gone.name))
        later: dict[str, list[Topic]] = {}
        for topic in loaded.gone:
            if topic.topic_id not in loaded.progress and topic.was_before(
                running.group.subscription_id
            ):
                continue
            if (topic.name, topic.epoch) in stored:
                # What the store has told of a name is about the last one, and those before it.
                later.pop(topic.name, None)
            else:
                later.setdefault(topic.name, []).append(topic)
        for topic in chain.from_iterable(later.values()):
            row = loaded.progress.get(topic.topic_id)
            floor = 0 if row is None else row.floor
            gone = Former(topic.name, topic.epoch, floor, topic.last_seq)
            running.former.remember(gone, there(topic.name))

    async def _progress(self, record: SubscriptionRecord) -> Mapping[int, Progress]:
        """Where it is, by topic. Another node may have handed out more than this one knew to exist."""
        found: dict[int, Progress] = {}
        unknown: list[Progress] = []
        for count, row in enumerate(await self._store.progress(record.subscription_id), 1):
            found[row.topic_id] = row
            if not self._learn(row):
                unknown.append(row)
            if count % LOAD_STEP_COUNT == 0:
                await asyncio.sleep(0)
        if unknown:
            # Else such a topic would begin at its first message, once this node hears of it.
            await self._catalog.learn()
        for row in unknown:
            self._learn(row)
        return found

    def _learn(self, row: Progress) -> bool:
        topic = self._catalog.by_id(row.topic_id)
        if topic is not None and row.cursor > topic.last_seq:
            self._router.learned(topic, row.cursor)
        return topic is not None

    def _begin(
        self, running: Running, progress: Mapping[int, Progress], former: Sequence[Former]
    ) -> None:
        # Here a topic is there until the store has answered that it is deleted.
        going = {(gone.name, gone.epoch): gone.floor for gone in former}

        def floor_of(topic: Topic) -> int:
            """A topic without progress was made after the subscription, or was gone before it."""
            if topic.was_before(running.group.subscription_id):
                return topic.last_seq
            return going.get((topic.name, topic.epoch), 0)

        outset = Outset(self._catalog.by_id, {}, progress, floor_of)
        walk = self._catalog.walk(running.tenant, running.pattern)
        running.begin_all(outset, (step.topics for step in walk))
