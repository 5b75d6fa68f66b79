"""Spans to OpenTelemetry's SDK: which traces are recorded, and the way out. Nobody else knows the SDK.

The spans of the broker are over when they come; so no tracer of the SDK makes any. Each becomes a span as the
SDK exports them, and waits in the queue of its batch processor, whose thread sends them. That queue is
bounded here, because the SDK does not say what it has dropped.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from functools import lru_cache

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from conduit import __version__
from conduit.broker.spans import ERROR, Kind, Span
from conduit.core.trace_context import TraceContext
from conduit.errors import ConfigError
from conduit.otel_variables import Sampling

# Spans that wait to be sent.
QUEUE_MAX_COUNT = 8_192
_KINDS = {
    Kind.SERVER: SpanKind.SERVER,
    Kind.PRODUCER: SpanKind.PRODUCER,
    Kind.INTERNAL: SpanKind.INTERNAL,
}
# Of a trace's number this part is random in any case: a share of all is what lies below a share of it.
_NUMBERS = 1 << 64
_UNKNOWN = "unknown_service"
_NAME = "conduit"
_SCOPE = InstrumentationScope(_NAME, __version__)
_OK = Status(StatusCode.UNSET)

# The SDK says of each batch, and of each try, that it could not be sent: twenty lines a minute.
_SAID = logging.getLogger("opentelemetry.exporter.otlp")

logger = logging.getLogger(__name__)


class _Causes(logging.Handler):
    """What the SDK's exporter says, and the log need not hear from it."""

    def __init__(self) -> None:
        super().__init__()
        self._first = ""

    def emit(self, record: logging.LogRecord) -> None:
        """The first is nearest to the cause."""
        self._first = self._first or record.getMessage()

    def take(self) -> str:
        """What it has said first since the last time, or nothing."""
        first, self._first = self._first, ""
        return first


class Counted(SpanExporter):
    """Counts what goes through an exporter, and says when that begins to fail and when it works again. Its
    thread writes the counts, and others read them."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self.taken_count = 0
        self.sent_count = 0
        self.failed_count = 0
        self._lost_count = 0
        self._causes = _Causes()
        _SAID.addHandler(self._causes)
        _SAID.propagate = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """See `SpanExporter.export`."""
        self.taken_count += len(spans)
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            if result is SpanExportResult.SUCCESS:
                self.sent_count += len(spans)
            else:
                self.failed_count += len(spans)
            self._tell(len(spans), is_sent=result is SpanExportResult.SUCCESS)
        return result

    def _tell(self, count: int, *, is_sent: bool) -> None:
        cause = self._causes.take()
        if not is_sent:
            if not self._lost_count:
                logger.warning(
                    "spans of traces cannot be sent to the collector, and are dropped: %s", cause
                )
            self._lost_count += count
        elif self._lost_count:
            logger.info("spans of traces are sent again; %d were dropped", self._lost_count)
            self._lost_count = 0

    def shutdown(self) -> None:
        """See `SpanExporter.shutdown`."""
        self._exporter.shutdown()
        _SAID.removeHandler(self._causes)
        _SAID.propagate = True


class Exporting:
    """What records spans, in this process for `node_name`. `exporter`: where they go, by default to the
    collector that the environment names. Raises ConfigError."""

    def __init__(
        self, node_name: str, sampling: Sampling, exporter: SpanExporter | None = None
    ) -> None:
        self._resource = _resource(node_name)
        self._follows_parents = sampling.follows_parents
        # The SDK's samplers choose the same traces, and take as long for each message as 5 µs.
        self._begins_below = round(sampling.share * _NUMBERS)
        self._handed_count = 0
        self.full_count = 0
        """Spans that were dropped because too many waited."""
        try:
            self.counts = Counted(exporter or OTLPSpanExporter())
            self._processor: SpanProcessor = BatchSpanProcessor(
                self.counts, max_queue_size=QUEUE_MAX_COUNT
            )
        except ValueError as error:
            raise ConfigError([f"OpenTelemetry refuses its variables (OTEL_…): {error}"]) from None

    @property
    def waiting_count(self) -> int:
        """Spans that wait to be sent."""
        return self._handed_count - self.counts.taken_count

    def follows(self, context: TraceContext) -> bool:
        """See `Recording.follows`."""
        if self._follows_parents:
            return context.is_sampled
        return self.begins(int(context.trace_id, 16))

    def begins(self, trace: int) -> bool:
        """See `Recording.begins`."""
        return trace % _NUMBERS < self._begins_below

    def record(self, span: Span) -> None:
        """See `Recording.record`."""
        if self.waiting_count >= QUEUE_MAX_COUNT:
            self.full_count += 1
            return
        self._handed_count += 1
        self._processor.on_end(self._readable(span))

    def _readable(self, span: Span) -> ReadableSpan:
        status, attributes = _OK, span.attributes
        if span.error is not None:
            status, attributes = Status(StatusCode.ERROR), {**attributes, ERROR: span.error}
        return ReadableSpan(
            name=span.operation.title,
            context=_context(span.context),
            parent=None if span.parent is None else _context(span.parent, is_remote=True),
            resource=self._resource,
            attributes=attributes,
            kind=_KINDS[span.operation.kind],
            status=status,
            start_time=span.start_ns,
            end_time=span.end_ns,
            instrumentation_scope=_SCOPE,
        )

    def close(self, max_s: float) -> None:
        """Send what waits, within so many seconds; blocks. Nothing may be recorded after that."""
        # A thread of its own, which ends with the process: the SDK gives up when it likes to.
        closing = threading.Thread(target=self._processor.shutdown, daemon=True, name="traces")
        closing.start()
        closing.join(max_s)
        left_count = self._handed_count - self.counts.sent_count - self.counts.failed_count
        if left_count:
            logger.warning("%d spans of traces could not be sent before the end", left_count)


def _resource(node_name: str) -> Resource:
    found = Resource.create({SERVICE_VERSION: __version__, "service.instance.id": node_name})
    if str(found.attributes.get(SERVICE_NAME, _UNKNOWN)).startswith(_UNKNOWN):
        found = found.merge(Resource({SERVICE_NAME: _NAME}))
    return found


@lru_cache(maxsize=1024)
def _state(text: str) -> TraceState:
    return TraceState.from_header([text])


_NO_STATE = TraceState()


def _context(context: TraceContext, *, is_remote: bool = False) -> SpanContext:
    return SpanContext(
        int(context.trace_id, 16),
        int(context.span_id, 16),
        is_remote,
        # What is recorded here is sampled, whoever began the trace.
        TraceFlags(context.flags | TraceFlags.SAMPLED),
        _state(context.state) if context.state else _NO_STATE,
    )
