"""From a request to a receipt: what may be published, under which idempotency key, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import msgspec
import uuid_utils

from conduit.broker.catalog import Catalog, Topic
from conduit.broker.clock import Clock
from conduit.broker.committer import Committer, Done
from conduit.broker.hub import Hub
from conduit.broker.stats import Stats
from conduit.core.dedupe import DedupeWindow, Known
from conduit.core.message import NewMessage
from conduit.errors import ConduitError, InvalidRequest, LimitReached, NotFound
from conduit.protocol.codec import encode_json
from conduit.protocol.frames import PublishRequest
from conduit.storage.base import TOPIC_GONE, KnownKey

KEY_MAX_CHARS = 255
HEADERS_MAX_COUNT = 64
HEADERS_MAX_BYTES = 16 << 10


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """What became of a publish. `subscribers` is how many it went to on this node."""

    message_id: str
    topic: str
    subscribers: int
    published_at_ms: int
    seq: int
    epoch: str
    durable: bool
    duplicate: bool


Answer = Callable[[Receipt | ConduitError], None]
"""Called once, on the loop's thread, at once or after the commit. Must not raise."""
BatchAnswer = Callable[[list[Receipt] | ConduitError], None]


class PublishLimits(msgspec.Struct, frozen=True):
    """Bounds of one request."""

    max_payload_bytes: int = 262_144
    max_batch_count: int = 1_000


class Publisher:
    """Admits publishes, hands them to the committer, and answers."""

    def __init__(
        self, hub: Hub, limits: PublishLimits, window: DedupeWindow[Receipt, Answer]
    ) -> None:
        self._catalog: Catalog = hub.catalog
        self._clock: Clock = hub.clock
        self._hub = hub
        # Bound once: the way of every single publish goes through these.
        self._find = hub.catalog.find
        self._now = hub.clock.now
        self._max_payload_bytes = limits.max_payload_bytes
        self._max_batch_count = limits.max_batch_count
        self._stats: Stats = hub.stats
        self._is_durable = hub.store.durable
        self._window = window
        self.committer = Committer(hub.store, self._committed)
        hub.oldest_uncommitted_ms = self._oldest_uncommitted_ms
        # Receipts need to know how many subscribers each topic had when its messages were committed.
        self._subscriber_count: dict[Topic, int] = {}

    def restore(self, keys: Sequence[KnownKey]) -> None:
        """Take over the idempotency keys that the store remembers, oldest first."""
        for known in keys:
            topic = self._catalog.by_id(known.topic_id)
            if topic is None:
                continue
            receipt = self._receipt(topic, known, known.seq)
            at = known.published_at_ms / 1000
            if isinstance(receipt, Receipt):
                self._window.restore(topic.topic_id, known.key, receipt, at)

    def expire(self, now: float) -> None:
        """Forget idempotency keys whose window is over."""
        self._window.expire(now)

    def forget_topic(self, topic: Topic) -> None:
        """The topic is deleted: its keys stand for nothing any more."""
        self._window.drop_topic(topic.topic_id)

    def _oldest_uncommitted_ms(self) -> int:
        oldest = self.committer.oldest
        return int(self._clock.now() * 1000) if oldest is None else oldest.published_at_ms

    # One ------------------------------------------------------------------------------------------

    def publish(self, tenant: str, request: PublishRequest, answer: Answer) -> None:
        """Store one message; `answer` gets the receipt or the reason why not."""
        try:
            topic, message = self._admit(tenant, request)
            if message.idempotency_key is not None:
                self._publish_once(topic, message, answer)
                return
            done = partial(self._stored, answer, topic, message)
            self.committer.submit((message,), len(message.payload), done)
        except ConduitError as error:
            self._stats.publish_error_count += 1
            answer(error)

    def _publish_once(self, topic: Topic, message: NewMessage, answer: Answer) -> None:
        if self._is_first(topic, message, answer):
            done = partial(self._stored_once, answer, topic, message)
            self._submit_pending([message], done)

    def _stored_once(
        self,
        answer: Answer,
        topic: Topic,
        message: NewMessage,
        result: Sequence[int] | ConduitError,
        start: int,
    ) -> None:
        self._settle_key(topic, message, result, start)
        self._stored(answer, topic, message, result, start)

    def _stored(
        self,
        answer: Answer,
        topic: Topic,
        message: NewMessage,
        result: Sequence[int] | ConduitError,
        start: int,
    ) -> None:
        if isinstance(result, ConduitError):
            self._stats.publish_error_count += 1
            answer(result)
        else:
            answer(self._receipt(topic, message, result[start]))

    # Idempotency ----------------------------------------------------------------------------------

    def _is_first(self, topic: Topic, message: NewMessage, answer: Answer) -> bool:
        """Whether the key is new. If not, `answer` has the first one's receipt, or will have it."""
        key = message.idempotency_key or ""
        entry = self._window.begin(topic.topic_id, key, self._clock.now())
        if entry is None:
            return True
        if isinstance(entry, Known):
            self._stats.duplicate_count += 1
            answer(msgspec.structs.replace(entry.result, duplicate=True))
        else:
            entry.wait(answer)
        return False

    def _submit_pending(self, messages: Sequence[NewMessage], done: Done) -> None:
        """Queue a unit whose keys are pending; if it cannot be queued, they are absent again."""
        try:
            self.committer.submit(messages, sum(len(new.payload) for new in messages), done)
        except ConduitError as error:
            done(error, 0)

    def _settle_key(
        self, topic: Topic, message: NewMessage, result: Sequence[int] | ConduitError, at: int
    ) -> None:
        """Tell the window what became of a message with a key, and those who wait for it."""
        key = message.idempotency_key or ""
        outcome = (
            result
            if isinstance(result, ConduitError)
            else self._receipt(topic, message, result[at])
        )
        if isinstance(outcome, ConduitError):
            for waiter in self._window.fail(topic.topic_id, key):
                waiter(outcome)
            return
        for waiter in self._window.complete(topic.topic_id, key, outcome):
            self._stats.duplicate_count += 1
            waiter(msgspec.structs.replace(outcome, duplicate=True))

    # Many -----------------------------------------------------------------------------------------

    def publish_batch(
        self, tenant: str, requests: Sequence[PublishRequest], answer: BatchAnswer
    ) -> None:
        """Store all or none; `answer` gets one receipt per request, in order, or the reason.

        A message whose key is known already is answered with the first result and not stored again.
        """
        try:
            if not 1 <= len(requests) <= self._max_batch_count:
                raise InvalidRequest(
                    f"messages must have 1 to {self._max_batch_count} elements",
                    field="messages",
                )
            admitted = [
                self._admit(tenant, request, f"messages[{index}].")
                for index, request in enumerate(requests)
            ]
        except ConduitError as error:
            self._stats.publish_error_count += 1
            answer(error)
            return
        _Batch(self, admitted, answer).submit()

    # Parts ----------------------------------------------------------------------------------------

    def _admit(
        self, tenant: str, request: PublishRequest, path: str = ""
    ) -> tuple[Topic, NewMessage]:
        topic = self._find(tenant, request.topic)
        if topic is None:
            topic = self._catalog.get(tenant, request.topic)
        payload = bytes(request.payload)
        if len(payload) > self._max_payload_bytes:
            raise LimitReached(
                f"payload has {len(payload)} bytes, the limit is {self._max_payload_bytes}",
                code="payload_too_large",
                field=f"{path}payload",
            )
        message = NewMessage(
            topic.topic_id, str(uuid_utils.uuid7()), int(self._now() * 1000), payload
        )
        if request.key is not None:
            message.key = _checked(request.key, f"{path}key")
        if request.idempotency_key is not None:
            message.idempotency_key = _checked(request.idempotency_key, f"{path}idempotency_key")
        if request.headers is not None:
            message.headers = _checked_headers(request.headers, f"{path}headers")
        return topic, message

    def _committed(self, messages: Sequence[NewMessage], seqs: Sequence[int]) -> None:
        """The log has the batch: pass it on to the subscribers, topic by topic."""
        groups: dict[int, list[NewMessage]] = {}
        # The numbers of a topic are consecutive within one commit: the first says all.
        first_seqs: dict[int, int] = {}
        for message, seq in zip(messages, seqs, strict=True):
            group = groups.get(message.topic_id)
            if group is not None:
                group.append(message)
            elif seq != TOPIC_GONE:
                groups[message.topic_id] = [message]
                first_seqs[message.topic_id] = seq
        self._stats.published_count += len(messages)
        self._subscriber_count.clear()
        for topic_id, group in groups.items():
            topic = self._catalog.by_id(topic_id)
            if topic is not None:
                topic.stored_bytes += sum([message.size_bytes for message in group])
                count = self._hub.committed(topic, group, first_seqs[topic_id])
                self._subscriber_count[topic] = count

    def _receipt(
        self, topic: Topic, message: NewMessage | KnownKey, seq: int
    ) -> Receipt | NotFound:
        if seq == TOPIC_GONE:
            return _gone(topic)
        return Receipt(
            message.message_id,
            topic.name,
            self._subscriber_count.get(topic, 0),
            message.published_at_ms,
            seq,
            topic.epoch,
            self._is_durable,
            False,
        )


class _Batch:
    """One batch on its way: the receipts it has, and how many are still to come."""

    def __init__(
        self, publisher: Publisher, admitted: list[tuple[Topic, NewMessage]], answer: BatchAnswer
    ) -> None:
        self._publisher = publisher
        self._admitted = admitted
        self._answer = answer
        self._receipts: list[Receipt | None] = [None] * len(admitted)
        self._missing_count = len(admitted)
        self._error: ConduitError | None = None
        # Where the messages of the unit stand in the batch.
        self._stored_indexes: list[int] = []

    def submit(self) -> None:
        """Store what is not known already, in one unit."""
        publisher = self._publisher
        for index, (topic, message) in enumerate(self._admitted):
            collect = partial(self._collect, index)
            try:
                if message.idempotency_key is None or publisher._is_first(topic, message, collect):
                    self._stored_indexes.append(index)
            except ConduitError as error:
                collect(error)
        if not self._stored_indexes:
            return
        messages = [self._admitted[index][1] for index in self._stored_indexes]
        publisher._submit_pending(messages, self._stored)

    def _stored(self, result: Sequence[int] | ConduitError, start: int) -> None:
        publisher = self._publisher
        for place, index in enumerate(self._stored_indexes, start):
            topic, message = self._admitted[index]
            if message.idempotency_key is not None:
                publisher._settle_key(topic, message, result, place)
            if isinstance(result, ConduitError):
                self._collect(index, result)
            else:
                self._collect(index, publisher._receipt(topic, message, result[place]))

    def _collect(self, index: int, result: Receipt | ConduitError) -> None:
        if isinstance(result, ConduitError):
            self._error = result
        else:
            self._receipts[index] = result
        self._missing_count -= 1
        if self._missing_count == 0:
            receipts = [receipt for receipt in self._receipts if receipt is not None]
            self._answer(self._error if self._error is not None else receipts)


def _gone(topic: Topic) -> NotFound:
    return NotFound(f"topic {topic.name!r} was deleted", code="topic_not_found", field="topic")


def _checked(text: str, field: str) -> str:
    if not 1 <= len(text) <= KEY_MAX_CHARS:
        raise InvalidRequest(f"{field} must have 1 to {KEY_MAX_CHARS} characters", field=field)
    return text


def _checked_headers(headers: dict[str, str], field: str) -> bytes | None:
    if not headers:
        return None
    encoded = encode_json(headers)
    if len(headers) > HEADERS_MAX_COUNT or len(encoded) > HEADERS_MAX_BYTES:
        raise InvalidRequest(
            f"{field} may have {HEADERS_MAX_COUNT} entries and {HEADERS_MAX_BYTES} bytes",
            field=field,
        )
    return encoded
