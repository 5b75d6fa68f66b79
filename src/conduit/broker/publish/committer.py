"""Group commit: what is published while one commit runs is the next commit.

One commit is in flight, so numbers follow the order of arrival. A batch that the store refuses for its
content is bisected until the poison stands alone; one that fails for the store's own reasons is
answered with that error, and nothing of it was stored. Nobody waits for ever: a commit that takes
too long goes on, and its publishers are told that its outcome is not known.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from conduit.broker.commits import Commits
from conduit.broker.turn import guarded
from conduit.broker.waiting import result_of
from conduit.core.message import NewMessage
from conduit.errors import (
    ConduitError,
    OutcomeUnknown,
    Overloaded,
    StateError,
    StoreDataError,
    StoreUnavailable,
    Unavailable,
)
from conduit.storage.base import Appender

logger = logging.getLogger(__name__)

# Messages in one commit. More adds latency for those that wait, and no throughput (bench).
COMMIT_MAX_COUNT = 2_000
# What may wait for a commit: beyond it publishers are told to come again.
QUEUE_MAX_COUNT = 20_000
QUEUE_MAX_BYTES = 64 << 20

Committed = Callable[[Sequence[NewMessage], Sequence[int]], None]


class Unit(Protocol):
    """Who waits for messages that are stored together or not at all."""

    def stored(self, seqs: Sequence[int], start: int) -> None:
        """They are in the log: the numbers of their whole commit, and where the unit's begin. The last
        that it hears."""

    def failed(self, error: ConduitError) -> None:
        """None of them was stored, which is the last that it hears; or, with OutcomeUnknown, that cannot
        be said yet: then it is told again, any number of times."""


class _Marker:
    """A unit without a message. When it is reached, everything that was queued before it is answered."""

    __slots__ = ("_answer",)

    def __init__(self, answer: Callable[[ConduitError | None], None]) -> None:
        self._answer = answer

    def stored(self, _seqs: Sequence[int], _start: int) -> None:
        """See `Unit.stored`."""
        self._answer(None)

    def failed(self, _error: ConduitError) -> None:
        """See `Unit.failed`. What stands before it may still be with the store."""
        self._answer(StoreUnavailable("the store does not answer; nothing was changed"))


class _Batch:
    """Units in the order in which they came: their messages in one list, and how many each has."""

    __slots__ = ("messages", "size_bytes", "units")

    def __init__(self) -> None:
        self.messages: list[NewMessage] = []
        self.units: list[tuple[int, Unit]] = []
        self.size_bytes = 0

    def split(self, unit_count: int) -> tuple[_Batch, _Batch]:
        """The first `unit_count` units, and the rest."""
        head, tail = _Batch(), _Batch()
        head.units, tail.units = self.units[:unit_count], self.units[unit_count:]
        count = sum(unit[0] for unit in head.units)
        head.messages, tail.messages = self.messages[:count], self.messages[count:]
        head.size_bytes = sum(len(message.payload) for message in head.messages)
        tail.size_bytes = self.size_bytes - head.size_bytes
        return head, tail


_NOTHING = _Batch()


class Committer:
    """Takes units, messages that are stored together or not at all, and stores them in batches.

    `on_committed` sees every commit before its publishers do. `on_idle` is called when nothing is queued
    any more.
    """

    def __init__(
        self,
        store: Appender,
        commits: Commits,
        on_committed: Committed,
        on_idle: Callable[[], None] = lambda: None,
        timeout_s: float = 5.0,
    ) -> None:
        self._store = store
        self._commits = commits
        self._on_committed = on_committed
        self._on_idle = on_idle
        self._queue = _Batch()
        # What the store is busy with.
        self._running = _NOTHING
        self._timeout_s = timeout_s
        # On the loop's clock: when the store got it. And whether it has been waited for too long.
        self._begun_at = 0.0
        self._is_stalled = False
        self._is_closed = False
        self._wake = asyncio.Event()
        # Set while nothing is queued or being stored.
        self._idle = asyncio.Event()
        self._idle.set()

    def submit(self, messages: Sequence[NewMessage], size_bytes: int, unit: Unit) -> None:
        """Queue one unit; `size_bytes` is of its payloads. Raises Unavailable; then nothing was queued."""
        queue = self._queue
        if self._is_closed:
            raise Unavailable("the server is stopping", code="shutting_down")
        if self._is_stalled:
            raise StoreUnavailable("the store does not answer")
        if (
            len(queue.messages) + len(messages) > QUEUE_MAX_COUNT
            or queue.size_bytes + size_bytes > QUEUE_MAX_BYTES
        ):
            raise Overloaded("too many publishes wait for the store")
        if not queue.units:
            self._wake.set()
            self._idle.clear()
            self._commits.queued(self)
        queue.messages.extend(messages)
        queue.units.append((len(messages), unit))
        queue.size_bytes += size_bytes

    def close(self) -> None:
        """Take nothing more; what is queued is still stored."""
        self._is_closed = True

    async def drain(self) -> None:
        """Wait until nothing is queued any more; without end, if others go on to submit."""
        await self._idle.wait()

    async def catch_up(self) -> None:
        """Wait until everything that was submitted before is answered, and for nothing that comes later.
        Raises Unavailable if the store does not get so far in time."""

        def mark(answer: Callable[[ConduitError | None], None]) -> None:
            self.submit((), 0, _Marker(answer))

        if not self._idle.is_set():
            await result_of(mark)

    async def run(self) -> None:
        """Store batch after batch until cancelled; cancel it only after `drain`."""
        while True:
            await self._wake.wait()
            while self._queue.units:
                batch = self._take()
                # One time for all, which is never before that of a lower number.
                now_ms = self._commits.begin(self)
                for message in batch.messages:
                    message.published_at_ms = now_ms
                await self._commit(batch)
                self._running = _NOTHING
                self._commits.end(self)
                self._is_stalled = False
                # Those who were answered may publish again at once: after one turn of the loop what they
                # sent is here, and shares the next commit.
                await asyncio.sleep(0)
            self._wake.clear()
            self._idle.set()
            self._commits.idle(self)
            self._on_idle()

    def check(self, now: float) -> None:
        """Let nobody wait longer than the time-out, give or take the time between two calls of this; `now`
        is on the loop's clock."""
        if not self._running.units or now < self._begun_at + self._timeout_s:
            return
        if not self._is_stalled:
            self._is_stalled = True
            logger.warning("the store has not answered a commit for %g s", now - self._begun_at)
            queue, self._queue = self._queue, _Batch()
            self._refuse(queue, StoreUnavailable("the store does not answer; nothing was stored"))
        # Again each time: others may have come to wait for the same idempotency keys.
        unknown = OutcomeUnknown(
            "the store does not answer; it may still be stored: repeat it with its idempotency key"
        )
        self._refuse(self._running, unknown)

    def _take(self) -> _Batch:
        queue = self._queue
        if len(queue.messages) <= COMMIT_MAX_COUNT:
            self._queue = _Batch()
            return queue
        count = taken = 0
        for unit_count, _ in queue.units:
            # A single unit may be larger than a commit: it cannot be divided.
            if taken and count + unit_count > COMMIT_MAX_COUNT:
                break
            count += unit_count
            taken += 1
        batch, self._queue = queue.split(taken)
        return batch

    async def _commit(self, batch: _Batch) -> None:
        self._running = batch
        self._begun_at = asyncio.get_running_loop().time()
        try:
            # Markers alone are nothing to store.
            seqs = await self._store.append(batch.messages) if batch.messages else []
        except StoreDataError as error:
            if len(batch.units) == 1:
                self._refuse(batch, error)
                return
            for half in batch.split(len(batch.units) // 2):
                await self._commit(half)
            return
        except Exception as error:  # noqa: BLE001 - the root of a commit: answered, and logged if a bug
            self._refuse(batch, error)
            return
        if seqs:
            guarded(self._on_committed, batch.messages, seqs)
        start = 0
        for count, unit in batch.units:
            try:
                unit.stored(seqs, start)
            except Exception:
                # As `guarded` does, without its call for every message.
                logger.exception("an answer failed")
            start += count

    def _refuse(self, batch: _Batch, error: Exception) -> None:
        if not isinstance(error, ConduitError):
            logger.error("a commit failed", exc_info=error)
            error = StateError.of(error)
        for _, unit in batch.units:
            guarded(unit.failed, error)
