"""A durable subscription as the store has it becomes one that runs here.

The store is asked several things; during every one of these awaits topics may go and come, so which ones
there are is looked at after the last of them, and those that went meanwhile are remembered.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence

from conduit.broker.catalog import Catalog, Topic
from conduit.broker.deliver.engine import Engine
from conduit.broker.deliver.outset import Outset
from conduit.broker.deliver.router import Router
from conduit.broker.deliver.running import Running
from conduit.core.message import Progress, SubscriptionRecord
from conduit.core.topics import matches
from conduit.names import is_pattern
from conduit.storage.base import FORMER_MAX_COUNT, Former, Store

# Rows of progress that are taken over in one turn of the loop.
LOAD_STEP_COUNT = 1_000


class Loader:
    """Loads one at a time; the caller sees to that."""

    def __init__(self, store: Store, catalog: Catalog, router: Router, engine: Engine) -> None:
        self._store = store
        self._catalog = catalog
        self._router = router
        self._engine = engine
        # What is being loaded, and the topics of its pattern that were deleted since it began.
        self._loading: SubscriptionRecord | None = None
        self._gone: deque[Topic] = deque()

    async def make_topic(self, record: SubscriptionRecord, *, create: bool) -> None:
        """The topic that it names is there then, until the caller next waits. Raises NotFound
        `topic_not_found` if it is gone, and `create` is False."""
        if is_pattern(record.pattern):
            return
        if create:
            await self._catalog.ensure(record.tenant, record.pattern)
        else:
            self._catalog.get(record.tenant, record.pattern)

    async def load(self, record: SubscriptionRecord, *, create: bool) -> Running:
        """The subscription as it runs here from now on. Raises as `make_topic`, and what the store raises."""
        lag = self._engine.lags.by_id[record.subscription_id]
        walk = self._catalog.walk(record.tenant, record.pattern)
        await self._engine.lags.cover(lag.coverage, walk)
        self._loading, self._gone = record, deque(maxlen=FORMER_MAX_COUNT)
        try:
            # First the claim: what the owner before has not stored by then, it never will.
            fence = await self._store.subscription_claim(record.subscription_id)
            progress = await self._progress(record)
            former = await self._store.former(record.subscription_id)
            await self.make_topic(record, create=create)
        finally:
            self._loading = None
        running = Running(self._engine, record.tenant, record.pattern, record.settings)
        running.make_durable(record, fence)
        self._remember(running, progress, former)
        self._router.add(running)
        self._begin(running, progress, former)
        return running

    def topic_deleted(self, topic: Topic) -> None:
        """The topic is gone; what is being loaded may be about to learn where it was in it."""
        loading = self._loading
        if (
            loading is not None
            and loading.tenant == topic.tenant
            and matches(loading.pattern, topic.name)
        ):
            self._gone.append(topic)

    def _remember(
        self, running: Running, progress: Mapping[int, Progress], former: Sequence[Former]
    ) -> None:
        """The topics that it followed and that are gone, also those that went after the store was asked."""
        stored = {(gone.name, gone.epoch) for gone in former}
        for gone in former:
            running.former.remember(gone, self._catalog.find(running.tenant, gone.name))
        for topic in self._gone:
            if (topic.name, topic.epoch) not in stored:
                row = progress.get(topic.topic_id)
                floor = 0 if row is None else row.floor
                gone = Former(topic.name, topic.epoch, floor, topic.last_seq)
                running.former.remember(gone, self._catalog.find(running.tenant, topic.name))

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
            """A topic without progress was made after the subscription."""
            return going.get((topic.name, topic.epoch), 0)

        outset = Outset(self._catalog.by_id, {}, progress, floor_of)
        walk = self._catalog.walk(running.tenant, running.pattern)
        running.begin_all(outset, (step.topics for step in walk))
