"""Group commit: what is published while one commit runs is the next commit; if that is too much for one,
tenants take turns (queues.py).

One commit is in flight, so numbers follow the order of arrival. A batch that the store refuses for its
content is bisected until the poison stands alone; one that fails for the store's own reasons is
answered with that error, and nothing of it was stored.

Nobody waits for ever. What would wait too long is refused when it comes (core/room.py). What still waits
when its time is over is refused, and never stored after that. A commit that takes too long goes on, and its
publishers are told that its outcome is not known.

What was sent before a connection ended is stored like the rest: to close is not to cancel.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from conduit.broker.commits import Commits
from conduit.broker.publish.keys import other_payload
from conduit.broker.publish.proof import Proof
from conduit.broker.publish.queue import Queue, Unit
from conduit.broker.publish.queues import Queues
from conduit.broker.turn import guarded
from conduit.broker.waiting import result_of
from conduit.core.message import NewMessage
from conduit.core.room import COMMIT_MAX_COUNT, QUEUE_MAX_BYTES, QUEUE_MAX_COUNT, Room
from conduit.errors import (
    ConduitError,
    KeyConflict,
    OutcomeUnknown,
    Overloaded,
    StateError,
    StoreDataError,
    StoreUnavailable,
    Unavailable,
)
from conduit.storage.base import Appended, Appender

logger = logging.getLogger(__name__)

Committed = Callable[[Sequence[NewMessage], Sequence[Appended]], Coroutine[Any, Any, None] | None]

_NOTHING = Queue()


class _Marker:
    """A unit without a message. When it is reached, everything that was queued before it is answered."""

    __slots__ = ("_answer",)

    def __init__(self, answer: Callable[[ConduitError | None], None]) -> None:
        self._answer = answer

    def stored(self, _seqs: Sequence[Appended], _start: int) -> None:
        """See `Unit.stored`."""
        self._answer(None)

    def failed(self, _error: ConduitError) -> None:
        """See `Unit.failed`. What stands before it may still be with the store."""
        self._answer(StoreUnavailable("the store does not answer; nothing was changed"))


class Committer:
    """Takes units, messages that are stored together or not at all, and stores them in batches.

    `on_committed` sees every commit before its publishers do; what it returns is waited for. `on_idle` is
    called when nothing is queued any more. `check` is to be called a few times in `timeout_s`.
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
        self.proof = Proof(store)
        self._commits = commits
        self._on_committed = on_committed
        self._on_idle = on_idle
        self._queues = Queues()
        # What the store is busy with.
        self._running = _NOTHING
        # Of a batch that is bisected, what waits for its turn at the store; the next is the last.
        self._halves: list[Queue] = []
        # On the proof's clock: time in which the process stood still is none that the store has taken.
        self._room = Room(timeout_s)
        self._timeout_s = timeout_s
        # On the loop's clock. It is read for a commit and for a check, and not for every message: what comes
        # in between counts as having come then.
        self._now = 0.0
        # When the store got what it is busy with. And whether that has been waited for too long.
        self._begun_at = 0.0
        self._is_stalled = False
        self._is_closed = False
        self._wake = asyncio.Event()
        # Set while nothing is queued or being stored.
        self._idle = asyncio.Event()
        self._idle.set()
        # Set then, and while nobody waits because the store does not answer.
        self._answered = asyncio.Event()
        self._answered.set()

    def submit(
        self,
        messages: Sequence[NewMessage],
        size_bytes: int,
        unit: Unit,
        since: float | None = None,
        whose: object = None,
    ) -> None:
        """Queue one unit of a tenant; `size_bytes` is of its payloads, and it has waited since `since` on the
        loop's clock, if not from now. Raises Unavailable; then nothing was queued."""
        queues, room, count = self._queues, self._room, len(messages)
        if self._is_closed:
            raise Unavailable("the server is stopping", code="shutting_down")
        if self._is_stalled:
            raise StoreUnavailable("the store does not answer; nothing was stored")
        if queues.count + count > room.max_count or queues.size_bytes + size_bytes > room.max_bytes:
            self._find_room(count, size_bytes, whose)
        queue = queues.by_tenant.get(whose)
        if queue is None:
            queue = self._begin_queue(whose)
        if since is None:
            since = self._now
        elif since < queue.oldest:
            queue.oldest = since
        queue.messages.extend(messages)
        queue.units.append((count, unit, since))
        queue.size_bytes += size_bytes
        queues.count += count
        queues.size_bytes += size_bytes

    def _begin_queue(self, whose: object) -> Queue:
        queues = self._queues.by_tenant
        if not queues:
            self._now = asyncio.get_running_loop().time()
            self._wake.set()
            self._idle.clear()
            self._answered.clear()
            self._commits.queued(self)
        queue = queues[whose] = Queue()
        queue.oldest = self._now
        return queue

    def check_room(self, count: int, whose: object = None) -> None:
        """Refuse so many messages as `submit` would, before they are made: while most is refused, making
        them would be most of the work. Raises Overloaded."""
        if self._queues.count + count > self._room.max_count:
            self._find_room(count, 0, whose)

    def _find_room(self, count: int, size_bytes: int, whose: object) -> None:
        """Look closer at whether so much more of this tenant may wait. Raises Overloaded."""
        queues, room = self._queues, self._room
        if not count:
            # A marker takes no room.
            return
        if not (queues.by_tenant or self._running.units) and size_bytes <= QUEUE_MAX_BYTES:
            # However large it is, and however slow the store: else that would never be tried.
            return
        now = self.proof.now()
        until_count, until_bytes = queues.ahead(whose, count, size_bytes)
        if not room.admits(now, until_count, until_bytes):
            wait_s = room.wait_s(now, until_count - count, until_bytes - size_bytes)
            raise Overloaded(
                f"the store needs {wait_s:.1f} s for what waits already, and nothing more is taken until "
                "then; nothing was stored",
                retry_after_s=wait_s,
            )
        excess = (
            queues.count + count - QUEUE_MAX_COUNT,
            queues.size_bytes + size_bytes - QUEUE_MAX_BYTES,
        )
        if max(excess) > 0:
            self._make_room(whose, excess)

    def _make_room(self, whose: object, excess: tuple[int, int]) -> None:
        """All together may be no longer: whoever has most in line gives way to one that has its share."""
        given_up = self._queues.take_newest(whose, excess)
        error = Overloaded("too much waits for the store; nothing was stored")
        if not given_up.units:
            raise error
        self._refuse(given_up, error)

    def close(self) -> None:
        """Take nothing more; what is queued is still stored."""
        self._is_closed = True

    async def drain(self) -> None:
        """Wait until nothing is queued any more; without end, if others go on to submit."""
        await self._idle.wait()

    async def answered(self) -> None:
        """As `drain`, or until everybody has been told that the store does not answer."""
        await self._answered.wait()

    async def catch_up(self, whose: object = None) -> None:
        """Wait until everything of this tenant that was submitted before is answered, and for nothing that
        comes later. Raises Unavailable if the store does not get so far in time."""

        def mark(answer: Callable[[ConduitError | None], None]) -> None:
            self.submit((), 0, _Marker(answer), None, whose)

        if not self._idle.is_set():
            await result_of(mark)

    async def run(self) -> None:
        """Store batch after batch until cancelled; cancel it only after `drain`."""
        while True:
            await self._wake.wait()
            while (batch := self._take()).units:
                try:
                    waiting = self._commits.begin(self, batch.messages)
                    if waiting is not None:
                        await waiting
                except Exception as error:  # noqa: BLE001 - the root of a commit, as in `_commit`
                    self._refuse(batch, error)
                    is_stored = False
                else:
                    is_stored = await self._commit(batch)
                self._running = _NOTHING
                self._commits.end(self)
                self._is_stalled = False
                self._room.end(self.proof.now(), is_stored=is_stored)
                # Those who were answered may publish again at once: after one turn of the loop what they
                # sent is here, and shares the next commit.
                await asyncio.sleep(0)
            self._wake.clear()
            self._idle.set()
            self._answered.set()
            self._commits.idle(self)
            self._on_idle()

    def check(self, now: float) -> None:
        """Let nobody wait longer than the time-out, give or take the time between two calls of this; `now`
        is on the loop's clock."""
        self._now = now
        if self._running.units:
            self._room.look(self.proof.now())
            if now >= self._begun_at + self._timeout_s:
                self._stall(now)
            # Again each time: others may have come to wait for the same idempotency keys.
            unknown = OutcomeUnknown(
                "the store does not answer; it may still be stored: repeat it with its idempotency key"
            )
            if self._running.oldest <= now - self._timeout_s:
                self._refuse(self._running.divide(now - self._timeout_s)[0], unknown)
        self._refuse_late(now, self._timeout_s)
        for at, half in enumerate(self._halves):
            if half.oldest <= now - self._timeout_s:
                late, self._halves[at] = half.divide(now - self._timeout_s)
                self._refuse(late, self._too_late())

    def _stall(self, now: float) -> None:
        """The commit that runs has been waited for too long: let nothing wait behind it."""
        self.proof.stalled()
        if not self._is_stalled:
            self._is_stalled = True
            logger.warning("the store has not answered a commit for %g s", now - self._begun_at)
            halves, self._halves = self._halves, []
            for waiting in (*reversed(halves), self._queues.take_all()):
                self._refuse(
                    waiting, StoreUnavailable("the store does not answer; nothing was stored")
                )
            self._answered.set()

    def _refuse_late(self, now: float, patience_s: float) -> None:
        """Whoever has waited for longer has gone, or goes: what is stored for them is missing to others."""
        until = now - patience_s
        if self._queues.oldest <= until:
            late = self._queues.take_late(until)
            self._refuse(late, self._too_late())

    def _too_late(self) -> Overloaded:
        now = self.proof.now()
        return Overloaded(
            "it waited too long for its turn at the store; nothing was stored",
            retry_after_s=self._room.wait_s(now, self._queues.count, self._queues.size_bytes),
        )

    def _take(self) -> Queue:
        """The next batch, which is with the store from now on; empty if there is nothing."""
        queues = self._queues
        if not queues.by_tenant:
            return _NOTHING
        room = self._room
        self._now = now = asyncio.get_running_loop().time()
        if queues.oldest <= now - room.least_patience_s:
            commit_bytes = min(queues.size_bytes, room.commit_bytes)
            self._refuse_late(now, room.patience_s(commit_bytes))
        if queues.count > COMMIT_MAX_COUNT or queues.size_bytes > room.least_commit_bytes:
            batch = queues.take(COMMIT_MAX_COUNT, room.commit_bytes)
        else:
            batch = queues.take_all()
        if batch.units:
            self._running = batch
            self._begun_at = now
            room.begin(self.proof.now(), batch.size_bytes, has_rest=bool(queues.by_tenant))
        return batch

    async def _commit(self, batch: Queue) -> bool:
        """Whether there was something to store, and it was stored as it is."""
        is_stored = await self._append(batch)
        while self._halves:
            is_stored = False
            self._running = self._halves.pop()
            self._begun_at = asyncio.get_running_loop().time()
            await self._append(self._running)
        return is_stored

    async def _append(self, batch: Queue) -> bool:
        try:
            # Markers alone are nothing to store.
            seqs = await self._store.append(batch.messages) if batch.messages else []
        except KeyConflict as error:
            self._refuse_conflicts(batch, error.keys)
            return False
        except StoreDataError as error:
            if len(batch.units) == 1:
                self._refuse(batch, error)
                return False
            self._halves += reversed(batch.split(len(batch.units) // 2))
            return False
        except Exception as error:  # noqa: BLE001 - the root of a commit: answered, and logged if a bug
            self.proof.refused(error, batch.size_bytes)
            self._refuse(batch, error)
            return False
        if seqs:
            now = asyncio.get_running_loop().time()
            self._commits.stored(batch.units, self._begun_at, now)
            self.proof.stored()
            try:
                passing_on = self._on_committed(batch.messages, seqs)
                if passing_on is not None:
                    await passing_on
            except Exception:
                logger.exception("a commit could not be passed on")
        start = 0
        for count, unit, _ in batch.units:
            try:
                unit.stored(seqs, start)
            except Exception:
                # As `guarded` does, without its call for every message.
                logger.exception("an answer failed")
            start += count
        return bool(seqs)

    def _refuse_conflicts(self, batch: Queue, keys: Mapping[int, str]) -> None:
        """Others have used these keys, by their places in the batch, for other payloads. What else is in the
        batch is stored next."""
        refused, rest = batch.apart(keys)
        if rest.units:
            self._halves.append(rest)
        places = {id(batch.messages[place]): key for place, key in keys.items()}
        start = 0
        for count, unit, _ in refused.units:
            messages = refused.messages[start : start + count]
            key = next(places[id(each)] for each in messages if id(each) in places)
            guarded(unit.failed, other_payload("idempotency_key" if count == 1 else None, key))
            start += count

    def _refuse(self, batch: Queue, error: Exception) -> None:
        if not isinstance(error, ConduitError):
            logger.error("a commit failed", exc_info=error)
            error = StateError.of(error)
        for _, unit, _ in batch.units:
            guarded(unit.failed, error)
