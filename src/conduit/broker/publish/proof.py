"""Whether a shard of the log takes writes: proved by a row of its own, and by the commits of publishers.

The row is written every second, one at a time, and whoever asks is told what came of it: a probe waits
for no queue of the store. After a commit that was refused the next row is as large as that commit was, up to
a bound: a disk with a page left takes a small row and no message.

A commit that is stored is a proof as well. A store that is slow takes writes, whether by itself or under
load: it answers, be it for a row or a commit, at least every PATIENCE_S. One that does not is taken for one
that hangs; and once it is, an answer that came late proves nothing: the next one has to come in time. So a
store that takes longer for everything is not ready, and does not come and go.

A commit that is refused is the opposite, whatever became of the row, as long as nothing is stored after it,
or for HOLD_S: some things go wrong with messages only, such as a right that was taken away.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import NamedTuple

from conduit.errors import ConduitError, StateError
from conduit.storage.base import Appender

# From the beginning of one row to that of the next; and between two of them after a commit was refused.
INTERVAL_S = 1.0
AT_ONCE_S = 0.5
# A store that has answered nothing for so long does not take writes. Less than the 5 s in which an operator
# is told; what it is over INTERVAL_S is how long one commit may take at any time.
PATIENCE_S = 4.0
HOLD_S = 4.0
ROW_BYTES = 16
ROW_MAX_BYTES = 1 << 20
# While it lasts the log says so again.
REPEAT_S = 60.0

NO_ANSWER = "the store does not answer"


class _Problem(NamedTuple):
    """Why no writes are taken: for the log, and what peers learn of it."""

    detail: str
    told: str


_UNANSWERED = _Problem(NO_ANSWER, NO_ANSWER)

logger = logging.getLogger(__name__)


class Proof:
    """Of one shard. `start` it when the store is open, and `stop` it before the store is closed."""

    def __init__(self, appender: Appender) -> None:
        self._appender = appender
        self.name = "the store"
        """What the log calls it."""
        self.now: Callable[[], float] = _now
        """Seconds that grow. A clock that leaves out when the process stood still keeps that from counting as
        time in which the store did not answer."""
        self._row_problem: _Problem | None = None
        self._commit_problem: _Problem | None = None
        self._refused_at = 0.0
        self._row_bytes = ROW_BYTES
        # When the store answered last.
        self._answered_at = 0.0
        # How many commits were refused since the log last said that it is ready.
        self._refused_count = 0
        self._wake = asyncio.Event()
        self._judged = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        # Since when the log says that nothing is taken, and when it said so last.
        self._since: float | None = None
        self._told_at = 0.0

    @property
    def problem(self) -> str | None:
        """Why no writes are taken, for the log; None while they are."""
        current = self._current
        return None if current is None else current.detail

    @property
    def told(self) -> str | None:
        """The same for peers, who do not learn where the store is."""
        current = self._current
        return None if current is None else current.told

    @property
    def _current(self) -> _Problem | None:
        if self._commit_problem is not None and self.now() < self._refused_at + HOLD_S:
            return self._commit_problem
        return self._row_problem

    def stored(self) -> None:
        """A commit was stored."""
        # As `_answers_in_time`, without its call for every commit.
        now, before = self.now(), self._answered_at
        self._answered_at, self._commit_problem = now, None
        if self._row_problem is _UNANSWERED and now < before + PATIENCE_S:
            self._row_problem = None

    def refused(self, error: Exception, size_bytes: int) -> None:
        """A commit of that size was refused, for no reason of its publishers."""
        self._refused_at = self.now()
        self._refused_count += 1
        self._commit_problem = _problem_of(error)
        self._row_bytes = min(max(self._row_bytes, size_bytes), ROW_MAX_BYTES)
        self._wake.set()

    def stalled(self) -> None:
        """A commit has been waited for too long. Call it now and then while that is so."""
        self._refused_at = self.now()
        self._commit_problem = _UNANSWERED

    async def start(self) -> None:
        """Begin, and wait for what comes of the first row, or PATIENCE_S."""
        self._answered_at = self.now()
        self._task = asyncio.get_running_loop().create_task(self._run(), name="proof")
        await self._judged.wait()

    async def stop(self) -> None:
        """End; a row that is being written is finished by the store. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def tick(self) -> None:
        """Have the log say what changed. Call it every second."""
        now, problem = self.now(), self.problem
        if problem is None:
            if self._since is not None:
                lasted_s, self._since = now - self._since, None
                refused = self._refused("meanwhile")
                text = "ready again: %s takes writes, after %.1f s%s"
                logger.warning(text, self.name, lasted_s, refused)
            self._refused_count = 0
        elif self._since is None or now >= self._told_at + REPEAT_S:
            since = "" if self._since is None else f" for {now - self._since:.0f} s"
            self._since = now if self._since is None else self._since
            self._told_at = now
            text = "not ready%s: %s takes no writes: %s%s"
            logger.warning(text, since, self.name, problem, self._refused("so far"))

    def _refused(self, when: str) -> str:
        """How many commits were: none, if it was the row that was refused. What became of publishes is told
        by itself: many may have been in one commit, or were refused before there was one."""
        count = self._refused_count
        return f"; commits refused {when}: {count}" if count else ""

    async def _run(self) -> None:
        while True:
            began = _now()
            self._wake.clear()
            await self._prove()
            try:
                async with asyncio.timeout_at(began + INTERVAL_S):
                    await self._wake.wait()
                    await asyncio.sleep(AT_ONCE_S)
            except TimeoutError:
                pass

    async def _prove(self) -> None:
        """Have a row written, to its end: a second one would wait behind it."""
        size_bytes = self._row_bytes
        row = asyncio.get_running_loop().create_task(self._write(size_bytes))
        row.add_done_callback(_heard)
        try:
            while not row.done():
                left_s = self._answered_at + PATIENCE_S - self.now()
                if left_s <= 0:
                    self._judge(_UNANSWERED)
                await asyncio.wait({row}, timeout=left_s if left_s > 0 else PATIENCE_S)
            error, is_in_time = row.exception(), self._answers_in_time()
            if error is not None:
                self._judge(_problem_of(error))
                return
            if size_bytes == self._row_bytes:
                self._row_bytes = ROW_BYTES
            self._judge(None if is_in_time else _UNANSWERED)
        finally:
            row.cancel()
            # Its error knows this frame, and the frame would know the error's task.
            del row

    async def _write(self, size_bytes: int) -> None:
        await self._appender.prove(size_bytes)

    def _answers_in_time(self) -> bool:
        """The store has answered: whether it had done so not long before."""
        now, before = self.now(), self._answered_at
        self._answered_at = now
        return now < before + PATIENCE_S

    def _judge(self, problem: _Problem | None) -> None:
        self._row_problem = problem
        self._judged.set()
        self.tick()


def _heard(row: asyncio.Task[None]) -> None:
    # Nobody may wait for its error any more.
    if not row.cancelled():
        row.exception()


def _problem_of(error: BaseException) -> _Problem:
    if isinstance(error, ConduitError):
        return _Problem(error.detail, error.told)
    return _Problem(repr(error), StateError(repr(error)).told)


def _now() -> float:
    return asyncio.get_running_loop().time()
