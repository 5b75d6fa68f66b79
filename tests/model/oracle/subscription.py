"""Subscriptions and those who are attached to them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator

from conduit.core.hearing import Hearing
from conduit.core.message import SubscriptionSettings
from conduit.core.topics import matches
from tests.model.oracle.delivery import Rules
from tests.model.oracle.line import Line
from tests.model.oracle.log import Log, Topic, Violation
from tests.model.oracle.news import Former, Known, News


class Holder:
    """One attachment: a client's share in a subscription. `out` is what it has, over all topics."""

    def __init__(self, client: Hashable, subscription: Subscription, prefetch: int | None) -> None:
        self.client = client
        self.subscription = subscription
        self._prefetch = prefetch
        self.out = 0
        self.is_draining = True
        self.knows: set[Known] = set()
        """The gaps that it was told."""
        self.is_late_with: set[Known] = set()
        """Those that were over while it did not drain: it may be told them late."""
        self._hearing: Hearing[Callable[[], None]] = Hearing()

    def tell(self, what: Known, heard: Callable[[], None]) -> None:
        """It was told this; `heard` is called when it is known to have heard it."""
        self.knows.add(what)
        self._hearing.tell([heard], self.out)

    def settled(self, count: int) -> None:
        """So many deliveries left it by what it sent, or were settled as they were written to it."""
        for heard in self._hearing.settle(count):
            heard()

    @property
    def room(self) -> int:
        """How many more deliveries it takes."""
        if not self.is_draining:
            return 0
        if self.subscription.rules.is_auto:
            return 1
        return max(0, self.window - self.out)

    @property
    def window(self) -> int:
        """How many deliveries it may have out."""
        window = self.subscription.max_in_flight
        return window if self._prefetch is None else min(window, self._prefetch)


class Subscription:
    """A durable one, or what an unnamed subscriber has for as long as it is there."""

    def __init__(
        self,
        name: str | None,
        pattern: str,
        settings: SubscriptionSettings,
        subscription_id: int = 0,
    ) -> None:
        self.name = name
        self.pattern = pattern
        self.subscription_id = subscription_id
        self.lines: dict[int, Line] = {}
        self.holders: list[Holder] = []
        self.paused = False
        self.going = 0
        """Deletions under way."""
        self.pauses_asked = 0
        """How often it was asked to pause, or to go on."""
        self.is_known = name is None
        """Whether the broker has heard that it exists."""
        self.is_stored = name is not None
        self.refused_count = 0
        """How often the broker was told that another node has claimed it."""
        self.news = News()
        self.stored = (settings, False)
        """Settings, and whether it is paused, as the store has them."""
        self.configure(settings)

    def __str__(self) -> str:
        return f"{self.name or 'unnamed'} on {self.pattern}"

    def configure(self, settings: SubscriptionSettings) -> None:
        """Use these settings from now on; deadlines that run stay."""
        self.settings = settings
        self.max_in_flight = settings.max_in_flight
        self.rules = Rules(
            wait_s=settings.ack_wait_ms / 1000,
            # The cap is for the doubling: whoever asks for longer from the first has it.
            wait_max_s=max(settings.max_ack_wait_ms, settings.ack_wait_ms) / 1000,
            max_attempts=settings.max_attempts,
            max_lost=settings.max_lost,
            is_strict=settings.order == "strict",
            is_auto=settings.ack == "auto",
        )

    def may_be_told_late(self, what: Known) -> None:
        """Somebody has heard of it, or a seek has passed it. What was written to a socket that does not
        drain, or has only begun to, is read after that."""
        for holder in self.holders:
            if what not in holder.knows:
                holder.is_late_with.add(what)

    def covers(self, topic: Topic) -> bool:
        """Whether the topic's messages are for it."""
        return matches(self.pattern, topic.name)

    def follow(self, topic: Topic, floor: int) -> None:
        """It is owed what comes after `floor`."""
        self.lines[topic.topic_id] = Line(topic, floor)

    def drop(self, topic: Topic) -> None:
        """The topic is gone, and what was open in it with it."""
        line = self.lines.pop(topic.topic_id, None)
        if line is not None and line.is_late:
            late = Former(topic.epoch, topic.last_seq + 1, None)
            self.news.may_be_told(topic.name, late)
        elif line is not None:
            if topic.name in self.news.former and any(not one.is_draining for one in self.holders):
                # What was written to a slow socket is told as it was by then.
                self.news.may_be_told(topic.name, self.news.former[topic.name])
            former = Former(topic.epoch, line.floor + 1, topic.last_known)
            self.news.is_gone(topic.name, former)
        if line is not None:
            line.seek(line.next - 1)

    def line_of(self, topic: Topic) -> Line:
        """Where it is in the topic."""
        line = self.lines.get(topic.topic_id)
        if line is None:
            raise Violation(f"{self} was given something of {topic.name}, which it does not cover")
        return line

    def can_take(self) -> Holder | None:
        """Somebody who drains and has credit, unless it is paused."""
        if self.paused:
            return None
        return next((holder for holder in self.holders if holder.room > 0), None)

    def counts(self) -> tuple[int, int]:
        """How many deliveries are out, and how many wait."""
        opened = [one for line in self.lines.values() for one in line.open.values()]
        out = sum(one.holder is not None for one in opened)
        return out, len(opened) - out

    def is_full(self, max_waiting: int) -> bool:
        """Whether so many deliveries wait, or may do so, that it need not be given anything new."""
        doubtful = sum(len(line.maybe | line.asked) for line in self.lines.values())
        return self.counts()[1] + doubtful >= max_waiting

    def owed(self, now: float) -> Iterator[tuple[Line, int]]:
        """What a subscriber with credit must have been given by now."""
        for line in self.lines.values():
            seq = line.owed(now, self.rules)
            if seq is not None:
                yield line, seq

    def restore(self, now: float, log: Log) -> None:
        """After a restart: what is stored is all that is left."""
        self.holders.clear()
        self.going, self.is_known = 0, True
        self.news.restore()
        settings, self.paused = self.stored
        self.configure(settings)
        for topic_id, line in tuple(self.lines.items()):
            if topic_id in log.by_id:
                line.restore(now)
                line.asked.clear()
            else:
                del self.lines[topic_id]
