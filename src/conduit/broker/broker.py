"""What the edges call. One broker per process; all of it runs on one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress

import msgspec

from conduit.broker.activities import Activities
from conduit.broker.administer.attention import Attention
from conduit.broker.administer.backlogs import Backlogs
from conduit.broker.administer.browse import Browser
from conduit.broker.administer.dead_letters import DeadLetters
from conduit.broker.administer.giving_away import GivingAway
from conduit.broker.administer.letter_acts import Parts
from conduit.broker.administer.letter_jobs import LetterJobs
from conduit.broker.administer.looking import Lines
from conduit.broker.administer.purging import Purger
from conduit.broker.administer.redriving import Redrive, Redriver
from conduit.broker.administer.renewal import renew_if_copied
from conduit.broker.administer.republishing import Failed
from conduit.broker.administer.retention import Housekeeper, RetentionRules
from conduit.broker.administer.standings import Standings
from conduit.broker.administer.subscriptions import Subscriptions
from conduit.broker.allowances import Allowances, Usage
from conduit.broker.attach.connection import Connection
from conduit.broker.attach.elsewhere import Elsewhere
from conduit.broker.attach.establishing import Establishing
from conduit.broker.attach.room import Answers, Peer, Room
from conduit.broker.catalog import Catalog, Topic
from conduit.broker.causes import Causes
from conduit.broker.clock import Clock
from conduit.broker.commits import Commits
from conduit.broker.company import Company
from conduit.broker.counts import Seen
from conduit.broker.deliver.engine import Bounds, make_engine
from conduit.broker.deliver.news import News
from conduit.broker.deliver.owned import Owned
from conduit.broker.deliver.router import Router
from conduit.broker.deliver.sequencer import Sequencer
from conduit.broker.deliver.starts import Starts
from conduit.broker.deliver.subscriber import Removal
from conduit.broker.deliver.tails import Tails
from conduit.broker.history import Histories, seen_of
from conduit.broker.publish.admission import Admission, PublishLimits
from conduit.broker.publish.committers import Committers
from conduit.broker.publish.keys import Keys
from conduit.broker.publish.outcome import Forward, Outcomes
from conduit.broker.publish.publisher import Publisher
from conduit.broker.publish.refusals import Refusals
from conduit.broker.publish.traced import trace_publishes
from conduit.broker.stamps import Stamps
from conduit.broker.stats import Gauges, Stats
from conduit.broker.store_time import NotedClock, StoreTime
from conduit.broker.traces import Traces
from conduit.broker.turn import Turn
from conduit.core.message import DeadPlace, Retention
from conduit.errors import ConduitError
from conduit.limits import NO_LIMITS, TenantLimits
from conduit.storage.base import Sizes, Store

TICK_INTERVAL_S = 1.0


class BrokerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The broker's bounds and rules, as plain values."""

    publish: PublishLimits = PublishLimits()
    retention: Retention = Retention()
    """Of topics that are created without one."""
    housekeeping: RetentionRules = RetentionRules()
    max_topics: int = 100_000
    max_subscriptions: int = 100_000
    """Durable ones."""
    delivery_memory_max_bytes: int = 128 << 20
    """Of tails of topics, and of what is read from the log to be delivered."""
    max_subscriptions_per_connection: int = 128
    max_pending_retries: int = 10_000
    idempotency_window_s: float = 600.0
    idempotency_max_count: int = 250_000
    tenant_limits: TenantLimits = NO_LIMITS
    """Of tenants that have none of their own."""
    metrics_max_subscriptions: int = 100
    """Of how many subscriptions `standings` tells; 0: of none."""
    workers: int = 1
    """Nodes on this machine that are meant to share the log, with this one."""


class Broker:
    """Publishing, subscribing and administration over one store.

    What is not a publish and is refused for a reason of the server's is added to `refused_changes` by
    whoever answers, and a publish that is refused without asking the broker to `refused_publishes`.
    """

    def __init__(
        self, store: Store, clock: Clock, options: BrokerOptions, traces: Traces | None = None
    ) -> None:
        self.store = store
        self.clock = clock
        self._options = options
        self.traces = traces
        self.stats = Stats(clock.now(), clock.wall_ms())
        self.count_connections: Callable[[], int] = int  # whoever has those of clients says it
        self.refused_changes = Causes("changes")
        self.allowances = Allowances(options.tenant_limits, clock)
        self._time = StoreTime(store, clock)
        commits = Commits(clock, Stamps(store, self._time), self.stats)
        clock = NotedClock(clock, self._time)  # for all but messages, which the commits stamp
        self.topics = Catalog(
            store, clock, self, options.retention, options.max_topics, self.allowances
        )
        bounds = Bounds(options.max_pending_retries, options.delivery_memory_max_bytes, traces)
        self.activities = Activities(self.topics.everywhere)
        self._engine = make_engine(store, clock, self.stats, commits, self.allowances, bounds)
        self.allowances.timer.watch = self._engine.deadlines.watch
        self.router = Router(self.topics, self._engine)
        starts = Starts(self.topics, store, self._time, self.router.learned)
        self._owned = Owned(
            store, self.topics, self.router, self._engine, starts, options.max_subscriptions
        )
        self.ownership = self._owned.ownership
        self._company = Company(store, options.workers)
        self.sequencer = Sequencer(self.router, store, self._engine)
        self.tails = Tails(store, self._company, self.topics, self.router, self.sequencer)
        self.news = News(store, self.topics, self._owned, self._company)
        self.topics.catch_up = self._owned.catch_up = self.news.learn
        self.ownership.catch_up, starts.ask = self.news.catch_up, self.news.ask
        self._room = self._make_room(starts, commits)
        window = options.idempotency_window_s, options.idempotency_max_count
        self._keys = Keys(store, self.topics, clock, self.stats, *window)
        outcomes = Outcomes(store, self.topics, self.stats, self._keys, self.sequencer)
        self._outcomes = outcomes
        on_idle, timeout_s = self._engine.backlog.committed, options.publish.timeout_s
        self._committers = Committers(store, commits, outcomes.committed, on_idle, timeout_s)
        self._publisher = self._make_publisher(options.publish)
        # The publisher's own methods: a call less on the way of every publish.
        way = trace_publishes(self._publisher, self._committers, self.topics, traces)
        self.publish, self.publish_batch = way.publish, way.publish_batch
        self.take = self._publisher.take
        self.subscriptions = Subscriptions(store, self.topics, self._owned, self._engine, starts)
        self.giving_away = GivingAway(self._owned, self._engine.progress)
        self.standings = self._standings(options.metrics_max_subscriptions)
        self.attention, self.backlogs = self._lookouts()
        self.dead_letters = self._dead_letters()
        self.messages = Browser(store, self.topics, self.tails, self.subscriptions)
        self.purger = Purger(store, self.topics, self.tails, self.sequencer)
        rest = self._time, options.housekeeping
        self._housekeeper = Housekeeper(store, self.topics, self._engine, self.sequencer, *rest)
        self.histories = Histories(clock.now(), self.stats, self.gauges, self.stats_of)
        self._is_finished = self._is_stopped = False
        self._flushing: asyncio.Task[None] | None = None
        self._tick: asyncio.TimerHandle | None = None

    def _make_room(self, starts: Starts, commits: Commits) -> Room:
        return Room(
            self._engine,
            self.topics,
            self.router,
            self._owned,
            self.news,
            starts,
            Establishing(self.topics, self.tails, self._owned, starts),
            lambda: commits.oldest_ms,
            self._options.max_subscriptions_per_connection,
        )

    def _make_publisher(self, limits: PublishLimits) -> Publisher:
        return Publisher(
            self.topics,
            Admission(limits),
            self._outcomes,
            self._committers,
            self._engine.turn,
            self.news,
        )

    def _standings(self, max_count: int) -> Standings:
        return Standings(self.store, self.topics, self._owned, self._engine, self._time, max_count)

    def _lookouts(self) -> tuple[Attention, Backlogs]:
        owned, lags = self._owned, self._engine.lags
        attention = Attention(owned, lags, self.allowances, self.clock)
        return attention, Backlogs(self.store, owned, lags, self.clock)

    def _dead_letters(self) -> DeadLetters:
        store, clock = self.store, self.clock
        self._engine.progress.expect_payloads(self._options.publish.max_payload_bytes)
        redriver = Redriver(store, self.topics, self._owned, self._engine, self.publish)
        self.redrive_here: Redrive = redriver.redrive
        self.redrive: Redrive = redriver.redrive
        """What redrives; another one where subscriptions run on other nodes too."""
        lines = Lines()
        jobs = LetterJobs(Parts(store, clock, self._redrive, self._owned.holds), lines)
        return DeadLetters(store, clock, self._redrive, jobs, lines)

    async def _redrive(self, tenant: str, places: Sequence[DeadPlace], at_ms: int) -> Failed:
        return await self.redrive(tenant, places, at_ms)

    async def start(self) -> None:
        """Open the store, load what it has and begin. Raises StoreUnavailable."""
        await self.store.open()
        # Now, and not with the first round: `conduit store` sees by it that the store is in use.
        is_leader = await self.store.cleans_up()
        await renew_if_copied(self.store, self.clock.wall_ms())
        await self._time.load(is_leader=is_leader)
        await self.news.begin()
        await self.topics.load()
        await self._owned.learn()
        since_ms = self._time.before_ms(self._options.idempotency_window_s)
        max_count = self._options.idempotency_max_count
        self._keys.restore(await self.store.known_keys(since_ms, max_count), self._time.age_s)
        loop = asyncio.get_running_loop()
        await self._committers.start()
        progress = self._engine.progress.run(self._owned.flushed)
        self._flushing = loop.create_task(progress, name="progress")
        self._engine.deadlines.start()
        self._tick = loop.call_later(TICK_INTERVAL_S, self._ticked)
        await self._housekeeper.measure()
        self._housekeeper.start()
        self.tails.start()
        self.news.start()

    async def finish(self) -> None:
        """Answer what was published, store all progress, and give the subscriptions up: after that nothing is
        done for them. A store that hangs in a commit is not waited for before the progress is stored.
        Idempotent.

        Connections should be closed before, so that what they had out is recorded as given back.
        """
        if self._is_finished:
            return
        self._is_finished = True
        await self.standings.close()
        await self.attention.close()
        self._engine.deadlines.stop()
        if self._tick is not None:
            self._tick.cancel()
        await self.tails.stop()
        await self.news.stop()
        await self._housekeeper.stop()
        await self.dead_letters.jobs.stop()
        await self._publisher.close()
        await self._committers.stop()
        await self._engine.turn.finished()
        if self._flushing is not None:
            self._engine.progress.stop()
            await asyncio.gather(self._flushing, return_exceptions=True)
        await self.ownership.end()
        self.sequencer.close()
        await self._engine.reader.close()
        with suppress(ConduitError):
            await self._time.keep_now(is_last=True)

    async def stop(self) -> None:
        """`finish`, and close the store. Idempotent."""
        await self.finish()
        if self._is_stopped:
            return
        self._is_stopped = True
        await self.store.close()
        await self._committers.end()
        await self.topics.close()
        await self.subscriptions.close()
        await self._owned.close()

    def tell_others(self, forward: Forward | None) -> None:
        """Have other nodes told of what is committed here from now on."""
        self._outcomes.forward = forward

    def know_others(self, count: int) -> None:
        """There are links to so many other nodes."""
        self._company.linked_count = count

    def know_live(self, count: int) -> None:
        """So many nodes have a lease, this one among them; 0: that is not known yet."""
        self._company.live_count, self._company.has_leases = count, True

    def run_elsewhere(self, elsewhere: Elsewhere | None) -> None:
        """Have the durable subscriptions of clients that come from now on run where it says; None: here."""
        self._room = self._room._replace(elsewhere=elsewhere)

    # Subscribing ----------------------------------------------------------------------------------

    def connect(self, tenant: str, peer: Peer) -> Connection:
        """The subscriptions of a new connection; call its `close` when the connection is gone."""
        return Connection(self._room, tenant, peer)

    def connect_guest(self, tenant: str, peer: Peer, answers: Answers) -> Connection:
        """The same for a client of another node, whose subscription runs here or is refused. `answers`: where
        the answers to its verbs go."""
        return Connection(self._room._replace(elsewhere=None), tenant, peer, answers)

    @property
    def turn(self) -> Turn:
        """Where work goes that is too much for one turn of the loop."""
        return self._engine.turn

    # Topics ---------------------------------------------------------------------------------------

    def topic_created(self, topic: Topic) -> None:
        """See `TopicWatcher.topic_created`."""
        self._engine.lags.topic_created(topic)
        self.router.topic_created(topic)

    async def topic_deleting(self, topic: Topic) -> Sequence[int]:
        """See `TopicWatcher.topic_deleting`."""
        await self._committers.catch_up(topic.topic_id, topic.allowance)
        # While it is there: deaths of what is gone are not stored.
        await self._engine.progress.flush()
        return await self._owned.follower_ids(topic)

    def topic_kept(self, topic: Topic, followers_told: Collection[int]) -> None:
        """See `TopicWatcher.topic_kept`."""
        self._owned.topic_kept(topic, followers_told)

    def topic_deleted(self, topic: Topic) -> None:
        """See `TopicWatcher.topic_deleted`. Subscribers that named the topic are disconnected."""
        self._keys.forget_topic(topic)
        self.sequencer.topic_deleted(topic)
        named = self.router.topic_deleted(topic)
        for running in named:
            for subscriber in tuple(running.group.subscribers):
                subscriber.on_removed(Removal.TOPIC_DELETED)
        self._owned.topic_deleted(topic, named)
        self._engine.lags.topic_deleted(topic)

    # Time -----------------------------------------------------------------------------------------

    def _ticked(self) -> None:
        loop = asyncio.get_running_loop()
        self._tick = loop.call_later(TICK_INTERVAL_S, self._ticked)
        now = self.clock.now()
        self._time.tick()
        self._keys.tick(now)
        self._publisher.tick(now)
        self._committers.tick()
        self._company.tick(now, takes_over=self.ownership.title.takes_over)
        self.refused_changes.tick(now)
        self.router.tidy()
        self.subscriptions.tick()
        self.allowances.tick(now)
        self.stats.tick(now, self.clock.wall_ms())
        self.histories.sample(now, self.clock.wall_ms())
        self.activities.tick()

    @property
    def running_count(self) -> int:
        """Durable subscriptions that run here."""
        return len(self._owned.running())

    @property
    def refused_publishes(self) -> Refusals:
        """What publishes were refused with."""
        return self._publisher.refusals

    @property
    def problem(self) -> str | None:
        """Why the store takes no writes, or None; what is said was found out seconds ago at most."""
        return self._committers.problem

    @property
    def sizes(self) -> Sizes | None:
        """How much room the store took lately."""
        return self._housekeeper.sizes

    @property
    def delivery_memory_bytes(self) -> int:
        """What `delivery_memory_max_bytes` bounds."""
        return self._engine.budget.held_bytes

    def stats_of(self, tenant: str) -> Seen:
        """What there is of one tenant, and was done for it."""
        return seen_of(self.allowances.of(tenant), self.clock.now())

    def forget_tenant(self, tenant: str) -> None:
        """The tenant is gone: who gets its name sees no statistics and no jobs of it."""
        self.histories.forget(tenant)
        self.attention.forget(tenant)
        self.dead_letters.jobs.forget(tenant)
        self.allowances.count_anew(tenant)

    async def usage_of(self, tenant: str) -> Usage:
        """What a tenant has of what its limits bound. Raises StoreUnavailable."""
        tally = await self.store.dead_tally(tenant, None)
        return self.allowances.of(tenant).usage(tally.open_count + tally.redriven_count)

    def gauges(self) -> Gauges:
        """What there is now."""
        return Gauges(
            topic_count=len(self.topics),
            subscriber_count=self.router.subscriber_count,
            backlog_count=max(0, self._engine.lags.backlog_count),
            connection_count=self.count_connections(),
        )
