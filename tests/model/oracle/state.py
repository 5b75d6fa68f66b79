"""All that the model knows, and what every part of it asks."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field

from tests.model.oracle.ages import Ages
from tests.model.oracle.delivery import Death
from tests.model.oracle.line import Line
from tests.model.oracle.log import Log, Topic, Violation
from tests.model.oracle.news import Former
from tests.model.oracle.subscription import Holder, Subscription

LetterPlace = tuple[str, int, int]
"""Of a dead letter: subscription, topic, number."""


@dataclass
class Letter:
    """A dead letter that the store must have."""

    dead_id: str
    attempts: int
    reason: str
    since: float = 0.0
    """When it was stored, by the clock that nobody sets."""


@dataclass(frozen=True)
class Due:
    """A death that the store has not been told of."""

    subscription: str
    topic_id: int
    seq: int
    attempts: int
    reason: str
    subscription_id: int
    """0 if it has no name: then its name is empty as well."""


@dataclass
class Job:
    """Redrives the dead letters of a subscription, or of all: `places` are those that it may find."""

    name: str | None
    places: list[LetterPlace] = field(default_factory=list)


@dataclass
class State:
    """Log, subscriptions, dead letters, and who holds what. `now` is the broker's clock."""

    now: float = 0.0
    max_waiting: int = 10_000
    """Deliveries of a subscription that may wait for their next attempt, before it is given nothing new."""
    log: Log = field(default_factory=Log)
    ages: Ages = field(default_factory=Ages)
    durable: dict[str, Subscription] = field(default_factory=dict)
    unnamed: list[Subscription] = field(default_factory=list)
    holders: dict[Hashable, list[Holder]] = field(default_factory=lambda: defaultdict(list))
    """By client, in the order of subscribing."""
    leaving: dict[str, Topic] = field(default_factory=dict)
    """Topics whose deletion is under way; the store may have forgotten them."""
    may_make: set[str] = field(default_factory=set)
    """Topics and subscriptions that somebody has asked to be made."""
    making: Counter[str] = field(default_factory=Counter)
    """Topics that so many calls which are under way may make, by name."""
    perhaps_making: set[str] = field(default_factory=set)
    """Topics that may still be made for calls that were told that nobody knows."""
    redriving: Counter[LetterPlace] = field(default_factory=Counter)
    """Dead letters that so many calls or jobs may redrive at any time."""
    job: Job | None = None
    due: list[Due] = field(default_factory=list)
    letters: dict[LetterPlace, Letter] = field(default_factory=dict)
    fates: dict[LetterPlace, str] = field(default_factory=dict)
    """What became of those that are gone."""
    counts: Counter[str] = field(default_factory=Counter)
    """What the broker's counters must say, since it started."""
    violations: list[Violation] = field(default_factory=list)
    """Kept, and not raised where they are seen: there the broker would catch them."""

    def may_come(self, name: str) -> bool:
        """Whether a topic of this name may be made now by what was asked before."""
        return self.making[name] > 0 or name in self.perhaps_making

    def made(self, name: str) -> None:
        """The store has a new topic or subscription."""
        if name not in self.may_make:
            raise Violation(f"{name} was made, and nobody asked for it")
        self.perhaps_making.discard(name)

    def subscriptions(self) -> Iterator[Subscription]:
        """All of them."""
        yield from self.durable.values()
        yield from self.unnamed

    def by_id(self, subscription_id: int) -> Subscription | None:
        """The durable one with this id."""
        for subscription in self.durable.values():
            if subscription.subscription_id == subscription_id:
                return subscription
        return None

    def topic_called(self, name: str) -> Topic | None:
        """What the broker means by the name."""
        leaving, there = self.leaving.get(name), self.log.by_name.get(name)
        # Where it knows another one of that name, it has heard that the one before is gone.
        return there if leaving is None or (there is not None and there.is_known) else leaving

    def may_have_met(self, subscription: Subscription) -> None:
        """It comes now: it may be told that topics are others than those that the store forgets meanwhile."""
        for topic in self.leaving.values():
            if topic.topic_id not in self.log.by_id and subscription.covers(topic):
                former = Former(topic.epoch, topic.last_seq + 1, topic.last_seq)
                subscription.news.may_be_told(topic.name, former)

    def is_certain(self, client: Hashable, topic: Topic, seq: int) -> bool:
        """Whether it is known what becomes of a verb of the client for this message: nothing of it is being
        deleted or redriven."""
        for holder in self.holders[client]:
            line = holder.subscription.lines.get(topic.topic_id)
            if line is not None and line.is_doubtful(seq):
                return False
            one = line.open.get(seq) if line is not None else None
            if one is not None and one.holder is None and one.last is None:
                # Open since before the subscription was loaded: its topic may not have had its turn yet.
                return False
            if holder.subscription.going:
                return False
        return not topic.going

    def line_at(self, place: LetterPlace) -> Line | None:
        """Where the subscription of that name is in the topic now."""
        subscription = self.durable.get(place[0])
        return subscription.lines.get(place[1]) if subscription is not None else None

    def redrive_asked(self, place: LetterPlace) -> None:
        """A call or a job may redrive this from now on, in whatever subscription has the name then."""
        self.redriving[place] += 1
        line = self.line_at(place)
        if line is not None:
            line.asked.add(place[2])
            line.reopened.discard(place[2])
            line.sought.discard(place[2])

    def redrive_answered(self, place: LetterPlace, *, is_known: bool) -> None:
        """The end of that. `is_known`: whether it was done is known."""
        self.redriving[place] -= 1
        line = self.line_at(place)
        if line is None:
            return
        if not self.redriving[place] > 0:
            line.asked.discard(place[2])
        if not is_known:
            line.maybe.add(place[2])

    def may_find(self, place: LetterPlace) -> None:
        """There is this dead letter: the job may redrive it from now on."""
        if self.job is not None and self.job.name in (None, place[0]):
            self.job.places.append(place)
            self.redrive_asked(place)

    def job_ended(self, *, is_known: bool) -> None:
        """It redrives nothing any more."""
        if self.job is not None:
            for place in self.job.places:
                self.redrive_answered(place, is_known=is_known)
            self.job = None

    def redriving_of(self, name: str, line: Line) -> set[int]:
        """The numbers of the line that a call or a job may redrive at any time."""
        topic_id = line.topic.topic_id
        return {
            place[2]
            for place, count in self.redriving.items()
            if count > 0 and place[:2] == (name, topic_id)
        }

    def died(self, subscription: Subscription, line: Line, death: Death) -> None:
        """A delivery is exhausted or was rejected: the store must hear of it."""
        topic_id = line.topic.topic_id
        line.died.add(death.seq)
        due = Due(
            subscription.name or "",
            topic_id,
            death.seq,
            death.attempts,
            death.reason,
            subscription.subscription_id,
        )
        self.due.append(due)
        self.counts["dead_lettered"] += 1

    def attached_count(self, topic: Topic) -> int:
        """Subscribers that a message of the topic goes to."""
        return sum(len(each.holders) for each in self.subscriptions() if each.covers(topic))

    def add_holder(
        self, client: Hashable, subscription: Subscription, prefetch: int | None
    ) -> Holder:
        """The client is attached, and has no more than `prefetch` deliveries at once."""
        holder = Holder(client, subscription, prefetch)
        subscription.holders.append(holder)
        self.holders[client].append(holder)
        return holder

    def remove_holder(self, holder: Holder, *, lost: bool) -> None:
        """The client is not attached any more: what it had comes again, or has been lost too often."""
        subscription = holder.subscription
        subscription.holders.remove(holder)
        self.holders[holder.client].remove(holder)
        if subscription.name is None:
            self.unnamed.remove(subscription)
        for line in subscription.lines.values():
            if lost:
                is_going = bool(subscription.going or line.topic.going)
                for death in line.lose(holder, self.now, subscription.rules, is_going=is_going):
                    self.died(subscription, line, death)
            else:
                line.release(holder, self.now)
            if subscription.name is not None and not subscription.holders:
                line.nobody_is_there()

    def restart(self) -> None:
        """The process ended, however it did: what the store has is all there is."""
        self.unnamed.clear()
        self.holders.clear()
        self.leaving.clear()
        self.may_make.clear()
        self.perhaps_making.clear()
        self.due.clear()
        self.redriving.clear()
        self.job = None
        self.counts.clear()
        for topic in self.log.by_id.values():
            topic.going = 0
            topic.first_known = topic.first_seq
            topic.passes(topic.last_seq)
            topic.is_known = True
        for name, subscription in tuple(self.durable.items()):
            if not subscription.is_stored:
                del self.durable[name]
                continue
            for line in subscription.lines.values():
                if line.stored.moves < line.moves_told:
                    why = (
                        f"{subscription}, {line} was moved, which was answered, and that is undone"
                    )
                    self.violations.append(Violation(why))
            subscription.restore(self.now, self.log)

    def clock_set(self, by_s: float) -> None:
        """The wall clock was set forward or back: no deadline moves but of what is stored only."""
        self.ages.clock_set(by_s, self.now)
        self.log.is_plain = False
        self.log.is_step_kept &= by_s > 0
        for subscription in self.durable.values():
            for line in subscription.lines.values():
                line.clock_set(by_s, self.now)

    def advance(self, now: float) -> None:
        """Time has passed: what is overdue has failed."""
        self.now = now
        for subscription in self.subscriptions():
            for line in subscription.lines.values():
                is_going = bool(subscription.going or line.topic.going)
                for death in line.expire(now, subscription.rules, is_going=is_going):
                    self.died(subscription, line, death)
