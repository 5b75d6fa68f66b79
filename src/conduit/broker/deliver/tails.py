"""Comparing topics with the log, as long as other nodes use it: what nobody has told comes within a second.

Each round looks at the topics that something here follows, in slices, and at some of the others in turn, so
that what is said of those is right in the end. It finds messages of which this node has not heard, and what
retention of another node has removed.

At every await. The store is asked for a slice of topics: by the time it answers they may have moved on here,
or be gone. What it says of numbers only ever moves them up; what is older than what is known is nothing new.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from itertools import islice

from conduit.broker.catalog import Catalog, Topic
from conduit.broker.company import Company
from conduit.broker.deliver.router import Router
from conduit.broker.deliver.sequencer import Sequencer
from conduit.broker.rounds import Rounds
from conduit.broker.topics import Walked
from conduit.core.message import TopicRecord
from conduit.storage.base import Store

# Between two rounds; and how much less or more that is, so that nodes do not ask at one time.
INTERVAL_S = 1.0
JITTER = 0.1
# Topics that one question is about; followed ones that a round looks at, and others.
SLICE_COUNT = 2_000
FOLLOWED_MAX_COUNT = 20_000
OTHERS_COUNT = 1_000

# Not for secrets: it spreads the rounds of several nodes in time.
_dice = random.Random()


def _pause_s() -> float:
    return INTERVAL_S * _dice.uniform(1 - JITTER, 1 + JITTER)


class Tails:
    """One task; `start` it when the topics are loaded."""

    def __init__(
        self,
        store: Store,
        company: Company,
        catalog: Catalog,
        router: Router,
        sequencer: Sequencer,
    ) -> None:
        self._store = store
        self._company = company
        self._catalog = catalog
        self._router = router
        self._sequencer = sequencer
        self._rounds = Rounds("a comparison of topics with the log", _pause_s, self._due_round)
        # What is followed and was not looked at in this pass, the walk that it is in, and the topics that are
        # not followed.
        self._followed: Iterator[tuple[str, str]] | None = None
        self._walk: Iterator[Walked] | None = None
        self._others: Iterator[Topic] = iter(())
        self.repaired_count = 0
        """Topics that had more messages than this node had heard of."""

    def start(self) -> None:
        """Begin the rounds."""
        self._rounds.start()

    async def stop(self) -> None:
        """End the rounds. Idempotent."""
        await self._rounds.stop()

    async def _due_round(self) -> None:
        if self._company.is_shared:
            await self.round()

    async def round(self) -> None:
        """Compare what is due. Raises StoreUnavailable."""
        async for topics in self._due():
            before = {topic.topic_id: topic.last_seq for topic in topics}
            for record in await self._store.topics_of(list(before)):
                self._compare(record)

    async def fresh(self, topics: Sequence[Topic]) -> Mapping[int, TopicRecord]:
        """What the log has of these topics now, by their ids, for who looks; nothing as long as nobody else
        uses it: then this node knows. Raises StoreUnavailable."""
        if not topics or not self._company.is_shared:
            return {}
        records = await self._store.topics_of([topic.topic_id for topic in topics])
        for record in records:
            self._compare(record)
        return {record.topic_id: record for record in records}

    async def begin(self, tenant: str, pattern: str) -> None:
        """Know where the topics of a pattern, or the one of this name, end in the log, for who is about to
        follow them from there. Raises StoreUnavailable."""
        if not self._company.is_shared:
            return
        some: list[Topic] = []
        for step in self._catalog.walk(tenant, pattern):
            # What is followed is compared all the time.
            some += (topic for topic in step.topics if not self._router.is_followed(topic))
            if len(some) >= SLICE_COUNT:
                await self.fresh(some)
                some = []
        await self.fresh(some)

    async def _due(self) -> AsyncIterator[Sequence[Topic]]:
        """The topics of this round, each once, in slices."""
        due: dict[int, Topic] = {}
        count = 0
        while count < FOLLOWED_MAX_COUNT and (some := self._next_followed()) is not None:
            before_count = len(due)
            due.update((topic.topic_id, topic) for topic in some)
            count += len(due) - before_count
            if len(due) >= SLICE_COUNT:
                yield [*due.values()]
                due.clear()
            # Others have their turns.
            await asyncio.sleep(0)
        due.update((topic.topic_id, topic) for topic in self._next_others())
        if due:
            yield [*due.values()]

    def _next_followed(self) -> Sequence[Topic] | None:
        """Some of those that are followed, from where the round before has ended; None at the end of all.
        What is followed by several names comes several times."""
        if self._walk is None:
            if self._followed is None:
                self._followed = self._router.followed()
            place = next(self._followed, None)
            if place is None:
                self._followed = None
                return None
            self._walk = self._catalog.walk(*place)
        step = next(self._walk, None)
        if step is None:
            self._walk = None
            return ()
        return [topic for topic in step.topics if not topic.is_deleted]

    def _next_others(self) -> list[Topic]:
        found = [*islice(self._others, OTHERS_COUNT)]
        if len(found) < OTHERS_COUNT:
            self._others = iter(self._catalog.everywhere())
        return found

    def _compare(self, record: TopicRecord) -> None:
        topic = self._catalog.by_id(record.topic_id)
        if topic is None or topic.is_deleted:
            return
        if record.last_seq > topic.last_seq:
            self.repaired_count += 1
        self._sequencer.learned(topic, record.last_seq)
        if record.first_seq > topic.first_seq:
            self._sequencer.trimmed(topic, record.first_seq)
        if record.last_seq == topic.last_seq:
            # Else there are more here than there were.
            topic.now_holds(record.stored_bytes)
