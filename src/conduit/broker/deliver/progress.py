"""Writing down the progress of durable subscriptions, and dead letters, in group commits.

What changed is collected and stored at most every 200 ms; soon when a subscriber leaves, since who comes
after it may look for what it did; or at once when somebody waits for it. After a crash what was settled in
between is delivered again: duplicates, never losses. A death and the progress that counts it as settled are
always in one commit, and so are the mark of a dead letter that was redriven and the progress that has its
delivery open.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import uuid_utils

from conduit.broker.clock import Clock
from conduit.broker.deliver.group import Group
from conduit.broker.deliver.lags import Lags
from conduit.broker.deliver.marks import Marks, Recorded
from conduit.broker.deliver.stored import Rows
from conduit.broker.deliver.traced import DeliveryTraces
from conduit.broker.stats import Stats
from conduit.broker.turn import guarded, log_failure
from conduit.broker.waiting import result_of
from conduit.core.message import Death, Redriven
from conduit.errors import (
    ConduitError,
    OutcomeUnknown,
    Overloaded,
    StoreUnavailable,
    Unavailable,
)
from conduit.storage.base import Heard, Store

logger = logging.getLogger(__name__)

FLUSH_INTERVAL_S = 0.2
# Of what somebody has settled who leaves: many who leave together share a commit, and nobody outruns it.
SOON_S = 0.02
# After a failure the store is given this long.
RETRY_INTERVAL_S = 1.0
# Failures after `stop`; then what is not stored is given up. With FLUSH_INTERVAL_S between two tries.
LAST_TRIES_COUNT = 3
# Of so many failures in a row one is logged.
LOG_EVERY_COUNT = 30
# Subscriptions, each in one topic, that are stored in one commit, and looked at in one turn of the loop.
FLUSH_MAX_COUNT = 1_000
# Deaths that are stored in one commit: so many, or fewer if their messages may be that large together. The
# store has only so long for a commit.
PART_DEATHS_MAX_COUNT = 1_000
PART_DEATHS_MAX_BYTES = 64 << 20
# Deaths that wait for the store; beyond it no delivery dies: a verb is refused, and time has no effect.
DEATHS_MAX_COUNT = 10_000
# Acks that wait to be confirmed; beyond it a confirmation is refused.
CONFIRMATIONS_MAX_COUNT = 100_000

Told = Callable[[ConduitError | None], None]
"""Gets None when all is stored that was marked before, or why it never will be."""
Refused = set[tuple[int, int | None]]
"""Subscriptions, each with the fence that the store refused because others have a newer one."""
After = Callable[[Refused], None]


class ProgressWriter:
    """Collects whose progress changed, and stores it."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        stats: Stats,
        lags: Lags,
        traces: DeliveryTraces | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._stats = stats
        self._lags = lags
        self._traces = traces
        self._marked = Marks()
        # What the store is being told.
        self._flushing = Marks()
        # What former topics' gaps were heard of, by subscription, name and epoch.
        self._heard: dict[tuple[int, str, str], Heard] = {}
        # Who waits for what is marked, and for all that is being stored.
        self._confirmations: list[Told] = []
        self._confirming: list[Told] = []
        # Flushes so far: what is marked now is stored in the one that follows. And the last that stored all.
        self._round = 1
        self._stored_round = 0
        self._wake = asyncio.Event()
        self._urgent = asyncio.Event()
        self._is_soon = False
        self._is_stopping = False
        self._has_ended = False
        self._failed_count = 0
        # Whether what could not be stored may be stored all the same.
        self._is_unknown = False
        self._after: After = lambda _: None
        self._part_deaths_max_count = PART_DEATHS_MAX_COUNT
        self.storing = asyncio.Lock()
        """Held during every flush. Who stores progress in another way holds it until the machines agree, or
        a flush that overlaps would store where they were before."""

    def expect_payloads(self, max_bytes: int) -> None:
        """Messages may have payloads as large as that."""
        fitting_count = max(1, PART_DEATHS_MAX_BYTES // max_bytes)
        self._part_deaths_max_count = min(PART_DEATHS_MAX_COUNT, fitting_count)

    def deaths_left(self, who: Recorded) -> int:
        """How many more deliveries may die there before the store has taken deaths that wait for it. None
        while its topic or its subscription is being deleted: the store would hear of them too late."""
        if who.topic.is_deleted or who.group.is_ending:
            return 0
        return max(0, DEATHS_MAX_COUNT - self._marked.deaths_count - self._flushing.deaths_count)

    def mark(self, who: Recorded) -> None:
        """Its progress changed, or deliveries of it died."""
        if who.delivery.dead:
            self._bury(who)
        if who.group.name is not None:
            self._marked.changed.setdefault(who)
            who.group.marked_in = self._round
        self._wake.set()

    def redriven(self, who: Recorded, seq: int, mark: Redriven) -> None:
        """A dead delivery is open again, for which `who` was marked. Its dead letter is marked in the same
        commit, unless it has died again by then."""
        self._marked.open_again(who, seq, mark)

    def heard(self, heard: Heard) -> None:
        """A gap of a topic that is gone need not be told again. If it cannot be stored, it is told again."""
        self._heard[heard[:3]] = heard
        self._wake.set()

    def forget(self, who: Recorded) -> None:
        """It is closed: where it stood is of no use any more."""
        self._marked.forget(who)
        self._flushing.forget(who)

    def is_pending(self, who: Recorded) -> bool:
        """Whether it has progress that is not stored."""
        return who in self._marked.changed or who in self._flushing.changed

    def is_stored(self, group: Group) -> bool:
        """Whether all progress of that subscription is stored. `False` may be late by one flush."""
        return group.marked_in <= self._stored_round

    def death_of(self, who: Recorded, seq: int) -> Death | None:
        """How a delivery died there, if the store does not know it yet."""
        return self._marked.death_of(who, seq) or self._flushing.death_of(who, seq)

    def is_redriven(self, who: Recorded, seq: int) -> bool | None:
        """Whether a dead letter there is to be marked as redriven (True), or to be stored as one that is not;
        None if neither waits for the store."""
        # The first is the younger.
        found = (marks.is_redriven(who, seq) for marks in (self._marked, self._flushing))
        return next((each for each in found if each is not None), None)

    def confirm(self, told: Told) -> None:
        """Have it called when everything marked so far is stored. Raises Unavailable."""
        if self._has_ended:
            raise Unavailable("the server is stopping", code="shutting_down")
        if len(self._confirmations) + len(self._confirming) >= CONFIRMATIONS_MAX_COUNT:
            raise Overloaded("too many acks wait to be confirmed")
        self._confirmations.append(told)
        self._wake.set()
        self._urgent.set()

    async def stored(self) -> None:
        """Wait until everything marked so far is stored. Raises Unavailable if it never will be."""
        await result_of(self.confirm)

    def wake(self) -> None:
        """Have `run` call its `after` within the flush interval, even if there is nothing to store."""
        self._wake.set()

    def soon(self, group: Group) -> None:
        """Somebody has left it: what is marked of it is stored earlier."""
        if not self._is_soon and (self._marked.deaths_count or not self.is_stored(group)):
            self._is_soon = True
            asyncio.get_running_loop().call_later(SOON_S, self._urgent.set)

    def stop(self) -> None:
        """Make `run` store what is marked by then, and return."""
        self._is_stopping = True
        self._wake.set()
        self._urgent.set()

    async def run(self, after: After) -> None:
        """Flush whenever there is something to store, until `stop`; once. Must not be cancelled.

        `after` is called with the subscriptions that others have claimed, as soon as that is known and before
        acks are confirmed, so that who is sent away is told nothing any more; and with none after every
        flush, also one that failed half way.
        """
        self._after = after
        tries_left = LAST_TRIES_COUNT
        while tries_left and (self._has_work or not self._is_stopping):
            await self._due()
            try:
                await self.flush()
                self._is_unknown = False
                if self._failed_count:
                    logger.info("progress is stored again, after %d failures", self._failed_count)
                    self._failed_count = 0
            except Exception as error:  # noqa: BLE001 - a task root: what is not stored is tried again
                self._failed_count += 1
                self._is_unknown |= isinstance(error, OutcomeUnknown)
                if self._failed_count % LOG_EVERY_COUNT == 1:
                    log_failure(logger, "progress could not be stored; trying again", error)
                tries_left -= self._is_stopping
                await asyncio.sleep(FLUSH_INTERVAL_S if self._is_stopping else RETRY_INTERVAL_S)
                self._wake.set()
        self._end()

    @property
    def _has_work(self) -> bool:
        # What another flush stores may be marked again.
        return bool(self._marked or self._heard or self._confirmations or self.storing.locked())

    async def _due(self) -> None:
        """Wait until there is something to store, and as long as that may wait; not after `stop`."""
        if self._is_stopping:
            return
        await self._wake.wait()
        try:
            async with asyncio.timeout(FLUSH_INTERVAL_S):
                await self._urgent.wait()
        except TimeoutError:
            pass
        self._wake.clear()
        self._urgent.clear()
        self._is_soon = False

    def _end(self) -> None:
        """Nothing is stored any more: whoever waits for that is told so."""
        self._has_ended = True
        if self._marked:
            logger.warning("the server stops, and its last progress could not be stored")
        if self._is_unknown:
            error: ConduitError = OutcomeUnknown("the server stopped before the store had answered")
        else:
            error = StoreUnavailable("the server stopped before it could be stored")
        for told in self._confirmations:
            guarded(told, error)

    async def flush(self) -> None:
        """Store everything that is marked by now. On an error what is not stored stays marked, for `run` to
        try again, and the error is raised."""
        async with self.storing:
            await self.flush_held()

    async def flush_held(self) -> None:
        """As `flush`, by who holds `storing`."""
        self._confirming, self._confirmations = self._confirmations, []
        round_ = self._round
        self._round += 1
        try:
            await self._store_heard()
            await self._store_in_parts(len(self._marked.changed))
        except BaseException:
            # Without those that were closed meanwhile: where they stand now is not where they stood.
            self._marked.put_back(self._flushing)
            self._confirmations = self._confirming + self._confirmations
            self._confirming = []
            raise
        else:
            self._stored_round = round_
        finally:
            self._flushing = Marks()
            guarded(self._after, set())
        confirming, self._confirming = self._confirming, []
        for told in confirming:
            guarded(told, None)

    async def _store_in_parts(self, count: int) -> None:
        """Store the first `count` that are marked.

        A death is in the commit of its subscription's progress: each part has what died there until it is
        made, and nothing dies while it is made. What of it is for a later part is stored as open by then.
        """
        while True:
            part, whole_count = self._marked.take(
                min(count, FLUSH_MAX_COUNT), self._part_deaths_max_count
            )
            # What was forgotten meanwhile is not there any more.
            if not part and not whole_count:
                return
            count -= whole_count
            if part:
                self._flushing = part
                await self._store_part(part)
            # Also what became one meanwhile: it may be of what was to be stored.
            if count <= 0 and not self._marked.orphans:
                return
            # A store in memory does not wait.
            await asyncio.sleep(0)

    async def _store_part(self, part: Marks) -> None:
        for who in part.changed:
            lag = self._lags.by_id.get(who.group.subscription_id)
            if lag is not None:
                lag.look(who.topic, who.delivery)
        rows = Rows(part.changed, part.later, self._clock)
        try:
            ids = await self._store.settle(rows.progress, part.deaths(), part.redriven())
        except BaseException:
            rows.put_back()
            raise
        rows.did_store()
        if ids:
            fences = {(row.subscription_id, row.fence) for row in rows.progress}
            # Before the next part: it would be refused what there is of them.
            guarded(self._after, {pair for pair in fences if pair[0] in ids})

    async def _store_heard(self) -> None:
        heard, self._heard = self._heard, {}
        if not heard:
            return
        try:
            await self._store.former_heard(list(heard.values()))
        except BaseException:
            self._heard = heard | self._heard
            raise

    def _bury(self, who: Recorded) -> None:
        topic, name = who.topic, who.group.name or ""
        died_at_ms = self._clock.wall_ms()
        deaths = [
            Death(
                dead_id=str(uuid_utils.uuid7()),
                tenant=topic.tenant,
                subscription=name,
                topic_id=topic.topic_id,
                seq=dead.seq,
                attempts=dead.attempts,
                reason=dead.reason,
                died_at_ms=died_at_ms,
                subscription_id=who.group.subscription_id if name else None,
            )
            for dead in who.delivery.take_dead()
        ]
        self._stats.dead_lettered_count += len(deaths)
        who.group.allowance.counts.dead_lettered_count += len(deaths)
        self._marked.bury(who, deaths)
        if self._traces is not None:
            self._traces.died(who.group, topic, deaths)
        # What is being stored may fail, and be tried again together with these deaths.
        for marks in (self._marked, self._flushing):
            marks.forget_redriven(who, deaths)
