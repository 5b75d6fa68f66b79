"""One subscription that runs on this node: its group of subscribers, and its cursors through topics.

A cursor exists only while it has something to do. A topic without one is settled up to its end as this
node knows it, or it is *unopened*: it has a backlog, or deliveries that are open, and waits in the group's
line until there is credit for it. So a pattern over many topics costs nothing where nothing happens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import Enum, auto
from itertools import islice

from conduit.broker.catalog import Topic
from conduit.broker.deliver.account import Account
from conduit.broker.deliver.cursor import Cursor
from conduit.broker.deliver.engine import Engine
from conduit.broker.deliver.feed import Feed
from conduit.broker.deliver.former import FormerTopics
from conduit.broker.deliver.gaps import Gaps
from conduit.broker.deliver.group import Group
from conduit.broker.deliver.outset import Outset
from conduit.broker.deliver.reads import Reads
from conduit.broker.deliver.subscriber import Outlet, Removal, Subscriber
from conduit.broker.deliver.unopened import Unopened
from conduit.broker.turn import each, guarded
from conduit.core.delivery import Delivery
from conduit.core.message import Progress, SubscriptionRecord, SubscriptionSettings
from conduit.core.retries import Tally
from conduit.core.topics import matches
from conduit.storage.base import Former

# Of the steps in which a subscription begins in its topics, so many are taken at once.
STEPS_AT_ONCE_COUNT = 2
# Cursors of one subscription in whose topics frames go to its subscriber without a call of the cursor: from
# there they have to be taken at once when it ends.
DIRECT_MAX_COUNT = 100


class Round(Enum):
    """How far a change is that concerns all cursors of a subscription."""

    NONE = auto()
    UNDER_WAY = auto()
    AGAIN = auto()
    """There was another change: all look once more, after those that still wait for their turn."""


class Running:
    """A subscription, ephemeral or durable, as it runs."""

    __slots__ = (
        "_account",
        "_engine",
        "_outset",
        "_round",
        "cursors",
        "former",
        "gaps",
        "group",
        "pattern",
        "tenant",
        "unopened",
    )

    def __init__(
        self, engine: Engine, tenant: str, pattern: str, settings: SubscriptionSettings
    ) -> None:
        self._engine = engine
        self.tenant = tenant
        self.pattern = pattern
        allowance = engine.allowances.of(tenant)
        self.group = Group(engine.turn, allowance, settings, engine.pending_max_count)
        self._round = Round.NONE
        self._account = Account()
        # The topics that it has not looked at, if there are any.
        self._outset: Outset | None = None
        # By topic id.
        self.cursors: dict[int, Cursor] = {}
        self.unopened: dict[int, Unopened] = {}
        self.gaps = Gaps(self.group, engine.stats)
        self.former = FormerTopics(self.gaps, engine.progress)

    def make_durable(self, record: SubscriptionRecord, fence: int) -> None:
        """Give it a name, before anything follows it."""
        group = self.group
        group.name = record.name
        group.name_bytes = record.name.encode()
        group.subscription_id = record.subscription_id
        group.fence = fence
        group.is_paused = record.paused
        self._account = Account(self._engine.lags.by_id.get(record.subscription_id))

    def configure(self, settings: SubscriptionSettings, *, paused: bool) -> None:
        """Use these from the next hand-out on."""
        if self.group.is_paused and not paused:
            self.group.attached_ms = self._engine.clock.wall_ms()
        self.group.is_paused = paused
        self.group.configure(settings)
        self._run_all()

    def hold(self) -> None:
        """Hand out nothing before `resume`: it is about to be given to another node."""
        self.group.is_leaving = True

    def resume(self) -> None:
        """It may hand out again: let all who wait look at it."""
        self.group.is_leaving = False
        self._run_all()
        self.group.freed()

    # Subscribers ----------------------------------------------------------------------------------

    def add(
        self, outlet: Outlet, reads: Reads, on_removed: Callable[[Removal], None]
    ) -> Subscriber:
        """A new subscriber, which gets deliveries at the end of this turn at the earliest."""
        if not self.group.subscribers:
            self.group.attached_ms = self._engine.clock.wall_ms()
        subscriber = self.group.add(self, outlet, reads, on_removed)
        self._run_all()
        return subscriber

    def remove(self, subscriber: Subscriber, *, lost: bool) -> None:
        """The subscriber is gone: what it had out goes to the others, or waits. `lost`: its connection
        broke, which is counted."""
        holder, in_flight = subscriber.holder, self.group.in_flight
        now = self._engine.clock.now()
        for cursor in self.cursors.values():
            if not in_flight.get(holder):
                break
            if cursor.delivery.is_idle:
                continue
            deaths_max = self._engine.progress.deaths_left(cursor)
            if cursor.delivery.release(holder, now, lost=lost, deaths_max=deaths_max):
                cursor.changed()
        self.group.remove(subscriber)

    def _run_all(self) -> None:
        """Something changed for all cursors: let each of them look at it, in as many turns as that takes."""
        if not self.cursors:
            return
        if self._round is Round.NONE:
            self._engine.turn.spread(self._go_round(), self.group.allowance)
        self._round = Round.AGAIN

    def _go_round(self) -> Iterator[None]:
        while self._round is Round.AGAIN:
            self._round = Round.UNDER_WAY
            # Those that are opened from now on know what has changed.
            yield from each(tuple(self.cursors.values()), Cursor.run)
        self._round = Round.NONE

    # Topics ---------------------------------------------------------------------------------------

    def open(self, topic: Topic) -> Cursor:
        """The cursor in the topic, made where there is none. It does nothing before it is pumped."""
        self._look(topic)
        cursor = self.cursors.get(topic.topic_id)
        if cursor is not None:
            return cursor
        unopened, group = self._take_unopened(topic.topic_id), self.group
        if unopened is None:
            delivery = Delivery(
                group.policy,
                topic.last_seq,
                group.in_flight,
                group.pending,
                is_stored=group.name is not None,
            )
            self._account.opens(topic)
        else:
            delivery = unopened.machine(group.in_flight, group.pending, self._engine.clock)
        cursor = self.cursors[topic.topic_id] = Cursor(self._engine, self.gaps, topic, delivery)
        if len(self.cursors) == DIRECT_MAX_COUNT:
            group.is_direct = False
        return cursor

    def feed_of(self, topic: Topic) -> Feed | None:
        """The tail of the topic, if somebody follows it."""
        return self._engine.feeds.find(topic.topic_id)

    def opened(self, topic_id: int) -> Cursor | None:
        """The cursor in a topic that waits for one, made at once if deliveries are open there: who had one
        before the subscription was loaded may settle it."""
        topic = None if self._outset is None else self._outset.find(topic_id)
        # Whoever acks a message of another tenant has no part of its topic.
        is_own = topic is not None and topic.tenant == self.tenant
        if topic is not None and is_own and matches(self.pattern, topic.name):
            self._look(topic)
        unopened = self.unopened.get(topic_id)
        if unopened is None or unopened.progress is None or not unopened.progress.open:
            return None
        cursor = self.open(unopened.topic)
        self._engine.turn.add(cursor)
        return cursor

    def settle_through(self, topic: Topic, seq: int, holder: int) -> int | None:
        """Ack what the holder has, up to and with a number that was handed out or passed over; how many that
        were. None if the number was not. Without a cursor there is nothing to do."""
        cursor = self.cursors.get(topic.topic_id)
        if cursor is not None:
            return cursor.settle_through(seq, holder)
        if not matches(self.pattern, topic.name):
            return None
        self._look(topic)
        unopened = self.unopened.get(topic.topic_id)
        if unopened is None:
            last = topic.last_seq
        else:
            last = unopened.floor if unopened.progress is None else unopened.progress.cursor
        return 0 if seq <= last else None

    def begin_all(self, outset: Outset, topics: Iterable[Iterable[Topic]]) -> None:
        """Begin in all its topics, in as many turns of the loop as that takes."""
        self._account.begin()
        self._outset = outset
        steps = self._begin_each(outset, topics)
        # What is few is begun when this returns.
        if sum(1 for _ in islice(steps, STEPS_AT_ONCE_COUNT)) == STEPS_AT_ONCE_COUNT:
            self._engine.turn.spread(steps, self.group.allowance)

    @property
    def is_over(self) -> bool:
        """Whether it was stopped: it opens no cursor then."""
        return self.group.is_over

    @property
    def is_beginning(self) -> bool:
        """Whether there are topics that it has not looked at."""
        return self._outset is not None

    def _begin_each(self, outset: Outset, topics: Iterable[Iterable[Topic]]) -> Iterator[None]:
        for some in topics:
            if self._outset is not outset:
                return
            for topic in some:
                guarded(self._look, topic)
            yield
        self._outset = None
        self._account.has_begun()

    def _look(self, topic: Topic) -> None:
        """Begin in the topic, if it has not looked at it yet."""
        beginning = None if self._outset is None else self._outset.take(topic)
        if beginning is not None:
            self._begin(topic, *beginning)

    def begin(self, topic: Topic, floor: int) -> None:
        """Go through a topic that was made after this one began, from after `floor` on."""
        if self._outset is None or self._outset.pass_over(topic):
            self._begin(topic, floor, None)

    def _begin(self, topic: Topic, floor: int, progress: Progress | None) -> None:
        """Go on after `floor`, or as the stored progress says, when there is credit.

        Does nothing where there is nothing to hand out: that is a topic without a cursor.
        """
        self._take_unopened(topic.topic_id)
        self._account.found(topic, floor, progress)
        if topic.last_seq > floor or (progress is not None and progress.open):
            self._account.waits(topic, floor, progress)
            self._wait_in(topic, floor, progress)

    def _wait_in(self, topic: Topic, floor: int, progress: Progress | None) -> None:
        unopened = self.unopened[topic.topic_id] = Unopened(self, topic, floor, progress)
        self.group.pending.add(unopened.pending_count)
        self.group.line.wait(unopened)
        self.group.freed()

    def floor_of(self, topic: Topic) -> int:
        """Everything up to it is settled."""
        self._look(topic)
        cursor = self.cursors.get(topic.topic_id)
        if cursor is not None:
            floor = cursor.delivery.floor
            return cursor.position if floor == cursor.delivery.cursor else floor
        unopened = self.unopened.get(topic.topic_id)
        return topic.last_seq if unopened is None else unopened.floor

    def delivery(self, topic: Topic) -> Delivery | None:
        """The machine of a topic in which something is to be done; for looking only."""
        self._look(topic)
        cursor = self.cursors.get(topic.topic_id)
        if cursor is not None:
            return cursor.delivery
        unopened = self.unopened.get(topic.topic_id)
        return None if unopened is None else unopened.machine({}, Tally(), self._engine.clock)

    def dissolve(self, topic_id: int) -> None:
        """Do without a cursor that is spare, or whose topic is gone."""
        cursor = self.cursors.pop(topic_id)
        cursor.close()
        self._account.took_all(cursor.topic)

    def look_again(self) -> None:
        """Retention may have removed what it has not seen: count anew what it has to do."""
        if not self.is_beginning:
            self._account.look_again(self._engine.turn, self.cursors, self.unopened)

    def seek(self, topic: Topic, floor: int) -> None:
        """Begin the topic anew after `floor`; the store has been told already."""
        # How old that is what it finds there says nothing of this server.
        self.group.attached_ms = self._engine.clock.wall_ms()
        self._look(topic)
        cursor = self.cursors.get(topic.topic_id)
        if cursor is not None:
            cursor.seek(floor)
            return
        self._take_unopened(topic.topic_id)
        self._account.moved(topic, floor)
        if topic.last_seq > floor:
            self._wait_in(topic, floor, None)

    def redrive(self, topic: Topic, seq: int) -> bool:
        """Deliver a settled message again. False if it is open, or was never handed out."""
        cursor = self.open(topic)
        redriven = cursor.delivery.redrive(seq, self._engine.clock.now())
        if redriven:
            cursor.changed()
        self._engine.turn.add(cursor)
        return redriven

    def stop(self) -> None:
        """It does not run here any more. What is left of it is given up by `close`."""
        self.group.stop()
        self._outset = None
        self._account.close()
        # What comes there would go to a subscriber that has left. All that are direct were opened first.
        for cursor in islice(self.cursors.values(), DIRECT_MAX_COUNT):
            cursor.feed.leave(cursor)

    def close(self) -> Iterator[None]:
        """Give up its cursors, in steps; it was stopped."""
        while self.unopened:
            unopened = self.unopened.popitem()[1]
            self.group.pending.add(-unopened.pending_count)
            self.group.line.leave(unopened)
            yield
        while self.cursors:
            guarded(self.cursors.popitem()[1].close)
            yield
        yield from self.gaps.forget()
        yield from self._account.forget()

    def topic_deleted(self, topic: Topic) -> None:
        """It ends here, whatever was open: that is told, and remembered in case it is made anew."""
        gone = Former(topic.name, topic.epoch, self.floor_of(topic), topic.last_seq)
        self._take_unopened(topic.topic_id)
        if topic.topic_id in self.cursors:
            self.dissolve(topic.topic_id)
        else:
            self._account.took_all(topic)
        self.former.remember(gone, None)

    def _take_unopened(self, topic_id: int) -> Unopened | None:
        unopened = self.unopened.pop(topic_id, None)
        if unopened is not None:
            self.group.pending.add(-unopened.pending_count)
            self.group.line.leave(unopened)
        return unopened
