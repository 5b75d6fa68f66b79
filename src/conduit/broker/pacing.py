"""Subscriptions that wait for their tenant: for the rate of its deliveries, or until it has fewer retries."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from itertools import islice
from typing import Protocol

from conduit.broker.clock import Clock
from conduit.core.bucket import Bucket
from conduit.core.retries import Tally


class Held(Protocol):
    """Who may have gone no further because of a limit."""

    def freed(self) -> None:
        """Look again, at the end of the turn."""


class Pending(Tally):
    """Deliveries of a tenant that wait for their next attempt, in all subscriptions that run here."""

    __slots__ = ("_held", "_max_count")

    def __init__(self) -> None:
        super().__init__()
        self._max_count: int | None = None
        self._held: dict[Held, None] = {}

    @property
    def is_full(self) -> bool:
        """Whether there are as many as there may be."""
        return self._max_count is not None and self.count >= self._max_count

    @property
    def is_half_empty(self) -> bool:
        """Whether there are no more than half of those that there may be."""
        return self._max_count is None or self.count <= self._max_count // 2

    def add(self, change: int) -> None:
        """See `Tally.add`."""
        super().add(change)
        if self._held and not self.is_full:
            self._free()

    def bound(self, max_count: int | None) -> None:
        """There may be so many from now on."""
        self._max_count = max_count
        self._free()

    def wait(self, who: Held) -> None:
        """Have it told when there is room again."""
        if self.is_full:
            self._held[who] = None

    def leave(self, who: Held) -> None:
        """It does not wait any more. Idempotent."""
        self._held.pop(who, None)

    def _free(self) -> None:
        held, self._held = self._held, {}
        for who in held:
            who.freed()


class Paced(Protocol):
    """What is to be called when its time has come; see deliver/deadlines.py."""

    watched_at: float

    def expire(self, judged: float, jitter: float) -> None:
        """It has."""


class Timer:
    """What is made before the deadlines are, and then has them."""

    __slots__ = ("watch",)

    def __init__(self) -> None:
        self.watch: Callable[[Paced, float], None] = lambda _who, _at: None
        """Have it called once that time has passed."""


class Deliveries:
    """The rate of a tenant's deliveries, and the subscriptions that wait for it, in line.

    As long as somebody waits, others wait behind. When there is room again, those in line get a share of it
    each, in turn, which is theirs until there is room the next time: they may have to read the log first. Who
    wants more waits again. So nothing is lost, and however many they are, each comes on.
    """

    __slots__ = ("_bucket", "_clock", "_line", "_shares", "_shares_count", "_timer", "watched_at")

    def __init__(self, rate: int, clock: Clock, timer: Timer) -> None:
        self._clock = clock
        self._timer = timer
        self._bucket = Bucket(rate, clock.now())
        self._line: OrderedDict[Held, None] = OrderedDict()
        # What is left of the shares, and of all together.
        self._shares: dict[Held, int] = {}
        self._shares_count = 0
        self.watched_at = math.inf

    @property
    def rate(self) -> int:
        """In a second."""
        return self._bucket.rate

    def room(self, who: Held) -> int:
        """How many it may hand out now."""
        level = int(self._bucket.level(self._clock.now()))
        share = self._shares.get(who)
        if share is not None:
            level = min(level, share)
        elif self._line:
            level = 0
        else:
            level -= self._shares_count
        return max(level, 0)

    def spend(self, who: Held, count: int) -> None:
        """It has handed out so many."""
        self._bucket.spend(count, self._clock.now())
        share = self._shares.get(who)
        if share is not None:
            self._shares_count -= min(share, count)
            if share > count:
                self._shares[who] = share - count
            else:
                del self._shares[who]

    def wait(self, who: Held) -> None:
        """Have it told when it may hand out something. Whoever waits already keeps its place."""
        if who not in self._line:
            self._line[who] = None
            if len(self._line) == 1:
                self._watch()

    def leave(self, who: Held) -> None:
        """It does not run any more. Idempotent."""
        self._line.pop(who, None)
        self._shares_count -= self._shares.pop(who, 0)

    def expire(self, _judged: float, _jitter: float) -> None:
        """There may be room: let those who wait have it, as many as there are deliveries to be had."""
        # What nobody had a use for is given out again.
        self._shares.clear()
        self._shares_count = 0
        room = int(self._bucket.level(self._clock.now()))
        if room > 0 and self._line:
            share = max(1, room // len(self._line))
            for who in tuple(islice(self._line, room)):
                del self._line[who]
                self._shares[who] = share
                self._shares_count += share
                who.freed()
        self._watch()

    def free(self) -> None:
        """There is no such rate any more."""
        line, self._line = self._line, OrderedDict()
        for who in line:
            who.freed()

    def _watch(self) -> None:
        now = self._clock.now()
        wait_s = self._bucket.wait_s(1, now)
        if self._line and wait_s < math.inf:
            self._timer.watch(self, now + wait_s)
