"""Writing down the progress of durable subscriptions, and dead letters, in group commits.

What changed is collected and stored at most every 200 ms, or at once when somebody waits for it. After a
crash what was settled in between is delivered again: duplicates, never losses. A death and the progress
that counts it as settled are always in one commit.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
import uuid_utils

from conduit.broker.clock import Clock
from conduit.broker.stats import Stats
from conduit.broker.turn import guarded, log_failure
from conduit.core.message import Death, Progress
from conduit.errors import Overloaded
from conduit.storage.base import Store

if TYPE_CHECKING:
    from conduit.broker.deliver.cursor import Stream

logger = logging.getLogger(__name__)

FLUSH_INTERVAL_S = 0.2
# After a failure the store is given this long.
RETRY_INTERVAL_S = 1.0
# Of so many failures in a row one is logged.
LOG_EVERY_COUNT = 30
# Deaths that wait for the store; beyond it no delivery dies.
DEATHS_MAX_COUNT = 10_000
# Acks that wait to be confirmed; beyond it a confirmation is refused.
CONFIRMATIONS_MAX_COUNT = 100_000

_encode = msgspec.msgpack.Encoder().encode


class Ledger:
    """Collects streams whose progress changed. `on_flushed` is called after every commit, `on_refused` with
    the subscriptions that others have claimed."""

    def __init__(self, store: Store, clock: Clock, stats: Stats) -> None:
        self._store = store
        self._clock = clock
        self._stats = stats
        self._changed: dict[Stream, None] = {}
        self._deaths: list[Death] = []
        self._confirmations: list[Callable[[], None]] = []
        self._wake = asyncio.Event()
        self._urgent = asyncio.Event()
        self._is_stopping = False
        self._failed_count = 0
        self.on_flushed: Callable[[], None] = lambda: None
        self.on_refused: Callable[[set[int]], None] = lambda subscription_ids: None

    @property
    def is_full(self) -> bool:
        """Whether so many deaths wait for the store that no more may happen."""
        return len(self._deaths) >= DEATHS_MAX_COUNT

    def mark(self, stream: Stream) -> None:
        """The stream's progress changed, or deliveries of it died."""
        if stream.delivery.has_dead:
            self._bury(stream)
        if stream.dispatch.name is not None:
            self._changed[stream] = None
        self._wake.set()

    def forget(self, stream: Stream) -> None:
        """The stream is closed: what it stood at is of no use any more."""
        self._changed.pop(stream, None)

    def is_pending(self, stream: Stream) -> bool:
        """Whether the stream has progress that is not stored."""
        return stream in self._changed

    def confirm(self, stored: Callable[[], None]) -> None:
        """Call `stored` when everything marked so far is stored. Raises Overloaded."""
        if len(self._confirmations) >= CONFIRMATIONS_MAX_COUNT:
            raise Overloaded("too many acks wait to be confirmed")
        self._confirmations.append(stored)
        self._wake.set()
        self._urgent.set()

    async def stored(self) -> None:
        """Wait until everything marked so far is stored."""
        done = asyncio.Event()
        self.confirm(done.set)
        await done.wait()

    def wake(self) -> None:
        """Have `on_flushed` called within the flush interval, whether there is something to store or not."""
        self._wake.set()

    def stop(self) -> None:
        """Make `run` flush a last time and return."""
        self._is_stopping = True
        self._wake.set()
        self._urgent.set()

    async def run(self) -> None:
        """Flush whenever there is something to store, until `stop`. Must not be cancelled."""
        while not self._is_stopping:
            await self._wake.wait()
            try:
                async with asyncio.timeout(FLUSH_INTERVAL_S):
                    await self._urgent.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            self._urgent.clear()
            try:
                await self.flush()
                if self._failed_count:
                    logger.info("progress is stored again, after %d failures", self._failed_count)
                    self._failed_count = 0
            except Exception as error:  # noqa: BLE001 - a task root: what is not stored is tried again
                self._failed_count += 1
                if self._failed_count % LOG_EVERY_COUNT == 1:
                    log_failure(logger, "progress could not be stored; trying again", error)
                if not self._is_stopping:
                    await asyncio.sleep(RETRY_INTERVAL_S)
                    self._wake.set()

    async def flush(self) -> None:
        """Store everything that is marked. On an error all of it stays marked, and the error is raised."""
        changed, self._changed = self._changed, {}
        deaths, self._deaths = self._deaths, []
        confirmations, self._confirmations = self._confirmations, []
        try:
            refused = set()
            if changed or deaths:
                progress = [_progress(stream) for stream in changed]
                refused = await self._store.settle(progress, deaths)
        except Exception:
            self._changed = changed | self._changed
            self._deaths = deaths + self._deaths
            self._confirmations = confirmations + self._confirmations
            raise
        if refused:
            # Before the confirmations: who is sent away is told nothing any more.
            guarded(self.on_refused, refused)
        for stored in confirmations:
            guarded(stored)
        guarded(self.on_flushed)

    def _bury(self, stream: Stream) -> None:
        topic, name = stream.feed.topic, stream.dispatch.name or ""
        died_at_ms = int(self._clock.now() * 1000)
        for dead in stream.delivery.take_dead():
            self._stats.dead_lettered_count += 1
            self._deaths.append(
                Death(
                    dead_id=str(uuid_utils.uuid7()),
                    tenant=topic.tenant,
                    subscription=name,
                    topic_id=topic.topic_id,
                    seq=dead.seq,
                    attempts=dead.attempts,
                    reason=dead.reason,
                    died_at_ms=died_at_ms,
                    subscription_id=stream.dispatch.subscription_id if name else None,
                )
            )


def _progress(stream: Stream) -> Progress:
    delivery = stream.delivery
    return Progress(
        subscription_id=stream.dispatch.subscription_id,
        topic_id=stream.feed.topic.topic_id,
        floor=delivery.floor,
        cursor=delivery.cursor,
        open=b"" if delivery.is_idle else _encode(delivery.snapshot()),
        fence=stream.dispatch.fence,
    )
