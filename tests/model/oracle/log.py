"""Topics and their messages, as the store has them and as the broker has learned of them."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field


class Violation(AssertionError):
    """A promise is broken."""


@dataclass(eq=False)
class Stored:
    """One message of the log."""

    message_id: str
    payload: bytes
    at_ms: int


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
    is_foreign: bool = False
    """Another node made it: the broker need not know it, even where it has heard of it."""
    last_known: int = 0
    """The newest number that the broker has heard of; others may have written more."""
    messages: list[Stored] = field(default_factory=list)
    """By number, from 1 on; those below `first_seq` are gone."""
    going: int = 0
    """Deletions under way."""

    @property
    def last_seq(self) -> int:
        return len(self.messages)

    def seq_at(self, time_ms: int) -> int:
        """The first stored number published then or later, or the next one to come; 1 if one such is gone."""
        if self.first_seq > 1 and self.messages[self.first_seq - 2].at_ms >= time_ms:
            return 1
        stored = self.messages[self.first_seq - 1 :]
        return self.first_seq + bisect_left(stored, time_ms, key=lambda one: one.at_ms)


@dataclass
class Key:
    """What an idempotency key stands for."""

    message_id: str
    seq: int
    at_ms: int


class Log:
    """All topics."""

    def __init__(self) -> None:
        self.by_id: dict[int, Topic] = {}
        self.by_name: dict[str, Topic] = {}
        self.places: dict[str, tuple[Topic, int]] = {}
        self.keys: dict[tuple[int, str], Key] = {}

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

    def remember(self, topic: Topic, key: str, seq: int, window_ms: int) -> None:
        """The message with this number was published under an idempotency key."""
        message = topic.messages[seq - 1]
        known = self.keys.get((topic.topic_id, key))
        if known is not None and message.at_ms - known.at_ms < window_ms:
            raise Violation(f"{topic.name} has {known.seq} and {seq} under one idempotency key")
        self.keys[topic.topic_id, key] = Key(message.message_id, seq, message.at_ms)
