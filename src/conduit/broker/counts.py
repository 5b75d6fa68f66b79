"""What was done for one tenant, as the node's `Stats` has it for all: counts, rates, and a history.

The path of a message only adds to integers. A rate is how much a count has grown since a mark of ten seconds
ago, or somewhat more: two marks are all that is kept of a tenant that nobody looks at.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from conduit.broker.stats import SAMPLES_COUNT_MAX, Gauges, Rates, Sample

# Between two marks of one tenant.
MARK_INTERVAL_S = 10
# Rates of the first moments are those of so much at least.
RATE_MIN_S = 1.0
# Tenants whose history is kept: those looked at last. One hour of one takes about 300 KB.
HISTORIES_MAX_COUNT = 50


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


class Histories:
    """Points of the last hour of the tenants that were looked at last: from the first look on."""

    def __init__(self) -> None:
        self._by_tenant: OrderedDict[str, deque[Sample]] = OrderedDict()

    def of(self, tenant: str) -> Sequence[Sample]:
        """Its points so far; from now on it has some."""
        history = self._by_tenant.setdefault(tenant, deque(maxlen=SAMPLES_COUNT_MAX))
        self._by_tenant.move_to_end(tenant)
        if len(self._by_tenant) > HISTORIES_MAX_COUNT:
            self._by_tenant.popitem(last=False)
        return list(history)

    def forget(self, tenant: str) -> None:
        """It is gone: the next one of its name has none of it."""
        self._by_tenant.pop(tenant, None)

    def sample(self, now_ms: int, look: Callable[[str], Seen]) -> None:
        """Add a point to each. Call it as often as `Stats.sample`."""
        for tenant, history in self._by_tenant.items():
            seen = look(tenant)
            history.append(Sample(at_ms=now_ms, rates=seen.rates, gauges=seen.gauges))
