"""What is to be done once at the end of the loop's turn, however often it was asked for; and what is too much
for one turn, in steps.

What came in a turn is done at its end, within a budget of time. What is over waits in line with other large
work, which gets a share of every turn, and nothing that comes later waits for that: a message for somebody
else passes a subscription with 100,000 topics that is being paused.

Where there is more than one turn takes, tenants take turns: of what came one thing of each, and of what waits
in line one tenant has the share of each turn. So much work of one is little delay for another.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import ParamSpec, Protocol, TypeVar

from conduit.errors import Unavailable

P = ParamSpec("P")
T = TypeVar("T")

# What came in one turn of the loop, and what of it is done at its end.
TURN_MAX_COUNT = 500
TURN_MAX_S = 0.002
# A turn with more to do does not end before that. A thread that waits for Python's lock asks for it after
# SWITCH_INTERVAL_S (server/serving.py) without being woken, and the end of each turn of uvloop wakes it, and
# takes the lock back before it is awake: turns of 0.07 ms kept the thread that commits from it for 250 ms.
TURN_MIN_S = 0.001
ROUNDS_MAX_COUNT = 100
# A turn with so little to do looks at no clock.
_FEW_COUNT = 8
# Steps of what is spread over many turns, and what they may take in one of them.
STEPS_MAX_COUNT = 500
STEPS_MAX_S = 0.001

logger = logging.getLogger(__name__)


class Work(Protocol):
    """Something that collects during a turn and acts at its end. `whose`, if it is there, is its tenant."""

    def run(self) -> None:
        """Act on what was collected."""


def guarded(call: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
    """Call it as the root of its work: a bug there is logged, and costs nobody else their turn."""
    try:
        call(*args, **kwargs)
    except Exception:
        logger.exception("a callback failed")


def log_failure(log: logging.Logger, what: str, error: Exception) -> None:
    """A store that cannot be used is one line; anything else is a bug, with its trace."""
    if isinstance(error, Unavailable):
        log.warning("%s: %s", what, error)
    else:
        log.error(what, exc_info=error)


def each(items: Iterable[T], act: Callable[[T], object]) -> Iterator[None]:
    """`act` on each of them, as steps for `Turn.spread`; a bug in one is logged, and the others follow."""
    for item in items:
        guarded(act, item)
        yield


def _whose(work: Work) -> Hashable:
    return getattr(work, "whose", None)


def _in_turn(work: Iterable[Work]) -> Iterable[Work]:
    """One of each tenant, then the next one of each. An item costs the same, whosever the others are."""
    lines: dict[Hashable, deque[Work]] = {}
    for item in work:
        lines.setdefault(_whose(item), deque()).append(item)
    if len(lines) == 1:
        return work
    return _one_of_each(deque(lines.values()))


def _one_of_each(lines: deque[deque[Work]]) -> Iterator[Work]:
    while lines:
        line = lines.popleft()
        yield line.popleft()
        if line:
            lines.append(line)


def _and_then(steps: Iterator[object], told: Callable[[], object]) -> Iterator[object]:
    try:
        yield from steps
    finally:
        told()


def _step(steps: Iterator[object]) -> bool:
    """Take one; False if there was none, or it has failed."""
    try:
        next(steps)
    except StopIteration:
        return False
    except Exception:
        logger.exception("a callback failed")
        return False
    return True


class Turn:
    """Coalesces: writes join per connection and turn, acks that came in one read share one pass.

    `now` is a clock in seconds that goes on while a turn of the loop lasts; the loop's own stands still.
    """

    __slots__ = ("_late", "_now", "_scheduled", "_spread", "_work", "deferred_s")

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        # Insertion order is the order of execution.
        self._work: dict[Work, None] = {}
        # What was over in its turn, by tenant; its line is one of those in `_spread`.
        self._late: dict[Hashable, OrderedDict[Work, None]] = {}
        # By tenant, in the order of their turns.
        self._spread: OrderedDict[Hashable, deque[Iterator[object]]] = OrderedDict()
        self._scheduled = False
        self.deferred_s = 0.0
        """What was done in this turn and takes its time when it is over, such as writes to sockets: added by
        whoever does that."""

    def add(self, work: Work) -> None:
        """Run `work` when the callbacks of this turn are through."""
        self._work[work] = None
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self.run)

    def later(self, work: Work) -> None:
        """Run `work` when it is its turn among what is late, unless it is added meanwhile."""
        whose = _whose(work)
        late = self._late.get(whose)
        if late is None:
            late = self._late[whose] = OrderedDict()
            self.spread(self._take_late(whose, late), whose)
        late[work] = None

    def spread(self, steps: Iterator[object], whose: Hashable = None) -> None:
        """Take these steps, each of them short, in as many turns as they need; the first ones at the end of
        this turn. Others take theirs in between: a step looks anew at what it is about. An error ends them
        all (see `each`). `whose`: the tenant that it is for."""
        lines = self._spread.get(whose)
        if lines is None:
            lines = self._spread[whose] = deque()
        lines.append(steps)
        if not self._scheduled:
            self._schedule()

    async def take(self, steps: Iterator[object]) -> None:
        """As `spread`; returns when all of them were taken. Cancelling stops the waiting only."""
        done = asyncio.Event()
        self.spread(_and_then(steps, done.set))
        await done.wait()

    async def finished(self) -> None:
        """Wait until nothing is left of all that was spread so far, or comes from it."""
        while self._spread:  # noqa: ASYNC110 - every turn of the loop takes steps
            await asyncio.sleep(0)

    def run(self) -> None:
        """Do it, the oldest first; what is added meanwhile comes then, as long as the turn is short."""
        until = self.deferred_s = 0.0
        for _ in range(ROUNDS_MAX_COUNT):
            work, self._work = self._work, {}
            if len(work) > _FEW_COUNT or self._spread:
                self._run_within_budget(work)
                break
            for item in work:
                guarded(item.run)
            if not self._work or (until and self._time() >= until):
                break
            until = until or self._time() + TURN_MIN_S
        self._scheduled = False
        if self._work or self._spread:
            self._schedule()

    def _schedule(self) -> None:
        self._scheduled = True
        asyncio.get_running_loop().call_soon(self.run)

    def _run_within_budget(self, work: dict[Work, None]) -> None:
        late, until = self._late, self._time() + TURN_MAX_S
        items = iter(_in_turn(work))
        for count, item in enumerate(items, 1):
            if late and (own := late.get(_whose(item))) is not None:
                own.pop(item, None)
            guarded(item.run)
            if count == TURN_MAX_COUNT or self._time() >= until:
                break
        for item in items:
            self.later(item)
        self._take_steps()

    def _take_late(self, whose: Hashable, late: OrderedDict[Work, None]) -> Iterator[None]:
        while late:
            work, _ = late.popitem(last=False)
            guarded(work.run)
            yield
        del self._late[whose]

    def _take_steps(self) -> None:
        """Those who spread something take turns of the loop one by one, and so do the tenants for whom."""
        spread, until, count = self._spread, self._time() + STEPS_MAX_S, 0
        while spread:
            whose, lines = next(iter(spread.items()))
            steps = lines.popleft()
            while _step(steps):
                count += 1
                if count == STEPS_MAX_COUNT or self._time() >= until:
                    lines.append(steps)
                    spread.move_to_end(whose)
                    return
            if lines:
                spread.move_to_end(whose)
            else:
                del spread[whose]

    def _time(self) -> float:
        return self._now() + self.deferred_s
