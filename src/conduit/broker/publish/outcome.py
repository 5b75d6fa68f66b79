"""What became of a message, and who is told: its subscribers, those who repeat its key, its publisher.

A message that is published alone and one of a batch are told of in this one way; they differ in when
their publisher is answered.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine, Sequence
from typing import Any, Protocol

from conduit.broker.catalog import Catalog, Topic
from conduit.broker.deliver.router import OPENED_MAX_COUNT
from conduit.broker.publish.keys import Keys
from conduit.broker.publish.receipt import Answer
from conduit.broker.publish.refusals import Refusals
from conduit.broker.stats import Stats
from conduit.core.message import NewMessage
from conduit.errors import ConduitError, NotFound
from conduit.protocol.codec import format_time
from conduit.protocol.records import Receipt
from conduit.storage.base import TOPIC_GONE, Appended, Store


class Deliver(Protocol):
    """The way from the log to the subscribers, as far as publishing knows it."""

    @property
    def subscriber_count(self) -> int:
        """Of all topics."""

    def committed(self, topic: Topic, messages: Sequence[NewMessage], first_seq: int) -> int:
        """Messages of one topic are in the log, from `first_seq` on without a hole; returns how many
        subscribers they go to."""

    def opening(self, topic_ids: Collection[int]) -> Coroutine[Any, Any, None] | None:
        """None if `committed` may be called at once for messages of all these topics. Else that would take
        too long: wait for this first."""


Forward = Callable[[Topic, Sequence[NewMessage], int], int]
"""Tells other nodes of messages of one topic, the first of which has that number; returns how many
subscribers those have, as far as that is known."""


class Outcomes:
    """Knows what the receipts of one commit share: its time as a rule, and how many subscribers each
    topic had.

    It counts the messages that were stored, and the requests that are answered with an error.
    """

    def __init__(
        self, store: Store, catalog: Catalog, stats: Stats, keys: Keys, deliver: Deliver
    ) -> None:
        self.refusals = Refusals(stats)
        self._store = store
        self._catalog = catalog
        self._stats = stats
        self.keys = keys
        self._deliver = deliver
        self.forward: Forward | None = None
        """Tells other nodes."""
        self._is_durable = False
        self._published_at_ms = 0
        self._published_at = ""
        self._subscriber_count: dict[Topic, int] = {}

    def committed(
        self, messages: Sequence[NewMessage], seqs: Sequence[Appended], *, is_opened: bool = False
    ) -> Coroutine[Any, Any, None] | None:
        """The log has a commit: pass it on to the subscribers, topic by topic. If that is much, it returns
        what has to be waited for, before the publishers are told or another commit of these topics comes."""
        groups: dict[int, list[NewMessage]] = {}
        # The numbers of a topic are consecutive within one commit: the first says all.
        first_seqs: dict[int, int] = {}
        for message, seq in zip(messages, seqs, strict=True):
            if not isinstance(seq, int):
                # Known by its key: it was passed on when it was stored.
                continue
            group = groups.get(message.topic_id)
            if group is not None:
                group.append(message)
            elif seq != TOPIC_GONE:
                groups[message.topic_id] = [message]
                first_seqs[message.topic_id] = seq
        if not is_opened and len(groups) * self._deliver.subscriber_count > OPENED_MAX_COUNT:
            opening = self._deliver.opening(groups)
            if opening is not None:
                return self._committed_later(opening, messages, seqs)
        # Publishers are told next, in this turn: the commits of other shards change this.
        self._is_durable = self._store.durable
        self._published_at_ms = messages[0].published_at_ms
        self._published_at = format_time(self._published_at_ms)
        self._subscriber_count.clear()
        for topic_id, group in groups.items():
            self._stats.published_count += len(group)
            topic = self._catalog.by_id(topic_id)
            if topic is not None:
                size_bytes = sum([message.size_bytes for message in group])
                topic.stored_bytes += size_bytes
                allowance = topic.allowance
                allowance.stored_bytes += size_bytes
                allowance.counts.published_count += len(group)
                count = self._deliver.committed(topic, group, first_seqs[topic_id])
                if self.forward is not None:
                    count += self.forward(topic, group, first_seqs[topic_id])
                self._subscriber_count[topic] = count

        return None

    async def _committed_later(
        self,
        opening: Coroutine[Any, Any, None],
        messages: Sequence[NewMessage],
        seqs: Sequence[Appended],
    ) -> None:
        await opening
        # Some may have come meanwhile, but not as many again.
        self.committed(messages, seqs, is_opened=True)

    def stored(self, topic: Topic, message: NewMessage, seq: Appended) -> Receipt:
        """What the publisher of a message of that commit is told; those who repeat its key are told now.
        Raises NotFound if its topic was deleted before: then it has failed."""
        if not isinstance(seq, int):
            return self.keys.repeats(topic, message, seq)
        if seq == TOPIC_GONE:
            raise NotFound(
                f"topic {topic.name!r} was deleted", code="topic_not_found", field="topic"
            )
        receipt = Receipt(
            message.message_id,
            topic.name,
            self._subscriber_count.get(topic, 0),
            self._published_at
            if message.published_at_ms == self._published_at_ms
            else format_time(message.published_at_ms),
            seq,
            topic.epoch,
            self._is_durable,
            False,
        )
        if message.idempotency_key is not None:
            self.keys.settle(topic, message, receipt)
        return receipt

    def failed(self, topic: Topic, message: NewMessage, error: ConduitError) -> ConduitError:
        """The same of a message that was not stored, or of which that is not known yet."""
        if message.idempotency_key is not None:
            self.keys.settle(topic, message, error)
        return error

    def refuse(self, error: ConduitError, answer: Callable[[ConduitError], None]) -> None:
        """Tell a publisher why it was not stored."""
        self.refusals.add(error)
        answer(error)

    def repeated(self, answer: Answer, outcome: Receipt | ConduitError) -> None:
        """Tell a publisher who repeats a key what became of the first publish under it."""
        if isinstance(outcome, ConduitError):
            self.refuse(outcome, answer)
        else:
            answer(outcome)
