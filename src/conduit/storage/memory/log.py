"""Topics and their messages in memory.

A topic is a list in which the message with number `seq` stands at `seq - first_seq`; `places.py`
finds a message by its id. The whole log is bounded: when it passes `max_messages` or `max_bytes`, the
topics that hold the most lose their oldest messages, at most half of each, until a 1024th of the bound
is free. So a noisy topic pays for itself, and making room costs little for each message.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Iterable, Sequence
from heapq import nlargest
from itertools import groupby, islice
from operator import attrgetter

import msgspec

from conduit.core.message import Message, NewMessage, Retention, TopicRecord
from conduit.errors import Conflict
from conduit.storage.base import TOPIC_GONE, Extent, KnownKey, Rule, Trimmed
from conduit.storage.memory.keys import Keys
from conduit.storage.memory.messages import Messages
from conduit.storage.memory.places import Places

# How much of a bound is made free at once. More, and publishers wait for it; less, and it is done for
# every few publishes.
ROOM_SHARE = 1024
# All topics are compared once for so many rooms made, and so many of them are kept as the largest.
ROOMS_PER_RANKING = 16
LARGEST_COUNT = 64
# A place in the log is one integer, topic id and number: a tuple for each message is what Python's
# garbage collector would visit, in pauses of 10 ms and more.
SEQ_BITS = 48

_topic_id = attrgetter("topic_id")


class Topic:
    """A record and its messages, `record.first_seq` to `record.last_seq`."""

    __slots__ = ("messages", "record", "trimmed_ms")

    def __init__(self, record: TopicRecord) -> None:
        self.record = record
        self.messages = Messages()
        # When the last message was published that was removed.
        self.trimmed_ms = 0

    @property
    def extent(self) -> Extent:
        """What is there."""
        record = self.record
        ends = record.first_seq, record.last_seq
        return Extent(record.topic_id, record.name, *ends, self.trimmed_ms)


class Log:
    """All topics. Synchronous: a call is one step of the event loop."""

    def __init__(self, max_messages: int, max_bytes: int, max_keys: int) -> None:
        self.topics: dict[int, Topic] = {}
        self.keys = Keys(max_keys, lambda topic_id: self.topics[topic_id].record.tenant)
        self._ids: dict[tuple[str, str], int] = {}
        self._places = Places()
        self._gone: deque[Messages] = deque()
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._count = 0
        self._bytes = 0
        # Of the bound, what others take.
        self._reserved_bytes = 0
        self._last_topic_id = 0
        # The topics that held the most when they were last compared, and how often they go on paying.
        self._largest: list[Topic] = []
        self._rank_due = 0

    # Topics ---------------------------------------------------------------------------------------

    def create(self, tenant: str, name: str, retention: Retention, now_ms: int) -> TopicRecord:
        """See `Store.topic_create`."""
        if (tenant, name) in self._ids:
            raise Conflict(f"topic {name!r} exists", code="topic_exists")
        topic_id = self._last_topic_id = self._last_topic_id + 1
        epoch = secrets.token_hex(8)
        record = TopicRecord(topic_id, tenant, name, epoch, now_ms, 1, 0, 0, retention)
        self.topics[topic_id] = Topic(record)
        self._ids[tenant, name] = topic_id
        return msgspec.structs.replace(record)

    def first_seq(self, topic_id: int) -> int | None:
        """Of what is stored of the topic, or of what comes next; None if there is no topic."""
        topic = self.topics.get(topic_id)
        return None if topic is None else topic.record.first_seq

    def id_of(self, tenant: str, name: str) -> int | None:
        """The id of the topic that has this name now."""
        return self._ids.get((tenant, name))

    def delete(self, topic_id: int) -> None:
        """Forget a topic and leave its messages to `purge`."""
        topic = self.topics.get(topic_id)
        if topic is not None:
            self.keys.drop_topic(topic_id)
            del self.topics[topic_id], self._ids[topic.record.tenant, topic.record.name]
            self._gone.append(topic.messages)
            self._largest = [other for other in self._largest if other is not topic]

    # Messages -------------------------------------------------------------------------------------

    def append(self, batch: Sequence[NewMessage]) -> list[int]:
        """See `Store.append`."""
        seqs: list[int] = []
        for topic_id, run in groupby(batch, _topic_id):
            topic = self.topics.get(topic_id)
            if topic is None:
                seqs.extend(TOPIC_GONE for _ in run)
            else:
                self._append(topic, list(run), seqs)
        if self._is_over(self._max_messages, self._max_bytes):
            self._make_room()
        return seqs

    def _append(self, topic: Topic, batch: Sequence[NewMessage], seqs: list[int]) -> None:
        """Messages of one topic; their numbers are added to `seqs`."""
        record, add = topic.record, topic.messages.append
        places = self._places.chunk_for(batch[0].published_at_ms)
        first_place = record.topic_id << SEQ_BITS
        first_seq = seq = record.last_seq
        added_bytes = 0
        for new in batch:
            seq += 1
            message_id, at_ms, payload = new.message_id, new.published_at_ms, new.payload
            add(Message(message_id, seq, at_ms, payload, new.key, new.headers))
            places[message_id] = first_place + seq
            seqs.append(seq)
            if new.key is None and new.headers is None:
                added_bytes += len(payload)
            else:
                added_bytes += new.size_bytes
            if new.idempotency_key is not None:
                place = record.topic_id, new.idempotency_key, message_id, seq, at_ms
                self.keys.remember(KnownKey(*place, new.payload_hash))
        record.last_seq = seq
        record.stored_bytes += added_bytes
        self._bytes += added_bytes
        self._count += seq - first_seq

    def read(self, topic_id: int, from_seq: int, limit: int, descending: bool) -> Iterable[Message]:
        """Up to `limit` messages from `from_seq` on, or downwards."""
        topic = self.topics.get(topic_id)
        if topic is None:
            return ()
        at = from_seq - topic.record.first_seq
        if descending:
            end = max(min(at + 1, len(topic.messages)), 0)
            return reversed(topic.messages.slice(max(end - limit, 0), end))
        start = max(at, 0)
        return topic.messages.slice(start, start + limit)

    def last_stamps(self, topic_ids: Iterable[int]) -> dict[int, int]:
        """See `Store.last_stamps`."""
        topics = (self.topics.get(topic_id) for topic_id in topic_ids)
        return {
            topic.record.topic_id: topic.messages[len(topic.messages) - 1].published_at_ms
            for topic in topics
            if topic is not None and len(topic.messages)
        }

    def message(self, topic_id: int, seq: int) -> Message | None:
        """The message with this number, if it is stored."""
        topic = self.topics.get(topic_id)
        if topic is None or not topic.record.first_seq <= seq <= topic.record.last_seq:
            return None
        return topic.messages[seq - topic.record.first_seq]

    def find(self, tenant: str, message_id: str) -> tuple[int, Message] | None:
        """See `Store.find`."""
        place = self._places.get(message_id)
        if place is None:
            return None
        topic_id, seq = divmod(place, 1 << SEQ_BITS)
        message = self.message(topic_id, seq)
        if message is None or self.topics[topic_id].record.tenant != tenant:
            return None
        return topic_id, message

    def seq_at(self, topic_id: int, time_ms: int) -> int:
        """See `Store.seq_at`."""
        topic = self.topics.get(topic_id)
        if topic is None:
            return 1
        return topic.record.first_seq + topic.messages.position_at(time_ms)

    # Removal --------------------------------------------------------------------------------------

    @property
    def size_bytes(self) -> int:
        """Of all that it holds."""
        return self._bytes

    def reserve(self, size_bytes: int) -> None:
        """So many bytes of the bound are taken by others now."""
        self._reserved_bytes = size_bytes
        if self._is_over(self._max_messages, self._max_bytes):
            self._make_room()

    def trim(self, topic_id: int, rule: Rule, limit: int) -> Trimmed:
        """See `Store.trim`."""
        topic = self.topics.get(topic_id)
        if topic is None:
            return Trimmed(first_seq=1, stored_bytes=0, removed_count=0, more=False)
        through_count = min(
            max(0, rule.through_seq - topic.record.first_seq + 1), len(topic.messages)
        )
        due = max(_due_count(topic, rule, limit + 1), min(through_count, limit + 1))
        removed = min(due, limit)
        self._remove(topic, removed)
        return Trimmed(topic.record.first_seq, topic.record.stored_bytes, removed, due > limit)

    def purge(self, limit: int) -> int:
        """See `Store.purge`."""
        removed = 0
        while self._gone and removed < limit:
            messages = self._gone[0].take(limit - removed)
            self._forget(messages)
            removed += len(messages)
            if not self._gone[0]:
                self._gone.popleft()
        return removed

    def _make_room(self) -> None:
        max_count = self._max_messages - self._max_messages // ROOM_SHARE
        max_bytes = self._max_bytes - self._max_bytes // ROOM_SHARE
        while self._is_over(max_count, max_bytes) and self.purge(1):
            pass
        self._rank_due -= 1
        while self._is_over(max_count, max_bytes):
            if self._rank_due <= 0:
                self._largest = nlargest(LARGEST_COUNT, self.topics.values(), key=self._share)
                self._rank_due = ROOMS_PER_RANKING
            for topic in sorted(self._largest, key=self._share, reverse=True):
                self._remove(topic, self._excess_count(topic, max_count, max_bytes))
                if not self._is_over(max_count, max_bytes):
                    return
            self._rank_due = 0

    def _is_over(self, max_count: int, max_bytes: int) -> bool:
        return self._count > max_count or self._bytes > max_bytes - self._reserved_bytes

    def _share(self, topic: Topic) -> float:
        """How much of the log's bound one topic takes: of the count or the bytes, what is more."""
        of_bytes = topic.record.stored_bytes / self._max_bytes
        return max(len(topic.messages) / self._max_messages, of_bytes)

    def _excess_count(self, topic: Topic, max_count: int, max_bytes: int) -> int:
        """How many messages of this topic must go for the log to fit; at most half of them."""
        half = (len(topic.messages) + 1) // 2
        count, stored_bytes = self._count, self._bytes + self._reserved_bytes
        if stored_bytes <= max_bytes:
            return min(count - max_count, half)
        for removed, message in enumerate(islice(topic.messages.oldest(), half)):
            if count - removed <= max_count and stored_bytes <= max_bytes:
                return removed
            stored_bytes -= _size(message)
        return half

    def _remove(self, topic: Topic, count: int) -> None:
        """Remove the `count` oldest messages of a topic."""
        removed = topic.messages.take(count)
        if removed:
            topic.trimmed_ms = removed[-1].published_at_ms
        topic.record.first_seq += count
        topic.record.stored_bytes -= self._forget(removed)

    def _forget(self, messages: Sequence[Message]) -> int:
        """These are gone; returns their bytes."""
        size_bytes = sum(map(_size, messages))
        self._places.remove_all(messages)
        self._count -= len(messages)
        self._bytes -= size_bytes
        return size_bytes


def _size(message: Message) -> int:
    size = len(message.payload)
    if message.key is not None:
        size += len(message.key.encode(errors="surrogatepass"))
    if message.headers is not None:
        size += len(message.headers)
    return size


def _due_count(topic: Topic, rule: Rule, limit: int) -> int:
    """How many of the oldest messages the rule no longer keeps, counted up to `limit`."""
    retention = rule.retention
    count, stored_bytes = len(topic.messages), topic.record.stored_bytes
    max_count = count if retention.max_messages is None else retention.max_messages
    max_bytes = stored_bytes if retention.max_bytes is None else retention.max_bytes
    cutoff_ms = 0 if retention.max_age_s is None else rule.now_ms - retention.max_age_s * 1000
    for due, message in enumerate(islice(topic.messages.oldest(), limit)):
        is_surplus = count - due > max_count or stored_bytes > max_bytes
        is_aged = message.published_at_ms < cutoff_ms and message.seq <= rule.aged_seq
        if not is_surplus and not is_aged:
            return due
        stored_bytes -= _size(message)
    return min(count, limit)
