"""How it went lately, of the node and of tenants: rates, levels and latencies, in three resolutions.

All of it is made of what `Stats` and `Counts` count anyway: the path of a message does nothing for it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from conduit.broker.allowances import Allowance
from conduit.broker.counts import Counts, Seen
from conduit.broker.stats import Gauges, Rates, Stats
from conduit.core.histogram import Histogram
from conduit.core.series import RESOLUTIONS, Resolution, Series, SeriesPoint
from conduit.errors import Overloaded

# Tenants whose history is kept. That of one has 170 KB.
HISTORIES_MAX_COUNT = 50
# One for which nobody has asked so long makes room for another.
KEPT_S = 300.0
RETRY_AFTER_MAX_S = 60.0
# What is told if nobody says otherwise: an hour.
DEFAULT_INTERVAL_S: Final = 5
# Interval → its resolution.
BY_INTERVAL: dict[int, Resolution] = {each.interval_s: each for each in RESOLUTIONS}
_RATES_COUNT = len(Rates.__struct_fields__)
_GAUGES_COUNT = len(Gauges.__struct_fields__)


class Sample(msgspec.Struct, frozen=True):
    """One point of a history: the rates of its interval, and what there was at its end."""

    at_ms: int
    rates: Rates
    gauges: Gauges
    publish_counts: Sequence[int] = ()
    """Publishes of the interval by their time, as in `Histogram.counts` of `Stats.publish_times`; of a tenant
    that is not known."""
    delivery_counts: Sequence[int] = ()
    """The same of `Stats.delivery_times`."""


class History:
    """Of whatever has these counts. `times` are two histograms, or none."""

    def __init__(self, now: float, counts: Stats | Counts, times: Sequence[Histogram] = ()) -> None:
        self.asked_at = now
        self._times = times
        self._publish_count = len(times[0].counts) if times else 0
        self._series = Series(now, self._counters(counts), _GAUGES_COUNT)

    def add(self, now: float, at_ms: int, counts: Stats | Counts, gauges: Gauges) -> None:
        """Call it every second."""
        levels = msgspec.structs.astuple(gauges)
        self._series.add(now, at_ms, self._counters(counts), levels)

    def samples(self, interval_s: int, limit: int | None = None) -> list[Sample]:
        """The newest of this resolution, oldest first."""
        return [self._sample(point) for point in self._series.points(interval_s, limit)]

    def _counters(self, counts: Stats | Counts) -> list[int]:
        counters = [
            counts.published_count,
            counts.delivered_count,
            counts.redelivered_count,
            counts.acked_count,
            counts.dead_lettered_count,
        ]
        for each in self._times:
            counters += each.counts
        return counters

    def _sample(self, point: SeriesPoint) -> Sample:
        growth, first = point.growth, _RATES_COUNT
        second = first + self._publish_count
        return Sample(
            point.at_ms,
            Rates(*[round(count / point.elapsed_s, 2) for count in growth[:first]]),
            Gauges(*point.levels),
            list(growth[first:second]),
            list(growth[second:]),
        )


def seen_of(allowance: Allowance, now: float) -> Seen:
    """What there is of one tenant, and was done for it."""
    counts, connection_count = allowance.counts, allowance.connections.count
    gauges = Gauges(
        topic_count=allowance.topics.count,
        subscriber_count=counts.subscriber_count,
        backlog_count=max(0, allowance.backlog_count),
        connection_count=connection_count,
    )
    return Seen(counts, counts.rates(now), gauges, connection_count)


class Histories:
    """That of the node, and those of tenants: from the first look on."""

    def __init__(
        self, now: float, stats: Stats, gauges: Callable[[], Gauges], look: Callable[[str], Seen]
    ) -> None:
        self._stats = stats
        self._gauges = gauges
        self._look = look
        self._now = now
        self._own = History(now, stats, (stats.publish_times, stats.delivery_times))
        self._by_tenant: OrderedDict[str, History] = OrderedDict()

    def of(
        self,
        tenant: str | None,
        interval_s: int = DEFAULT_INTERVAL_S,
        limit: int | None = None,
    ) -> list[Sample]:
        """The points of a tenant so far, or of the node; from now on the tenant has some. Raises Overloaded
        if those of too many others are asked for."""
        if tenant is None:
            return self._own.samples(interval_s, limit)
        history = self._by_tenant.get(tenant)
        if history is None:
            self._make_room()
            history = self._by_tenant[tenant] = History(self._now, self._look(tenant).counts)
        history.asked_at = self._now
        self._by_tenant.move_to_end(tenant)
        return history.samples(interval_s, limit)

    def _make_room(self) -> None:
        if len(self._by_tenant) < HISTORIES_MAX_COUNT:
            return
        oldest = next(iter(self._by_tenant))
        free_in_s = self._by_tenant[oldest].asked_at + KEPT_S - self._now
        if free_in_s > 0:
            # Each would push out another, and nobody had one.
            raise Overloaded(
                f"the histories of {HISTORIES_MAX_COUNT} tenants are kept, and all are asked for",
                retry_after_s=min(free_in_s, RETRY_AFTER_MAX_S),
            )
        del self._by_tenant[oldest]

    def forget(self, tenant: str) -> None:
        """It is gone: the next one of its name has none of it."""
        self._by_tenant.pop(tenant, None)

    def sample(self, now: float, at_ms: int) -> None:
        """Go on with each; call it every second."""
        self._now = now
        self._own.add(now, at_ms, self._stats, self._gauges())
        for tenant, history in self._by_tenant.items():
            seen = self._look(tenant)
            history.add(now, at_ms, seen.counts, seen.gauges)
