"""What was done for one tenant, as the node's `Stats` has it for all: counts and rates.

The path of a message only adds to integers. A rate is how much a count has grown since a mark of ten seconds
ago, or somewhat more: two marks are all that is kept of a tenant that nobody looks at.
"""

from __future__ import annotations

from typing import NamedTuple

from conduit.broker.stats import Gauges, Rates

# Between two marks of one tenant.
MARK_INTERVAL_S = 10
# Rates of the first moments are those of so much at least.
RATE_MIN_S = 1.0


class _Mark(NamedTuple):
    """The counts at one time, in the order of the fields of `Rates`."""

    at: float
    counts: tuple[int, ...]


class Counts:
    """Since the tenant is known to this process: as long as it has something here."""

    __slots__ = (
        "_marks",
        "acked_count",
        "dead_lettered_count",
        "delivered_count",
        "published_count",
        "redelivered_count",
        "subscriber_count",
    )

    def __init__(self, now: float) -> None:
        self.published_count = 0
        self.delivered_count = 0
        """Redeliveries included."""
        self.redelivered_count = 0
        self.acked_count = 0
        self.dead_lettered_count = 0
        self.subscriber_count = 0
        """That there are now."""
        mark = _Mark(now, self._now)
        # The one before the last, and the last.
        self._marks = mark, mark

    @property
    def _now(self) -> tuple[int, ...]:
        return (
            self.published_count,
            self.delivered_count,
            self.redelivered_count,
            self.acked_count,
            self.dead_lettered_count,
        )

    def mark(self, now: float) -> None:
        """Call it every MARK_INTERVAL_S."""
        self._marks = self._marks[1], _Mark(now, self._now)

    def rates(self, now: float) -> Rates:
        """Events per second, to a hundredth."""
        before = self._marks[0]
        seconds = max(now - before.at, RATE_MIN_S)
        grown = [
            round((count - was) / seconds, 2)
            for count, was in zip(self._now, before.counts, strict=True)
        ]
        return Rates(*grown)


class Seen(NamedTuple):
    """One tenant now."""

    counts: Counts
    rates: Rates
    gauges: Gauges
    connection_count: int
    """Its open WebSockets."""
