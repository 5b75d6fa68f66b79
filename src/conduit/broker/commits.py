"""What is on its way into the log: noted by the committers, asked by those who give way to commits."""

from __future__ import annotations

from conduit.broker.clock import Clock


class Commits:
    """The commits of all shards of the log. One object for a broker, made before those who use it."""

    __slots__ = ("_begun_ms", "_busy", "_clock")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
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
        """What is not in the log yet has this `published_at_ms`, or a later one."""
        return min(self._begun_ms.values(), default=self._now_ms())

    def queued(self, committer: object) -> None:
        """The committer has something to do."""
        self._busy.add(committer)

    def begin(self, committer: object) -> int:
        """A commit begins; returns its time, which is the `published_at_ms` of all its messages."""
        now_ms = self._begun_ms[committer] = self._now_ms()
        return now_ms

    def end(self, committer: object) -> None:
        """That commit is over."""
        del self._begun_ms[committer]

    def idle(self, committer: object) -> None:
        """The committer has nothing to do any more."""
        self._busy.discard(committer)

    def _now_ms(self) -> int:
        return int(self._clock.now() * 1000)
