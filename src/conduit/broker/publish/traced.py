"""Publishes that are traced: a span for each message, one for its commit, and the context that it carries.

A message whose own headers have a context keeps them as they are. One that has none carries the context of
its `publish` if that is recorded, or else the one that the HTTP request gave, to its subscribers.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from conduit.broker import spans
from conduit.broker.catalog import Catalog
from conduit.broker.publish.admission import HEADERS_MAX_BYTES, HEADERS_MAX_COUNT
from conduit.broker.publish.committers import Committers
from conduit.broker.publish.publisher import Publisher
from conduit.broker.publish.receipt import Answer, AnswerAll
from conduit.broker.spans import Operation, Value
from conduit.broker.traces import Moment, Traces
from conduit.core.message import NewMessage
from conduit.core.trace_context import TRACEPARENT, TRACESTATE, TraceContext
from conduit.errors import ConduitError
from conduit.names import NAME_LENGTH_MAX
from conduit.protocol.codec import encode_json
from conduit.protocol.frames import PublishRequest
from conduit.protocol.records import Receipt
from conduit.storage.base import TOPIC_GONE, Appended, Appender

logger = logging.getLogger(__name__)

# Spans for one commit, however many of its messages are traced.
COMMIT_SPANS_MAX_COUNT = 32


class CarriedRequest(PublishRequest):
    """A publish that came with a context beside it, in the headers of its HTTP request."""

    parent: TraceContext | None = None


class _Begun(NamedTuple):
    """A publish that is recorded when it is answered."""

    context: TraceContext
    parent: TraceContext | None
    request: PublishRequest
    at: float


def carried(
    traces: Traces | None, request: PublishRequest, given: tuple[str, str]
) -> PublishRequest:
    """The request with the context that its HTTP request had: `traceparent` and `tracestate`. What the
    message itself has in its headers comes first, and then this is not read; nor without `traces`."""
    if traces is None:
        return request
    if request.headers is not None and TRACEPARENT in request.headers:
        return request
    parent = traces.read(*given)
    if parent is None:
        return request
    return CarriedRequest(
        request.topic,
        request.payload,
        request.key,
        request.headers,
        request.idempotency_key,
        parent=parent,
    )


def trace_publishes(
    publisher: Publisher, committers: Committers, catalog: Catalog, traces: Traces | None
) -> Publisher | TracedPublisher:
    """Have publishes and commits recorded, if there is somebody who does; returns what to publish with."""
    if traces is None:
        return publisher
    committers.wrap = partial(TracedAppender, traces, catalog)
    return TracedPublisher(publisher, traces)


class TracedPublisher:
    """`publish` and `publish_batch` of a publisher, which records those that are traced."""

    def __init__(self, publisher: Publisher, traces: Traces) -> None:
        self._publisher = publisher
        self._traces = traces

    def publish(
        self,
        tenant: str,
        request: PublishRequest,
        answer: Answer,
        since: float | None = None,
        own_key: str | None = None,
    ) -> None:
        """See `Publisher.publish`."""
        begun, request = self._begin(tenant, request)
        if begun is not None:
            answer = partial(self._answered, tenant, begun, answer)
        self._publisher.publish(tenant, request, answer, since, own_key)

    def publish_batch(
        self,
        tenant: str,
        requests: Sequence[PublishRequest],
        answer: AnswerAll,
        since: float | None = None,
        *,
        are_checked: bool = False,
    ) -> None:
        """See `Publisher.publish_batch`."""
        pairs = [self._begin(tenant, request) for request in requests]
        begun = [each for each, _ in pairs]
        if any(each is not None for each in begun):
            answer = partial(self._answered_all, tenant, begun, answer)
        requests = [request for _, request in pairs]
        self._publisher.publish_batch(tenant, requests, answer, since, are_checked=are_checked)

    def _begin(self, tenant: str, request: PublishRequest) -> tuple[_Begun | None, PublishRequest]:
        traces, headers = self._traces, request.headers
        own = None
        if headers is not None and TRACEPARENT in headers:
            own = traces.read(headers[TRACEPARENT], headers.get(TRACESTATE))
            if own is None:
                # They are the publisher's and stay as they are: where it belongs is not known.
                return None, request
        parent = own or (request.parent if isinstance(request, CarriedRequest) else None)
        context = traces.begin() if parent is None else traces.follow(parent)
        if context is not None and not traces.admits(tenant):
            context = None
        carries = context or parent
        if own is None and carries is not None:
            request = _with_context(request, carries)
        if context is None:
            return None, request
        return _Begun(context, parent, request, traces.now()), request

    def _answered(
        self, tenant: str, begun: _Begun, answer: Answer, outcome: Receipt | ConduitError
    ) -> None:
        end = self._traces.now()
        answer(outcome)
        self._record(tenant, begun, end, outcome, 1)

    def _answered_all(
        self,
        tenant: str,
        begun: Sequence[_Begun | None],
        answer: AnswerAll,
        outcome: list[Receipt] | ConduitError,
    ) -> None:
        end = self._traces.now()
        answer(outcome)
        for index, each in enumerate(begun):
            if each is not None:
                one = outcome if isinstance(outcome, ConduitError) else outcome[index]
                self._record(tenant, each, end, one, len(begun))

    def _record(
        self,
        tenant: str,
        begun: _Begun,
        end: float,
        outcome: Receipt | ConduitError,
        batch_count: int,
    ) -> None:
        attributes: dict[str, Value] = {
            spans.TENANT: tenant,
            # Of a publish that is refused it may be anything.
            spans.TOPIC: begun.request.topic[:NAME_LENGTH_MAX],
            spans.BODY_BYTES: memoryview(begun.request.payload).nbytes,
        }
        if batch_count > 1:
            attributes[spans.BATCH_COUNT] = batch_count
        error = None
        if isinstance(outcome, ConduitError):
            error = outcome.code
        else:
            attributes[spans.MESSAGE_ID] = outcome.message_id
            attributes[spans.SEQ] = outcome.seq
            if outcome.duplicate:
                attributes[spans.IS_DUPLICATE] = True
        moment = Moment(begun.at, end)
        self._traces.record(
            Operation.PUBLISH, begun.context, begun.parent, moment, attributes, error
        )


def _with_context(request: PublishRequest, context: TraceContext) -> PublishRequest:
    """The request with this context in the headers of its message, if they have room for it."""
    # A `tracestate` without its `traceparent` means nothing.
    headers = {**(request.headers or {}), TRACEPARENT: context.traceparent}
    headers.pop(TRACESTATE, None)
    if context.state:
        headers[TRACESTATE] = context.state
    if len(headers) > HEADERS_MAX_COUNT or len(encode_json(headers)) > HEADERS_MAX_BYTES:
        return request
    return PublishRequest(
        request.topic, request.payload, request.key, headers, request.idempotency_key
    )


class TracedAppender:
    """A store, or a shard of it, that records how long the commits of traced messages take."""

    def __init__(self, traces: Traces, catalog: Catalog, appender: Appender) -> None:
        self._traces = traces
        self._catalog = catalog
        self._appender = appender
        self.prove = appender.prove

    @property
    def kind(self) -> str:
        """See `Appender.kind`."""
        return self._appender.kind

    async def append(self, batch: Sequence[NewMessage]) -> Sequence[Appended]:
        """See `Appender.append`. A commit that fails is in its publishes, by the error."""
        start = self._traces.now()
        seqs = await self._appender.append(batch)
        try:
            self._record(batch, seqs, Moment(start, self._traces.now()))
        except Exception:
            # It is stored, whatever is wrong with the traces of it.
            logger.exception("a commit could not be traced")
        return seqs

    def _record(
        self, batch: Sequence[NewMessage], seqs: Sequence[Appended], moment: Moment
    ) -> None:
        traces, left_count = self._traces, COMMIT_SPANS_MAX_COUNT
        for message, seq in zip(batch, seqs, strict=True):
            parent = traces.of_message(message.headers)
            topic = None if parent is None else self._catalog.by_id(message.topic_id)
            if parent is None or topic is None or not isinstance(seq, int) or seq == TOPIC_GONE:
                continue
            if not left_count:
                traces.dropped["commit"] += 1
                continue
            left_count -= 1
            attributes: dict[str, Value] = {
                spans.TOPIC: topic.name,
                spans.MESSAGE_ID: message.message_id,
                spans.SEQ: seq,
                spans.STORE: self.kind,
                spans.COMMIT_COUNT: len(batch),
            }
            traces.span(Operation.COMMIT, parent, moment, topic.tenant, attributes)
