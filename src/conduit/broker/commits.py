"""What is on its way into the log: noted by the committers, asked by those who give way to commits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Coroutine, Sequence
from typing import Any

from conduit.broker.clock import Clock
from conduit.broker.stamps import Stamps
from conduit.broker.stats import Stats
from conduit.core.message import NewMessage


class Commits:
    """The commits of all shards of the log. One object for a broker, made before those who use it."""

    __slots__ = ("_begun_ms", "_busy", "_clock", "_stamps", "_stats")

    def __init__(self, clock: Clock, stamps: Stamps, stats: Stats) -> None:
        self._clock = clock
        self._stamps = stamps
        self._stats = stats
        # Committers that have something queued or with the store.
        self._busy: set[object] = set()
        # Committer → when the commit began that it is waiting for.
        self._begun_ms: dict[object, int] = {}

    @property
    def is_busy(self) -> bool:
        """Whether something is queued or being stored."""
        return bool(self._busy)

    @property
    def oldest_ms(self) -> int:
        """What is not in the log yet has this `published_at_ms`, or a later one, unless the clock is set
        back: see `StoreTime.earliest_ms`."""
        return min(self._begun_ms.values(), default=self._clock.wall_ms())

    def queued(self, committer: object) -> None:
        """The committer has something to do."""
        self._busy.add(committer)

    def begin(
        self, committer: object, messages: Sequence[NewMessage]
    ) -> Coroutine[Any, Any, None] | None:
        """A commit of these messages begins: they get its time. Returns what `Stamps.give` does."""
        now_ms = self._begun_ms[committer] = self._clock.wall_ms()
        return self._stamps.give(messages, now_ms)

    def stored(
        self, units: Sequence[tuple[int, object, float]], begun_at: float, now: float
    ) -> None:
        """The store has answered that commit: it is done. The last part of each unit says since when its
        publisher waits. Times are on the loop's clock: read once in its turn, to the millisecond."""
        stats, first, last = self._stats, units[0][2], units[-1][2]
        stats.commit_times.add(now - begun_at)
        if first == last:
            # Nearly always: they waited for the same commit. Else one by one would cost each of them a step.
            stats.publish_times.add(now - first, len(units))
        else:
            for since, count in Counter([each[2] for each in units]).items():
                stats.publish_times.add(now - since, count)

    def end(self, committer: object) -> None:
        """That commit is over."""
        del self._begun_ms[committer]

    def idle(self, committer: object) -> None:
        """The committer has nothing to do any more."""
        self._busy.discard(committer)
