"""What this node has to say of itself, to who asks here and to other nodes alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from conduit.broker.activities import BUSIEST_MAX_COUNT
from conduit.broker.administer.attention import Attended
from conduit.broker.administer.backlogs import Backlog
from conduit.broker.administer.letter_acts import LetterJob
from conduit.broker.broker import Broker
from conduit.broker.counts import Counts
from conduit.broker.history import BY_INTERVAL
from conduit.broker.stats import Stats
from conduit.broker.topics import Topic
from conduit.cluster.figures import Figures, Point, TopicFigures, points
from conduit.cluster.inquiries import State, TenantUse
from conduit.cluster.links.peers import LinkView
from conduit.core.activity import NO_ROUNDS
from conduit.core.signed_out import SignedOut
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
        self.phase: Callable[[], str | None] = lambda: None
        """How far it is in leaving the others."""
        self.sign_out: Callable[[SignedOut], None] = lambda _: None
        """Told of the sessions of pages that were signed out at another node."""
        self.signed_out: Callable[[], Sequence[SignedOut]] = tuple
        """All that this node knows of."""

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
            self.phase(),
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

    def history(self, tenant: str | None, interval_s: int, limit: int | None) -> list[Point]:
        """Of the node, or of a tenant since somebody asked for it: the newest points of one resolution; none
        if there is none such. Raises Overloaded as `Histories.of` does."""
        broker = self._broker
        if interval_s not in BY_INTERVAL:
            return []
        found = broker.histories.of(tenant, interval_s, limit)
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

    def attention(self, tenant: str | None) -> Attended:
        """What somebody should look at of a tenant, or of all."""
        return self._broker.attention.of(tenant)

    def activity(self, tenant: str, names: Iterable[str]) -> list[TopicFigures]:
        """What went through these topics lately; those that are not known here are left out."""
        topics = [self._broker.topics.find(tenant, name) for name in names]
        return self._figures_of([topic for topic in topics if topic is not None])

    def busiest(
        self, tenant: str | None, limit: int | None = None, patterns: Sequence[str] | None = None
    ) -> list[TopicFigures]:
        """The same of those through which most went in the last minute, of a tenant or of all, of which one
        of the patterns covers each."""
        limit = BUSIEST_MAX_COUNT if limit is None else limit
        found = self._broker.activities.busiest(tenant, limit, patterns)
        return self._figures_of(found)

    def _figures_of(self, topics: Sequence[Topic]) -> list[TopicFigures]:
        broker = self._broker
        backlogs = broker.backlogs.of_each(topics)
        return [
            _figures(topic, backlog, is_known=broker.activities.is_known(topic))
            for topic, backlog in zip(topics, backlogs, strict=True)
        ]

    def usage(self, tenants: Iterable[str]) -> list[TenantUse]:
        """What each of these tenants has here."""
        allowances = map(self._broker.allowances.of, tenants)
        return [TenantUse(each.connections.count, each.pending.count) for each in allowances]

    def jobs(self, tenant: str) -> list[LetterJob]:
        """All of them that are here, oldest first."""
        return self._broker.dead_letters.jobs.all(tenant)

    def job(self, tenant: str, job_id: str) -> Sequence[LetterJob]:
        """The job of this id, if it is here."""
        try:
            return [self._broker.dead_letters.jobs.get(tenant, job_id)]
        except NotFound:
            return ()

    def cancel_job(self, tenant: str, job_id: str) -> Sequence[LetterJob]:
        """Cancel it, if it is here. Raises Conflict if it has ended."""
        try:
            return [self._broker.dead_letters.jobs.cancel(tenant, job_id)]
        except NotFound:
            return ()


def _figures(topic: Topic, backlog: Backlog, *, is_known: bool) -> TopicFigures:
    activity = topic.activity
    return TopicFigures(
        topic.tenant,
        topic.name,
        NO_ROUNDS if activity is None else activity.published(),
        NO_ROUNDS if activity is None else activity.delivered(),
        *backlog,
        is_known,
    )
