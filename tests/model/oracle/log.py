"""Topics and their messages, as the store has them and as the broker has learned of them."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

from conduit.storage.base import Rule, Start

# Stamps are whole milliseconds.
ROUNDED_S = 0.002


class Violation(AssertionError):
    """A promise is broken."""


@dataclass(eq=False)
class Stored:
    """One message of the log."""

    message_id: str
    payload: bytes
    at_ms: int
    """Its stamp, by the wall clock."""
    since: float = 0.0
    """When it was on its way into the log, by the clock that nobody sets."""


@dataclass(eq=False)
class Topic:
    """One life of a topic: made anew it is another one, with another epoch."""

    topic_id: int
    name: str
    epoch: str
    first_seq: int = 1
    """Of the messages that are stored."""
    first_known: int = 1
    """What the broker takes for `first_seq`: what it was told last."""
    is_known: bool = False
    """Whether the broker has heard that it exists."""
    last_known: int = 0
    """The newest number that the broker has heard of; others may have written more."""
    passed: int = 0
    """Up to here the broker has no hole: it has heard of every number. What follows may be later for it."""
    messages: list[Stored] = field(default_factory=list)
    """By number, from 1 on; those below `first_seq` are gone."""
    going: int = 0
    """Deletions under way."""
    stamp_ms: int = 0
    """The last one that the broker gave."""
    max_age_s: float | None = None
    is_being_trimmed: bool = False
    """Whether the store is removing what is not kept any more: who reads may see that before it answers."""
    seen_gone_to: int = 0
    """Up to this number somebody has seen that meanwhile."""

    @property
    def last_seq(self) -> int:
        return len(self.messages)

    def hears(self, seq: int) -> None:
        """The broker knows of this number, and perhaps not of all before it."""
        self.last_known = max(self.last_known, seq)
        if seq == self.passed + 1:
            self.passed = seq

    def passes(self, seq: int) -> None:
        """The broker has all up to this number."""
        self.passed = max(self.passed, seq)
        self.last_known = max(self.last_known, seq)

    def is_gone(self, seq: int) -> bool:
        """Whether nothing is stored up to this number. While the store removes something, that is taken on
        trust, and `trimmed` checks it."""
        if seq >= self.first_seq and self.is_being_trimmed:
            self.seen_gone_to = max(self.seen_gone_to, seq)
            return True
        return seq < self.first_seq

    def trimmed(self) -> None:
        """The store has removed what it was to remove."""
        seen_gone_to, self.seen_gone_to, self.is_being_trimmed = self.seen_gone_to, 0, False
        if seen_gone_to >= self.first_seq:
            raise Violation(
                f"{self.name} told a gap up to {seen_gone_to}, and {self.first_seq} is stored"
            )

    def seq_at(self, time_ms: int) -> int:
        """The first stored number published then or later, or the next one to come; 1 if one such is gone."""
        if self.first_seq > 1 and self.messages[self.first_seq - 2].at_ms >= time_ms:
            return 1
        stored = self.messages[self.first_seq - 1 :]
        return self.first_seq + bisect_left(stored, time_ms, key=lambda one: one.at_ms)

    def floor_of(self, start: Start) -> int:
        """After which number a subscription begins that begins there."""
        first = self.last_seq + 1
        place = (start.positions or {}).get(self.name)
        if place is not None:
            first = place.first_seq if place.topic_id == self.topic_id else self.first_seq
        elif start.earliest:
            first = self.first_seq
        elif start.seq is not None:
            first = start.seq
        elif start.time_ms is not None:
            first = self.seq_at(start.time_ms)
        return min(max(first - 1, 0), self.last_seq)


@dataclass
class Key:
    """What an idempotency key stands for."""

    message_id: str
    seq: int
    since: float


class Log:
    """All topics."""

    def __init__(self) -> None:
        self.by_id: dict[int, Topic] = {}
        self.by_name: dict[str, Topic] = {}
        self.places: dict[str, tuple[Topic, int]] = {}
        self.keys: dict[tuple[int, str], Key] = {}
        self.is_plain = True
        """Whether the wall clock was never set, and the machine never off."""
        self.is_step_kept = True
        """Whether the store was told of the time since the wall clock was set back last."""
        self.is_time_kept = True
        """Whether the store was told of everything that happened to the wall clock, as far as is known."""

    @property
    def is_time_known(self) -> bool:
        """Whether the broker must know how old everything is."""
        return self.is_plain or self.is_time_kept

    def create(self, topic_id: int, name: str, epoch: str) -> Topic:
        """A new topic, or a new life of one."""
        if name in self.by_name:
            raise Violation(f"{name} was created while it exists")
        topic = self.by_id[topic_id] = self.by_name[name] = Topic(topic_id, name, epoch)
        return topic

    def forget(self, topic_id: int) -> Topic | None:
        """The store has deleted it."""
        topic = self.by_id.pop(topic_id, None)
        if topic is not None:
            del self.by_name[topic.name]
        return topic

    def append(self, topic: Topic, seq: int, message: Stored) -> None:
        """The store gave a message this number."""
        if seq != topic.last_seq + 1:
            raise Violation(f"{topic.name} has number {seq} after {topic.last_seq}")
        topic.messages.append(message)
        self.places[message.message_id] = (topic, seq)

    def stamped(self, topic: Topic, stamp_ms: int) -> None:
        """The broker gave the topic's next message this stamp."""
        # Where nothing is left, nobody knows what was there.
        is_empty = topic.first_seq > topic.last_seq
        if stamp_ms < topic.stamp_ms and self.is_time_known and not is_empty:
            raise Violation(f"a stamp of {topic.name} runs back by {topic.stamp_ms - stamp_ms} ms")
        topic.stamp_ms = stamp_ms

    def remember(self, topic: Topic, key: str, seq: int, window_s: float) -> None:
        """The message with this number was published under an idempotency key."""
        message = topic.messages[seq - 1]
        known = self.keys.get((topic.topic_id, key))
        is_early = known is not None and message.since - known.since < window_s
        if known is not None and is_early and self.is_time_known:
            raise Violation(f"{topic.name} has {known.seq} and {seq} under one idempotency key")
        self.keys[topic.topic_id, key] = Key(message.message_id, seq, message.since)

    def begin_trim(self, topic_id: int) -> None:
        """Retention removes something of the topic now."""
        topic = self.by_id.get(topic_id)
        if topic is not None:
            topic.is_being_trimmed = True

    def aged(self, topic: Topic, rule: Rule, first_seq: int, now: float) -> None:
        """Retention, or a purge, has removed what is below this number."""
        retention, purged_seq = rule.retention, rule.through_seq if rule.is_awaited else 0
        most = topic.last_seq if retention.max_messages is None else retention.max_messages
        kept_seq = max(topic.first_seq, topic.last_seq - most + 1, purged_seq + 1)
        for seq in range(kept_seq, first_seq):
            age_s = now - topic.messages[seq - 1].since
            is_young = retention.max_age_s is None or age_s < retention.max_age_s - ROUNDED_S
            if is_young and self.is_time_known:
                raise Violation(f"{topic.name} {seq} was removed, and is {age_s:.1f} s old")
