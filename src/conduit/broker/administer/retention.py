"""Housekeeping: one task that removes what the retention no longer keeps.

It works in slices with pauses as long as they took, so that a publish waits for one slice at most, and
others have at least half of the store's time. A round that fails is logged; the next one tries again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import msgspec

from conduit.broker.catalog import Catalog, Topic
from conduit.broker.clock import Clock
from conduit.broker.turn import log_failure
from conduit.storage.base import Store

# Rows that one commit removes, a few milliseconds of the store's time; topics that one turn visits.
SLICE_COUNT = 1_000
# How late a message may leave, as a part of its topic's maximum age: what spares reading the oldest
# message of every topic in every round.
LATENESS = 0.01

logger = logging.getLogger(__name__)


class RetentionRules(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of everything that is not a message; topics carry their own retention."""

    interval_s: float = 5.0
    idempotency_window_s: float = 600.0
    dead_max_age_s: float = 1_209_600.0
    dead_max_count: int = 100_000
    """Per tenant."""


class Housekeeper:
    """Removes old messages, messages of deleted topics, idempotency keys and dead letters."""

    def __init__(self, store: Store, catalog: Catalog, clock: Clock, rules: RetentionRules) -> None:
        self._store = store
        self._catalog = catalog
        self._clock = clock
        self._rules = rules
        # topic_id -> when its age was looked at last.
        self._aged_at: dict[int, float] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin the rounds; the first one comes after one interval."""
        self._task = asyncio.create_task(self._run())  # noqa: TID251 - the only root here; `stop` cancels it

    async def stop(self) -> None:
        """End the rounds. A slice that the store has begun is finished by the store. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def round(self) -> None:
        """Bring everything to what the retention keeps now, unless another node does. Raises
        StoreUnavailable."""
        if not await self._store.cleans_up():
            return
        now = self._clock.now()
        await self._topics(now)
        await self._repeat(self._store.purge)
        keys_before_ms = int((now - self._rules.idempotency_window_s) * 1000)
        await self._repeat(lambda limit: self._store.forget_keys(keys_before_ms, limit))
        dead_before_ms = int((now - self._rules.dead_max_age_s) * 1000)
        count = self._rules.dead_max_count
        await self._repeat(lambda limit: self._store.dead_trim(dead_before_ms, count, limit))
        # Who was away for longer than dead letters are kept is not told of topics that were made anew.
        await self._repeat(lambda limit: self._store.former_trim(dead_before_ms, limit))

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._rules.interval_s)
            try:
                await self.round()
            except Exception as error:  # noqa: BLE001 - a task root: the next round tries again
                log_failure(logger, "a round of retention failed; the next one tries again", error)

    async def _topics(self, now: float) -> None:
        # Carried over one by one, so that deleted topics drop out.
        aged_at, self._aged_at = self._aged_at, {}
        for number, topic in enumerate(self._catalog.everywhere(), 1):
            if self._is_due(topic, now, aged_at.get(topic.topic_id, 0.0)):
                await self._trim(topic, int(now * 1000))
            if number % SLICE_COUNT == 0:
                await asyncio.sleep(0)

    def _is_due(self, topic: Topic, now: float, aged_at: float) -> bool:
        if self._store.kind == "memory":
            # A store in memory makes room by itself, in any topic: its answer is what is left.
            return True
        keep = topic.retention
        stored_count = topic.last_seq - topic.first_seq + 1
        if stored_count == 0:
            return False
        if keep.max_messages is not None and stored_count > keep.max_messages:
            return True
        if keep.max_bytes is not None and topic.stored_bytes > keep.max_bytes:
            return True
        if keep.max_age_s is None:
            return False
        due = now >= aged_at + keep.max_age_s * LATENESS
        self._aged_at[topic.topic_id] = now if due else aged_at
        return due

    async def _trim(self, topic: Topic, now_ms: int) -> None:
        more = True
        while more and not topic.is_deleted:
            began = _now()
            trimmed = await self._store.trim(topic.topic_id, topic.retention, now_ms, SLICE_COUNT)
            topic.first_seq = trimmed.first_seq
            # A commit that ended in this turn may be missing here; the next slice counts it.
            topic.stored_bytes = trimmed.stored_bytes
            more = trimmed.more
            await _pause(began)

    async def _repeat(self, remove: Callable[[int], Awaitable[int]]) -> None:
        """Remove slice after slice until one is not full."""
        removed_count = SLICE_COUNT
        while removed_count >= SLICE_COUNT:
            began = _now()
            removed_count = await remove(SLICE_COUNT)
            await _pause(began)


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _pause(began: float) -> None:
    """Let others work for as long as the slice has, that began then."""
    await asyncio.sleep(_now() - began)
