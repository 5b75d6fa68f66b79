"""Housekeeping: one task that removes what the retention no longer keeps.

It works in slices with pauses as long as they took, so that a publish waits for one slice at most, and
others have at least half of the store's time. A round that fails is logged; the next one tries again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import msgspec
from msgspec.structs import replace

from conduit.broker.administer.losses import LossTeller
from conduit.broker.catalog import Catalog, Topic
from conduit.broker.deliver.engine import Engine
from conduit.broker.deliver.sequencer import Sequencer
from conduit.broker.rounds import Rounds
from conduit.broker.store_time import StoreTime
from conduit.storage.base import Rule, Sizes, Store
from conduit.storage.dead_letters import DeadBounds

# Rows that one commit removes, a few milliseconds of the store's time; topics that one turn visits.
SLICE_COUNT = 1_000
# How long one round gives room back, and the least time between two looks at how much there is.
GIVE_BACK_S = 1.0
MEASURE_INTERVAL_S = 15.0
# How late a message may leave, as a part of its topic's maximum age: what spares reading the oldest
# message of every topic in every round.
LATENESS = 0.01

logger = logging.getLogger(__name__)


class RetentionRules(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of everything that is not a message; topics carry their own retention."""

    interval_s: float = 5.0
    idempotency_window_s: float = 600.0
    dead_max_age_s: float = 1_209_600.0
    dead_bounds: DeadBounds = DeadBounds()


class _Aged(msgspec.Struct, gc=False):
    """When the age of a topic was looked at last; and what its last number was when. On the clock of
    deadlines."""

    at: float
    marked_at: float
    marked_seq: int


class Housekeeper:
    """Removes old messages, messages of deleted topics, idempotency keys and dead letters."""

    def __init__(
        self,
        store: Store,
        catalog: Catalog,
        engine: Engine,
        sequencer: Sequencer,
        store_time: StoreTime,
        rules: RetentionRules,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._clock = engine.clock
        self._sequencer = sequencer
        self._losses = LossTeller(engine.stats, engine.clock)
        self._time = store_time
        self._rules = rules
        # By topic id.
        self._aged: dict[int, _Aged] = {}
        self._rounds = Rounds("a round of retention", lambda: rules.interval_s, self.round)
        self.sizes: Sizes | None = None
        """How much room the store took lately; None before anybody has looked."""
        self._measured_at = float("-inf")

    def start(self) -> None:
        """Begin the rounds; the first one comes after one interval."""
        self._rounds.start()

    async def stop(self) -> None:
        """End the rounds. A slice that the store has begun is finished by the store. Idempotent."""
        await self._rounds.stop()

    async def round(self) -> None:
        """Bring everything to what the retention keeps now, unless another node does. Raises
        StoreUnavailable."""
        is_leader = await self._store.cleans_up()
        await self._time.lead(is_leader=is_leader)
        await self._time.keep()
        try:
            if is_leader:
                await self._clean()
        finally:
            # On a disk that is full nothing can be removed, and then it matters most.
            await self.measure()
        self._losses.tell(await self._store.dead_losses())

    async def _clean(self) -> None:
        await self._topics()
        await self._repeat(self._store.purge)
        store, rules = self._store, self._rules
        await self._repeat(self._older(rules.idempotency_window_s, store.forget_keys))

        by_tenant = self._catalog.allowances.dead_letters()
        bounds = replace(
            rules.dead_bounds, tenant_max_count=by_tenant.default, tenants=by_tenant.own
        )

        def dead_trim(before_ms: int, limit: int) -> Awaitable[int]:
            return store.dead_trim(before_ms, bounds, limit)

        await self._repeat(self._older(rules.dead_max_age_s, dead_trim))
        # Who was away for longer than dead letters are kept is not told of topics that were made anew.
        await self._repeat(self._older(rules.dead_max_age_s, store.former_trim))

        await self._give_back()

    async def _give_back(self) -> None:
        until, more = _now() + GIVE_BACK_S, True
        while more and _now() < until:
            began = _now()
            more = await self._store.give_back()
            await pause(began)

    async def measure(self) -> None:
        """Look at how much room the store takes, unless that was done lately. Raises StoreUnavailable."""
        now = self._clock.now()
        if now >= self._measured_at + MEASURE_INTERVAL_S:
            self.sizes, self._measured_at = await self._store.measure(), now

    def _older(
        self, age_s: float, remove: Callable[[int, int], Awaitable[int]]
    ) -> Callable[[int], Awaitable[int]]:
        """Remove what is older, and find anew for each slice what that is: the clock of this server, or of
        another one, may have been set back since the last."""

        async def remove_slice(limit: int) -> int:
            await self._time.hear()
            with self._time.removing(age_s) as before_ms:
                return await remove(before_ms, limit)

        return remove_slice

    async def _topics(self) -> None:
        # Carried over one by one, so that deleted topics drop out.
        aged, self._aged = self._aged, {}
        for number, topic in enumerate(self._catalog.everywhere(), 1):
            # Not once for all: it may be minutes since the round began.
            now = self._clock.now()
            if self._is_due(topic, now, aged.get(topic.topic_id)):
                await self._trim(topic, self._through_seq(topic, now))
            if number % SLICE_COUNT == 0:
                await asyncio.sleep(0)

    def _is_due(self, topic: Topic, now: float, aged: _Aged | None) -> bool:
        keep = topic.retention
        if aged is None and keep.max_age_s is not None:
            aged = _Aged(0.0, now, topic.last_seq)
        if aged is not None:
            self._aged[topic.topic_id] = aged
        if self._store.kind == "memory":
            # A store in memory makes room by itself, in any topic: its answer is what is left.
            return True
        stored_count = topic.last_seq - topic.first_seq + 1
        if stored_count == 0:
            return False
        if keep.max_messages is not None and stored_count > keep.max_messages:
            return True
        if keep.max_bytes is not None and topic.stored_bytes > keep.max_bytes:
            return True
        if keep.max_age_s is None:
            return False
        assert aged is not None
        if now < aged.at + keep.max_age_s * LATENESS:
            return False
        aged.at = now
        return True

    def _through_seq(self, topic: Topic, now: float) -> int:
        """Up to which number messages are too old whatever their stamps say: they were there when the
        mark was made. So a stamp of the future keeps a message for twice its maximum age at most."""
        max_age_s, aged = topic.retention.max_age_s, self._aged.get(topic.topic_id)
        if max_age_s is None or aged is None or now < aged.marked_at + max_age_s:
            return 0
        through_seq = aged.marked_seq
        aged.marked_at, aged.marked_seq = now, topic.last_seq
        return through_seq

    async def _trim(self, topic: Topic, through_seq: int) -> None:
        more = True
        rule = await self._rule(topic, through_seq)
        while more and not topic.is_deleted:
            began = _now()
            trimmed = await self._store.trim(topic.topic_id, rule, SLICE_COUNT)
            if self._catalog.by_id(topic.topic_id) is not topic:
                return
            self._sequencer.trimmed(topic, trimmed.first_seq)
            # A commit that ended in this turn may be missing here; the next slice counts it.
            topic.now_holds(trimmed.stored_bytes)
            more = trimmed.more
            await pause(began)

    async def _rule(self, topic: Topic, through_seq: int) -> Rule:
        age_s = topic.retention.max_age_s
        if age_s is None:
            return Rule(topic.retention, 0, through_seq)
        # In this order: who stores more from here on may have a clock that was set back, and be heard of too
        # late. Whoever stored what is there by now had told of its clock before.
        extents = await self._store.extents([topic.topic_id])
        aged_seq = max((extent.last_seq for extent in extents), default=0)
        await self._time.hear()
        # A store counts the age from here: what has a lower stamp than `before_ms` goes.
        now_ms = self._time.before_ms(age_s) + age_s * 1000
        return Rule(topic.retention, now_ms, through_seq, aged_seq)

    async def _repeat(self, remove: Callable[[int], Awaitable[int]]) -> None:
        """Remove slice after slice until one is not full."""
        removed_count = SLICE_COUNT
        while removed_count >= SLICE_COUNT:
            began = _now()
            removed_count = await remove(SLICE_COUNT)
            await pause(began)


def _now() -> float:
    return asyncio.get_running_loop().time()


async def pause(began: float) -> None:
    """Let others work for as long as the slice has, that began then."""
    await asyncio.sleep(_now() - began)
