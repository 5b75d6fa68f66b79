"""How the subscriptions stand that lack most: for metrics, which may have so many series and no more.

Looked at when somebody asks, no more often than each LOOK_INTERVAL_S, by one at a time. What is in memory
is there at once. For dead letters, and for the time of the oldest message that a subscription has not
settled, the store is asked: a few short questions for each, one after the other. Whoever asks waits for
WAIT_MAX_S of that at most; a look that takes longer is in a later answer, and a store that fails or hangs
holds up nobody.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from heapq import nlargest
from itertools import islice

import msgspec

from conduit.broker.catalog import Catalog, Topic
from conduit.broker.deliver.engine import Engine
from conduit.broker.deliver.lags import Lag
from conduit.broker.deliver.owned import Owned
from conduit.broker.deliver.running import Running
from conduit.broker.store_time import StoreTime
from conduit.core.message import SubscriptionRecord
from conduit.errors import Unavailable
from conduit.storage.base import Store

LOOK_INTERVAL_S = 5.0
WAIT_MAX_S = 1.0
# Subscriptions whose lags are compared in one turn of the loop.
STEP_COUNT = 1_000
# Topics of one subscription in which the oldest message is looked for.
TOPICS_MAX_COUNT = 20
# Those that are looked through for these: in most of its topics it may have settled all by now.
PLACES_MAX_COUNT = 1_000

logger = logging.getLogger(__name__)


class Standing(msgspec.Struct):
    """One durable subscription. What is None is not known."""

    tenant: str
    name: str
    lag: int
    """Messages that it has not settled …"""
    in_flight_count: int
    """… of these, those that are out …"""
    pending_retry_count: int
    """… and those that wait for their next attempt."""
    oldest_age_s: float | None = None
    """Since the oldest of them was published, those that were redriven apart; 0 if there is none."""
    dead_count: int | None = None
    """Dead letters that were not redriven."""
    subscriber_count: int = 0
    """Attached ones, at whatever node."""
    is_paused: bool = False


class Standings:
    """`newest`: up to `max_count` of them, the largest lag first, as of the last look."""

    def __init__(
        self,
        store: Store,
        catalog: Catalog,
        owned: Owned,
        engine: Engine,
        time: StoreTime,
        max_count: int,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._owned = owned
        self._engine = engine
        self._time = time
        self._max_count = max_count
        self.newest: list[Standing] = []
        self._looking: asyncio.Task[None] | None = None
        self._look_at = 0.0
        # (topic id, number) → when it was published; of those that were the oldest at the last look.
        self._stamps: dict[tuple[int, int], int] = {}

    async def look(self) -> None:
        """Bring `newest` up to date, if that is due and as far as it goes at once."""
        now = self._engine.clock.now()
        if self._max_count and self._looking is None and now >= self._look_at:
            self._look_at = now + LOOK_INTERVAL_S
            self._looking = asyncio.get_running_loop().create_task(self._look())
        if self._looking is not None:
            await asyncio.wait([self._looking], timeout=WAIT_MAX_S)

    async def close(self) -> None:
        """End a look that is under way. Idempotent."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def _look(self) -> None:
        try:
            found = await self._largest()
            # With what the store said before, until it has answered again.
            before = {(each.tenant, each.name): each for each in self.newest}
            self.newest = [self._standing(record, lag, before) for lag, record in found]
            await self._ask(found)
        except Unavailable:
            # What is not known is not told; the next look asks again.
            for standing in self.newest:
                standing.dead_count = standing.oldest_age_s = None
        except Exception:
            logger.exception("the subscriptions could not be looked at")
        finally:
            self._looking = None

    async def _ask(self, found: Sequence[tuple[Lag, SubscriptionRecord]]) -> None:
        """Ask the store for what it knows of `newest`. Raises StoreUnavailable."""
        stamps: dict[tuple[int, int], int] = {}
        for standing, (lag, record) in zip(self.newest, found, strict=True):
            tally = await self._store.dead_tally(record.tenant, record.name)
            standing.dead_count = tally.open_count
            standing.oldest_age_s = await self._oldest_age_s(record, lag, stamps)
            # A store in memory does not wait.
            await asyncio.sleep(0)
        self._stamps = stamps

    async def _largest(self) -> list[tuple[Lag, SubscriptionRecord]]:
        largest: list[tuple[Lag, SubscriptionRecord]] = []
        records = iter(self._owned.everything())
        while some := list(islice(records, STEP_COUNT)):
            lags = self._engine.lags.by_id
            counted = [(lags.get(record.subscription_id), record) for record in some]
            known = [(lag, record) for lag, record in counted if lag is not None and lag.is_known]
            # Of those that lack as much, always the same.
            largest = nlargest(
                self._max_count,
                largest + known,
                key=lambda one: (one[0].count, -one[1].subscription_id),
            )
            await asyncio.sleep(0)
        return largest

    def _standing(
        self, record: SubscriptionRecord, lag: Lag, before: dict[tuple[str, str], Standing]
    ) -> Standing:
        running = self._owned.find_running(record)
        standing = Standing(
            record.tenant,
            record.name,
            lag.count,
            0 if running is None else sum(running.group.in_flight.values()),
            lag.open_count if running is None else running.group.pending.count,
            subscriber_count=0 if running is None else len(running.group.subscribers),
            is_paused=record.paused,
        )
        known = before.get((record.tenant, record.name))
        if known is not None:
            standing.oldest_age_s, standing.dead_count = known.oldest_age_s, known.dead_count
        return standing

    # The oldest message ---------------------------------------------------------------------------

    async def _oldest_age_s(
        self, record: SubscriptionRecord, lag: Lag, stamps: dict[tuple[int, int], int]
    ) -> float | None:
        if not lag.count:
            return 0.0
        running = self._owned.find_running(record)
        if running is not None:
            floors = list(self._floors_here(running, lag))
        elif lag.coverage.topic_count <= TOPICS_MAX_COUNT:
            floors = await self._stored_floors(record)
        else:
            return None
        oldest_ms: int | None = None
        for topic, floor in floors:
            lowest = max(floor + 1, topic.first_seq)
            if lowest > topic.last_seq:
                continue
            stamp_ms = await self._stamp_ms(topic, lowest)
            if stamp_ms is not None:
                stamps[topic.topic_id, lowest] = stamp_ms
                oldest_ms = stamp_ms if oldest_ms is None else min(oldest_ms, stamp_ms)
        return None if oldest_ms is None else max(0.0, self._time.age_s(oldest_ms))

    def _floors_here(self, running: Running, lag: Lag) -> Iterator[tuple[Topic, int]]:
        """Where it is in some of the topics in which it lacks something."""
        found: list[Topic] = []
        for topic_id, place in islice(lag.places.items(), PLACES_MAX_COUNT):
            topic = self._catalog.by_id(topic_id)
            if topic is not None and (topic.last_seq > place.taken or place.open_count):
                found.append(topic)
                if len(found) == TOPICS_MAX_COUNT:
                    break
        for topic in found:
            yield topic, running.floor_of(topic)

    async def _stored_floors(self, record: SubscriptionRecord) -> list[tuple[Topic, int]]:
        topics = self._catalog.matching(record.tenant, record.pattern)[:TOPICS_MAX_COUNT]
        rows = await self._store.progress(
            record.subscription_id, [topic.topic_id for topic in topics]
        )
        floors = {row.topic_id: row.floor for row in rows}
        return [(topic, floors.get(topic.topic_id, 0)) for topic in topics]

    async def _stamp_ms(self, topic: Topic, seq: int) -> int | None:
        """When the message was published, or the first after it that is kept."""
        known = self._stamps.get((topic.topic_id, seq))
        if known is not None:
            return known
        feed = self._engine.feeds.find(topic.topic_id)
        entries = [] if feed is None else feed.slice(seq, 1, None)
        if entries:
            return entries[0].published_at_ms
        messages = await self._store.read(topic.topic_id, seq, limit=1)
        return messages[0].published_at_ms if messages else None
