"""Spans of the broker to OpenTelemetry's SDK."""

import logging
import random
import threading
from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan, sampling
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from conduit import otel_variables
from conduit.broker.spans import Operation, Span
from conduit.core.trace_context import TraceContext
from conduit.names import DEFAULT_TENANT
from conduit.otel_variables import Sampling
from conduit.server import exporting as module
from conduit.server.exporting import Exporting
from conduit.server.tracing import Tracing
from tests.broker.kit import ManualClock, running_broker

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GIVEN = TraceContext(TRACE, SPAN, 1, "a=1")


def a_span(**more: object) -> Span:
    context = TraceContext(TRACE, "1" * 16, 1, "a=1")
    fields = {"parent": GIVEN, "start_ns": 5, "end_ns": 7, "attributes": {"x": 1}} | more
    return Span(operation=Operation.PUBLISH, context=context, **fields)


def test_a_span_is_exported_as_it_was_recorded() -> None:
    exporter = InMemorySpanExporter()
    exporting = Exporting("node-1", Sampling(), exporter)
    exporting.record(a_span(error="topic_not_found"))
    exporting.close(10.0)
    (span,) = exporter.get_finished_spans()
    assert span.name == "publish"
    assert span.kind is SpanKind.SERVER
    assert span.context is not None
    assert (span.context.trace_id, span.context.span_id) == (int(TRACE, 16), int("1" * 16, 16))
    assert span.context.trace_state.to_header() == "a=1"
    assert span.parent is not None
    assert (span.parent.span_id, span.parent.is_remote) == (int(SPAN, 16), True)
    assert (span.start_time, span.end_time) == (5, 7)
    assert span.attributes == {"x": 1, "error.type": "topic_not_found"}
    assert span.status.status_code is StatusCode.ERROR
    resource = span.resource.attributes
    assert (resource["service.name"], resource["service.instance.id"]) == ("conduit", "node-1")


def test_the_environment_names_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "events")
    exporter = InMemorySpanExporter()
    exporting = Exporting("node-1", Sampling(), exporter)
    exporting.record(a_span())
    exporting.close(10.0)
    assert exporter.get_finished_spans()[0].resource.attributes["service.name"] == "events"


SAMPLERS = {
    "parentbased_always_on": sampling.ParentBased(sampling.ALWAYS_ON),
    "parentbased_always_off": sampling.ParentBased(sampling.ALWAYS_OFF),
    "parentbased_traceidratio": sampling.ParentBasedTraceIdRatio(0.25),
    "always_on": sampling.ALWAYS_ON,
    "always_off": sampling.ALWAYS_OFF,
    "traceidratio": sampling.TraceIdRatioBased(0.25),
}


@pytest.mark.parametrize("name", otel_variables.SAMPLERS)
def test_the_same_traces_are_chosen_as_by_the_samplers_of_the_sdk(name: str) -> None:
    given = {"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": "0.25"}
    exporting = Exporting("node", otel_variables.sampling(given), InMemorySpanExporter())
    sampler, dice = SAMPLERS[name], random.Random(5)

    def chooses(trace: int, parent: TraceContext | None) -> bool:
        around = None if parent is None else set_span_in_context(NonRecordingSpan(_remote(parent)))
        return sampler.should_sample(around, trace, "publish").decision.is_sampled()

    for trace in [dice.getrandbits(128) for _ in range(200)]:
        assert exporting.begins(trace) is chooses(trace, None)
        for flags in (0, 1):
            parent = TraceContext(f"{trace:032x}", SPAN, flags)
            assert exporting.follows(parent) is chooses(trace, parent)
    exporting.close(10.0)


def _remote(parent: TraceContext) -> SpanContext:
    ids = int(parent.trace_id, 16), int(parent.span_id, 16)
    return SpanContext(*ids, True, TraceFlags(parent.flags))


class Stuck(SpanExporter):
    """A collector that does not answer until it is let."""

    def __init__(self) -> None:
        self.may_go_on = threading.Event()
        self.begun = threading.Event()
        self.ended = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.begun.set()
        self.may_go_on.wait()
        return SpanExportResult.FAILURE

    def shutdown(self) -> None:
        self.ended.set()


def test_a_collector_that_hangs_costs_spans_and_these_are_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "QUEUE_MAX_COUNT", 10)
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4")
    stuck = Stuck()
    exporting = Exporting("node", Sampling(), stuck)
    for _ in range(4):
        exporting.record(a_span())
    assert stuck.begun.wait(30)
    for _ in range(13):
        exporting.record(a_span())
    assert exporting.waiting_count == 10
    assert exporting.full_count == 3
    exporting.close(0.01)
    assert "14 spans of traces could not be sent" in caplog.text
    tracing = Tracing(exporting, ManualClock(), 1)
    stuck.may_go_on.set()
    assert stuck.ended.wait(30)
    assert tracing.dropped == {
        "rate": 0,
        "commit": 0,
        "ephemeral": 0,
        "out": 0,
        "queue": 3,
        "export": 14,
    }
    assert (tracing.sent_count, tracing.waiting_count) == (0, 0)


class Moody(SpanExporter):
    """A collector that is away for as many batches as it is told, and the SDK's words about that."""

    def __init__(self, away: int) -> None:
        self._away = away

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._away -= 1
        if self._away < 0:
            return SpanExportResult.SUCCESS
        said = logging.getLogger("opentelemetry.exporter.otlp.proto.http._common")
        said.warning("refused, again in %.2fs", 1.0)
        said.error("failed to export")
        return SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """Nothing is held."""


def test_a_collector_that_is_away_is_told_once_with_the_cause_and_once_when_it_is_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1")
    exporting = Exporting("node", Sampling(), Moody(away=3))
    for _ in range(5):
        exporting.record(a_span())
    exporting.close(30.0)
    assert caplog.messages == [
        "spans of traces cannot be sent to the collector, and are dropped: refused, again in 1.00s",
        "spans of traces are sent again; 3 were dropped",
    ]


async def test_a_message_of_the_broker_is_one_trace() -> None:
    exporter, clock = InMemorySpanExporter(), ManualClock()
    tracing = Tracing(Exporting("node", Sampling(), exporter), clock, 1_000)
    async with running_broker(clock=clock, traces=tracing.traces) as bench:
        await bench.broker.topics.create(DEFAULT_TENANT, "t")
        await bench.subscribe("t", ack="auto")
        await bench.publish("t")
    await tracing.close()
    spans = {span.name: span for span in exporter.get_finished_spans()}
    assert set(spans) == {"publish", "commit", "deliver"}
    assert len({span.context.trace_id for span in spans.values() if span.context}) == 1
