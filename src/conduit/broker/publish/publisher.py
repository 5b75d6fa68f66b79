"""From a request to a receipt: what may be published, and what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

import msgspec
from uuid_utils import uuid7

from conduit.broker.catalog import Catalog, Topic
from conduit.broker.deliver.router import Hub
from conduit.broker.publish.batch import Batch
from conduit.broker.publish.committer import Done
from conduit.broker.publish.committers import Committers
from conduit.broker.publish.keys import Keys
from conduit.broker.publish.receipt import Answer, BatchAnswer, Receipt
from conduit.broker.stats import Stats
from conduit.core.message import NewMessage
from conduit.errors import (
    ConduitError,
    InvalidRequest,
    LimitReached,
    NotFound,
    OutcomeUnknown,
    Overloaded,
)
from conduit.protocol.codec import encode_json, format_time
from conduit.protocol.frames import PublishRequest
from conduit.storage.base import TOPIC_GONE

KEY_MAX_CHARS = 255
HEADERS_MAX_COUNT = 64
HEADERS_MAX_BYTES = 16 << 10
# Publishes that wait for their topics to be created.
CREATING_MAX_COUNT = 1_000


class PublishLimits(msgspec.Struct, frozen=True):
    """Bounds of one request, and whether its topics may be new."""

    max_payload_bytes: int = 262_144
    max_batch_count: int = 1_000
    auto_create_topics: bool = False
    timeout_s: float = 5.0
    """How long a publish waits for the store."""


class Publisher:
    """Admits publishes, hands them to the committer, and answers."""

    def __init__(self, hub: Hub, limits: PublishLimits, keys: Keys) -> None:
        self.keys = keys
        self._catalog: Catalog = hub.catalog
        self._hub = hub
        # Bound once: the way of every single publish goes through these.
        self._find = hub.catalog.find
        self._max_payload_bytes = limits.max_payload_bytes
        self._max_batch_count = limits.max_batch_count
        self._auto_create_topics = limits.auto_create_topics
        # Publishes that wait for their topics to be created.
        self._creating: set[asyncio.Task[None]] = set()
        self._stats: Stats = hub.stats
        # Known when the store is open.
        self.is_durable = hub.store.durable
        self.committers = Committers(
            hub.store, hub.clock, self._committed, hub.catch_up.committed, limits.timeout_s
        )
        hub.catch_up.is_committing = lambda: self.committers.is_busy
        hub.oldest_uncommitted_ms = lambda: self.committers.oldest_ms
        # What the receipts of one commit share: its time, and how many subscribers each topic had.
        self._published_at = ""
        self._subscriber_count: dict[Topic, int] = {}

    async def close(self) -> None:
        """Take nothing more, and answer what was taken."""
        await asyncio.gather(*self._creating)
        await self.committers.stop()

    # One ------------------------------------------------------------------------------------------

    def publish(self, tenant: str, request: PublishRequest, answer: Answer) -> None:
        """Store and deliver one message; `answer` gets the receipt or the reason why not. Never raises."""
        try:
            topic = self._find(tenant, request.topic)
            if topic is None:
                again = partial(self.publish, tenant, request, answer)
                self._create_first(tenant, {request.topic}, again, answer)
                return
            message = self._admit(topic, request)
            if message.idempotency_key is not None:
                self._publish_once(topic, message, answer)
                return
            done = _Single(self, topic, message, answer).stored
            self.committers.submit((message,), len(message.payload), done)
        except ConduitError as error:
            self.refused(error, answer)

    def refused(self, error: ConduitError, answer: Callable[[ConduitError], None]) -> None:
        """Count it, and say why nothing was stored."""
        self._stats.publish_error_count += 1
        answer(error)

    def _publish_once(self, topic: Topic, message: NewMessage, answer: Answer) -> None:
        if self.keys.is_first(topic, message, answer):
            self.submit_pending([message], _Single(self, topic, message, answer).stored)

    def submit_pending(self, messages: Sequence[NewMessage], done: Done) -> None:
        """Queue a unit whose keys are pending; if it cannot be queued, they are absent again."""
        try:
            self.committers.submit(messages, sum(len(new.payload) for new in messages), done)
        except ConduitError as error:
            done(error, 0)

    # Many -----------------------------------------------------------------------------------------

    def publish_batch(
        self, tenant: str, requests: Sequence[PublishRequest], answer: BatchAnswer
    ) -> None:
        """Store and deliver all or none; `answer` gets one receipt per request, in order, or the reason.

        A message whose key is known already is answered with the first result and not stored again.
        """
        try:
            if not 1 <= len(requests) <= self._max_batch_count:
                raise InvalidRequest(
                    f"messages must have 1 to {self._max_batch_count} elements",
                    field="messages",
                )
            topics = {request.topic: self._find(tenant, request.topic) for request in requests}
            missing = {name for name, topic in topics.items() if topic is None}
            if missing:
                again = partial(self.publish_batch, tenant, requests, answer)
                self._create_first(tenant, missing, again, answer)
                return
            admitted = [
                (topic, self._admit(topic, request, f"messages[{index}]."))
                for index, request in enumerate(requests)
                if (topic := topics[request.topic]) is not None
            ]
        except ConduitError as error:
            self.refused(error, answer)
            return
        Batch(self, admitted, answer).submit()

    # Parts ----------------------------------------------------------------------------------------

    def _create_first(
        self,
        tenant: str,
        names: set[str],
        publish: Callable[[], None],
        refuse: Callable[[ConduitError], None],
    ) -> None:
        """Publish when the topics exist, or raise NotFound `topic_not_found` if that is not wanted."""
        if not self._auto_create_topics:
            self._catalog.get(tenant, min(names))
        if len(self._creating) >= CREATING_MAX_COUNT:
            raise Overloaded("too many topics are being created")

        async def create() -> None:
            try:
                for name in sorted(names):
                    await self._catalog.ensure(tenant, name)
            except ConduitError as error:
                refuse(error)
            else:
                publish()

        task = asyncio.get_running_loop().create_task(create())
        self._creating.add(task)
        task.add_done_callback(self._creating.discard)

    def _admit(self, topic: Topic, request: PublishRequest, path: str = "") -> NewMessage:
        payload = bytes(request.payload)
        if len(payload) > self._max_payload_bytes:
            raise LimitReached(
                f"payload has {len(payload)} bytes, the limit is {self._max_payload_bytes}",
                code="payload_too_large",
                field=f"{path}payload",
            )
        message = NewMessage(topic.topic_id, str(uuid7()), payload)
        if request.key is not None:
            message.key = _checked(request.key, f"{path}key")
        if request.idempotency_key is not None:
            message.idempotency_key = _checked(request.idempotency_key, f"{path}idempotency_key")
        if request.headers is not None:
            message.headers = _checked_headers(request.headers, f"{path}headers")
        return message

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
        self._published_at = format_time(messages[0].published_at_ms)
        self._subscriber_count.clear()
        for topic_id, group in groups.items():
            self._stats.published_count += len(group)
            topic = self._catalog.by_id(topic_id)
            if topic is not None:
                topic.stored_bytes += sum([message.size_bytes for message in group])
                count = self._hub.committed(topic, group, first_seqs[topic_id])
                self._subscriber_count[topic] = count

    def receipt(self, topic: Topic, message: NewMessage, seq: int) -> Receipt | NotFound:
        """What the publisher of a stored message is told; NotFound if the topic went first."""
        if seq == TOPIC_GONE:
            return _gone(topic)
        return Receipt(
            message.message_id,
            topic.name,
            self._subscriber_count.get(topic, 0),
            self._published_at,
            seq,
            topic.epoch,
            self.is_durable,
            False,
        )


class _Single(msgspec.Struct, eq=False, gc=False):
    """A publish of its own on its way; the committer calls it with what became of it."""

    publisher: Publisher
    topic: Topic
    message: NewMessage
    answer: Answer
    is_told: bool = False

    def stored(self, result: Sequence[int] | ConduitError, start: int) -> None:
        publisher, topic, message = self.publisher, self.topic, self.message
        if isinstance(result, ConduitError):
            self._failed(result)
            return
        outcome = publisher.receipt(topic, message, result[start])
        if message.idempotency_key is not None:
            publisher.keys.settle(topic, message, outcome)
        if not self.is_told:
            self.answer(outcome)

    def _failed(self, error: ConduitError) -> None:
        publisher, topic, message = self.publisher, self.topic, self.message
        if message.idempotency_key is not None:
            if isinstance(error, OutcomeUnknown):
                publisher.keys.delay(topic, message, error)
            else:
                publisher.keys.settle(topic, message, error)
        if not self.is_told:
            self.is_told = True
            publisher.refused(error, self.answer)


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
