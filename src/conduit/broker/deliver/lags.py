"""How many messages each durable subscription has not settled, and all of them together: numbers that are
kept up, and not counted when somebody asks.

A subscription lacks what was published to its topics, less what it has taken in them: up to its cursor, or
up to where retention has removed, and without what is open. What was published is one number for all
subscriptions of one pattern, and grows with every commit. What one has taken changes where it runs, and is
told from there for each topic at every flush. Of one that does not run it stays as it is, unless retention
removes what it has not seen: such a one is counted again (administer/counting.py), and so is each one once
after the start.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from conduit.broker.allowances import Allowance, Allowances
from conduit.broker.topics import Topic, Walked
from conduit.core.delivery import Delivery
from conduit.core.lag import open_from
from conduit.core.message import SubscriptionRecord
from conduit.core.ring import Ring
from conduit.core.topics import PatternTrie


class Place(NamedTuple):
    """What a subscription has taken of one topic, the open ones included, and how many those are."""

    taken: int
    open_count: int


class Coverage:
    """The topics of one pattern, as far as they were counted, and the subscriptions that have it."""

    __slots__ = (
        "allowance",
        "known_count",
        "lags",
        "newest_id",
        "published",
        "reached",
        "removed",
        "topic_count",
        "trims",
    )

    def __init__(self, allowance: Allowance) -> None:
        # Its tenant's.
        self.allowance = allowance
        self.lags: dict[int, Lag] = {}
        # Of these, those whose lag is known.
        self.known_count = 0
        self.topic_count = 0
        # Of the topics that are or were counted, the highest id.
        self.newest_id = 0
        # The sums over all topics of the last number, and of what retention has removed.
        self.published = 0
        self.removed = 0
        # Topics are counted by name, up to this one; None: all are.
        self.reached: str | None = ""
        # Grows with everything that may take messages from subscriptions that have not seen them.
        self.trims = 0

    def has(self, topic: Topic) -> bool:
        """Whether the topic, which belongs to the pattern, is counted."""
        return self.reached is None or topic.name <= self.reached


# No topic has a higher one.
EVERY_ID = sys.maxsize
# Of a lag that was not known here.
NO_MARKS: tuple[int | None, int | None] = (None, None)


class Lag:
    """What one subscription lacks."""

    __slots__ = (
        "_all",
        "changes",
        "coverage",
        "is_here",
        "is_known",
        "marks",
        "open_count",
        "places",
        "ring",
        "seen_id",
        "taken",
        "trims",
    )

    def __init__(self, everybody: Lags, coverage: Coverage) -> None:
        self._all = everybody
        self.coverage = coverage
        # As `Place`, of all topics together.
        self.taken = 0
        self.open_count = 0
        # Whether these were counted once.
        self.is_known = False
        # Whether it is this node's to count, and by which ring: see administer/counting.py.
        self.is_here = True
        self.ring: Ring | None = None
        # `trims` as it was then; None: it has to be counted again.
        self.trims: int | None = 0
        # It has taken nothing of topics with higher ids: it has not run since they were made.
        self.seen_id = 0
        # What it was at the last two looks for growth, the older one first, as far as it was known here all
        # the time since: see administer/attention.py.
        self.marks = NO_MARKS
        # Grows with every word of where it is: what was read before that is not the newest.
        self.changes = 0
        # Of the topics in which it has something to do, while it runs. In every other one it has taken all.
        self.places: dict[int, Place] = {}

    @property
    def count(self) -> int:
        """How many messages it has not settled."""
        return max(0, self.coverage.published - self.taken + self.open_count)

    @property
    def is_stale(self) -> bool:
        """Whether it has to be counted."""
        return not self.is_known or (self.trims != self.coverage.trims and self.count > 0)

    def know(self, taken: int, open_count: int, trims: int) -> None:
        """It was counted in all topics; `trims`: of the coverage, before that began."""
        # Counted again, it is the same lag that grows.
        marks = self.marks
        self.unknown()
        self.marks = marks
        self.taken, self.open_count, self.trims = taken, open_count, trims
        self.is_known = True
        self.coverage.known_count += 1
        self._all.count(self.coverage, self.coverage.published - taken + open_count)

    def unknown(self) -> None:
        """It has to be counted anew."""
        self.changes += 1
        self.jumped()
        if self.is_known:
            self.is_known = False
            self.coverage.known_count -= 1
            coverage = self.coverage
            self._all.count(coverage, self.taken - coverage.published - self.open_count)

    def runs(self) -> None:
        """It runs here: it says itself what it takes, also of topics that are made from now on."""
        self.seen_id = EVERY_ID

    def rests(self) -> None:
        """It does not run here any more, or is about to be counted."""
        self.seen_id = self.coverage.newest_id

    def jumped(self) -> None:
        """It has another owner, or a seek has moved it: that it lacks more than before is no growth."""
        self.marks = NO_MARKS

    def put(self, topic: Topic, place: Place, before: Place | None = None) -> None:
        """It is here now in a topic; `before`: where it was, if it had nothing to do there, and that is not
        here."""
        before = self.places.get(topic.topic_id, before or place)
        self.places[topic.topic_id] = place
        self._move(place.taken - before.taken, place.open_count - before.open_count)

    def drop(self, topic: Topic) -> None:
        """It has nothing to do any more in the topic: it has taken all of it."""
        before = self.places.pop(topic.topic_id, None)
        if before is not None:
            self._move(topic.last_seq - before.taken, -before.open_count)

    def look(self, topic: Topic, delivery: Delivery) -> None:
        """How far it is in a topic where it has something to do; nothing happens if that is over."""
        if topic.topic_id in self.places:
            self.put(topic, place_of(topic, delivery))

    def _move(self, taken_count: int, open_count: int) -> None:
        self.changes += 1
        self.taken += taken_count
        self.open_count += open_count
        if self.is_known:
            self._all.count(self.coverage, open_count - taken_count)


class Lags:
    """The lag of every durable subscription, by its id."""

    def __init__(self, allowances: Allowances) -> None:
        self._allowances = allowances
        self.by_id: dict[int, Lag] = {}
        self._coverages: dict[tuple[str, str], Coverage] = {}
        self._tries: dict[str, PatternTrie[Coverage]] = {}
        self.backlog_count = 0
        """Of all subscriptions whose lag is known: where nodes share a log, of those that are this one's."""

    def count(self, coverage: Coverage, change: int) -> None:
        """So much more is not settled by the subscriptions of this coverage, as far as they are known."""
        self.backlog_count += change
        coverage.allowance.backlog_count += change

    # Subscriptions --------------------------------------------------------------------------------

    def keep(self, record: SubscriptionRecord) -> Lag:
        """A subscription that exists. Its lag is not known; if its coverage is new, no topic is counted."""
        place = (record.tenant, record.pattern)
        coverage = self._coverages.get(place)
        if coverage is None:
            coverage = self._coverages[place] = Coverage(self._allowances.of(record.tenant))
            self._tries.setdefault(record.tenant, PatternTrie()).add(record.pattern, coverage)
        lag = self.by_id[record.subscription_id] = Lag(self, coverage)
        coverage.lags[record.subscription_id] = lag
        return lag

    def forget(self, record: SubscriptionRecord) -> None:
        """It was deleted."""
        lag = self.by_id.pop(record.subscription_id)
        lag.unknown()
        del lag.coverage.lags[record.subscription_id]
        if not lag.coverage.lags:
            del self._coverages[record.tenant, record.pattern]
            self._tries[record.tenant].remove(record.pattern, lag.coverage)

    async def cover(self, coverage: Coverage, walk: Iterable[Walked]) -> None:
        """Count the topics of a coverage, unless that is done, or somebody else does it."""
        if coverage.reached is None:
            return
        for number, step in enumerate(walk):
            for topic in step.topics:
                if not coverage.has(topic):
                    self.add(coverage, topic)
            if coverage.reached is not None:
                coverage.reached = max(coverage.reached, step.reached)
            # Others have their turns, unless that is all.
            if number:
                await asyncio.sleep(0)
        coverage.reached = None

    def covering(self, topic: Topic) -> Sequence[Coverage]:
        """The coverages that the topic belongs to."""
        trie = self._tries.get(topic.tenant)
        return () if trie is None else trie.match(topic.name)

    # Topics ---------------------------------------------------------------------------------------

    def published(self, topic: Topic, coverages: Iterable[Coverage], count: int) -> None:
        """So many were published to a topic of these."""
        for coverage in coverages:
            if coverage.reached is None or topic.name <= coverage.reached:
                coverage.published += count
                self.count(coverage, count * coverage.known_count)

    def topic_created(self, topic: Topic) -> None:
        """The topic exists from now on; nobody has taken anything of it."""
        for coverage in self.covering(topic):
            if coverage.has(topic):
                self.add(coverage, topic)

    def add(self, coverage: Coverage, topic: Topic) -> None:
        """Count a topic."""
        coverage.topic_count += 1
        coverage.newest_id = max(coverage.newest_id, topic.topic_id)
        coverage.published += topic.last_seq
        coverage.removed += topic.first_seq - 1
        self.count(coverage, topic.last_seq * coverage.known_count)
        if topic.last_seq and coverage.reached is None:
            # It is heard of late, and was followed elsewhere.
            for lag in coverage.lags.values():
                lag.seen_id = max(lag.seen_id, topic.topic_id)
        if topic.first_seq > 1:
            coverage.trims += 1

    def topic_deleted(self, topic: Topic) -> None:
        """The topic is gone. Those that have not run since it was made have taken nothing of it. Of others
        that do not run nobody knows: they are taken to have had all of it until they are counted."""
        for coverage in self.covering(topic):
            if coverage.has(topic):
                coverage.topic_count -= 1
                coverage.published -= topic.last_seq
                coverage.removed -= topic.first_seq - 1
                for lag in coverage.lags.values():
                    if topic.topic_id > lag.seen_id:
                        self.count(coverage, -topic.last_seq * lag.is_known)
                    else:
                        lag.taken -= topic.last_seq
                        lag.changes += 1
                        lag.trims = None

    def trimmed(self, topic: Topic, first_seq: int) -> None:
        """Retention is about to move the topic's first number."""
        removed_count = first_seq - topic.first_seq
        if removed_count > 0:
            for coverage in self.covering(topic):
                if coverage.has(topic):
                    coverage.removed += removed_count
                    coverage.trims += 1


def place_of(topic: Topic, delivery: Delivery) -> Place:
    """How far a subscription is in a topic."""
    taken = max(delivery.cursor, topic.first_seq - 1)
    return Place(taken, open_from(delivery, topic.first_seq))
