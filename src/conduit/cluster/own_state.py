"""What this node has to say of itself, to who asks here and to other nodes alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from conduit.broker.administer.redrive_jobs import RedriveJob
from conduit.broker.broker import Broker
from conduit.broker.counts import Counts
from conduit.broker.stats import Stats
from conduit.cluster.figures import Figures, Point, points
from conduit.cluster.inquiries import State, TenantUse
from conduit.cluster.links.peers import LinkView
from conduit.errors import NotFound


class OwnState:
    """`connection_count`: how many connections of clients there are; `links`: what there is to tell of links.
    Nothing here waits."""

    def __init__(
        self,
        broker: Broker,
        connection_count: Callable[[], int],
        links: Callable[[], list[LinkView]],
    ) -> None:
        self._broker = broker
        self._connection_count = connection_count
        self._links = links
        self.settings: Mapping[str, str] = {}
        """Those that must be the same on all nodes."""

    def state(self) -> State:
        """What only a node itself knows."""
        broker = self._broker
        now = broker.clock.now()
        rates, lag_s = broker.stats.rates(now), broker.stats.loop_lateness.worst_s(now)
        return State(
            self._connection_count(),
            broker.running_count,
            rates,
            self._links(),
            self.settings,
            round(lag_s, 4),
        )

    def figures(self, tenant: str | None) -> Figures:
        """Of the node, or of a tenant on it."""
        broker = self._broker
        now = broker.clock.now()
        counts: Stats | Counts
        if tenant is None:
            counts, rates, gauges = broker.stats, broker.stats.rates(now), broker.gauges()
            connection_count = self._connection_count()
        else:
            counts, rates, gauges, connection_count = broker.stats_of(tenant)
        return Figures(
            rates=rates,
            gauges=gauges,
            connection_count=connection_count,
            uptime_s=round(now - broker.stats.started_at, 3),
            published_count=counts.published_count,
            delivered_count=counts.delivered_count,
            acked_count=counts.acked_count,
            redelivered_count=counts.redelivered_count,
            dead_lettered_count=counts.dead_lettered_count,
        )

    def history(self, tenant: str | None) -> list[Point]:
        """Of the node, or of a tenant since somebody asked for it."""
        broker = self._broker
        found = broker.stats.history if tenant is None else broker.history_of(tenant)
        return points(found, broker.clock.wall_ms())

    def subscribers(self, tenant: str, topics: Iterable[str]) -> list[int]:
        """How many subscribers each of these topics has here."""
        broker, counts = self._broker, []
        for name in topics:
            topic = broker.topics.find(tenant, name)
            if topic is None:
                counts.append(broker.router.subscribers_by_pattern(tenant, name))
            else:
                counts.append(broker.router.subscribers_of(topic))
        return counts

    def usage(self, tenants: Iterable[str]) -> list[TenantUse]:
        """What each of these tenants has here."""
        allowances = map(self._broker.allowances.of, tenants)
        return [TenantUse(each.connections.count, each.pending.count) for each in allowances]

    def job(self, tenant: str, job_id: str) -> Sequence[RedriveJob]:
        """The redrive job of this id, if it is here."""
        try:
            return [self._broker.dead_letters.jobs.get(tenant, job_id)]
        except NotFound:
            return ()

    def cancel_job(self, tenant: str, job_id: str) -> Sequence[RedriveJob]:
        """Cancel it, if it is here. Raises Conflict if it has ended."""
        try:
            return [self._broker.dead_letters.jobs.cancel(tenant, job_id)]
        except NotFound:
            return ()
