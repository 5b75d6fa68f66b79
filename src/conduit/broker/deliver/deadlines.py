"""When somebody has to be looked at: one heap of times, and one timer.

An ack deadline is judged only after the sockets were read once more than it ran: a process that was
stopped, or a loop that was held up, first sees the acks that came in time. So a sweep judges by the time
of the sweep before.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from typing import Protocol

from conduit.broker.clock import Clock
from conduit.broker.turn import Turn, guarded
from conduit.core.lateness import Lateness

# Deadlines are met two of these late at most, which is a tenth of the shortest sensible ack wait.
SWEEP_INTERVAL_S = 0.05
# Never watched, or no more.
NEVER = math.inf
# Stale entries are swept out when they outnumber the live ones, and these.
_STALE_FREE_COUNT = 1_000


class Timed(Protocol):
    """What has deadlines. `watched_at` belongs to `Deadlines`; it begins as NEVER."""

    watched_at: float

    def expire(self, judged: float, jitter: float) -> None:
        """Act on all that was due at `judged`; whoever needs it is watched again."""


class Deadlines:
    """Calls those whose time has come. Cost follows from what is due, not from how many are watched."""

    def __init__(self, clock: Clock, turn: Turn, lateness: Lateness) -> None:
        self._clock = clock
        self._turn = turn
        # (at, order of adding, who). An entry whose time is not its owner's `watched_at` is stale.
        self._heap: list[tuple[float, int, Timed]] = []
        self._added_count = 0
        self._watched_count = 0
        self._judged = self._due_at = clock.now()
        self._lateness = lateness
        self._timer: asyncio.TimerHandle | None = None
        self._is_sweeping = False
        # Not for secrets: it spreads redeliveries in time.
        self.rng = random.Random()

    def watch(self, who: Timed, at: float) -> None:
        """Call `who.expire` once `at` has passed, or earlier; does nothing if that is so already."""
        if at >= who.watched_at:
            return
        if who.watched_at == NEVER:
            self._watched_count += 1
        who.watched_at = at
        self._added_count += 1
        heappush(self._heap, (at, self._added_count, who))
        if len(self._heap) > 2 * self._watched_count + _STALE_FREE_COUNT:
            self._heap = [entry for entry in self._heap if entry[0] == entry[2].watched_at]
            heapify(self._heap)

    def unwatch(self, who: Timed) -> None:
        """It is gone."""
        if who.watched_at != NEVER:
            self._watched_count -= 1
        who.watched_at = NEVER

    def start(self) -> None:
        """Begin to sweep."""
        self._judged = self._clock.now()
        self._set_timer(self._judged)

    def stop(self) -> None:
        """No attempt fails any more: what is out stays out."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self, now: float) -> None:
        self._due_at = now + SWEEP_INTERVAL_S
        self._timer = asyncio.get_running_loop().call_later(SWEEP_INTERVAL_S, self._swept)

    def _swept(self) -> None:
        now = self._clock.now()
        self._lateness.add(now - self._due_at, now)
        self._set_timer(now)
        self.sweep(now)

    def sweep(self, now: float) -> None:
        """Call whoever was due at the sweep before, over as many turns of the loop as that takes."""
        judged, self._judged = self._judged, now
        if not self._is_sweeping and self._heap and self._heap[0][0] <= judged:
            self._is_sweeping = True
            self._turn.spread(self._sweep(judged, self.rng.random()))

    def _sweep(self, judged: float, jitter: float) -> Iterator[None]:
        # Not any more after `stop`.
        while self._timer is not None and self._heap and self._heap[0][0] <= judged:
            at, _, who = heappop(self._heap)
            if at == who.watched_at:
                self.unwatch(who)
                guarded(who.expire, judged, jitter)
                yield
        self._is_sweeping = False
