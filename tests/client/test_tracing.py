"""The caller's trace in what it publishes."""

from __future__ import annotations

import sys

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    TraceState,
    use_span,
)

from conduit.client import AsyncConduit, message
from conduit.client.tracing import with_context
from tests.client.peer import answer, http_peer
from tests.client.test_publish import RECEIPT

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"


def a_span(flags: int = 1, state: str = "a=1") -> NonRecordingSpan:
    given = TraceState.from_header([state]) if state else TraceState()
    return NonRecordingSpan(
        SpanContext(int(TRACE, 16), int(SPAN, 16), False, TraceFlags(flags), given)
    )


async def test_what_is_published_in_a_span_carries_its_context() -> None:
    receipts = {"results": [RECEIPT, RECEIPT]}
    answers = answer(200, RECEIPT), answer(200, receipts)
    async with http_peer(*answers) as (url, bodies), AsyncConduit(url) as client:
        with use_span(a_span()):
            await client.publish("t", 1, headers={"x": "y"})
            own = message("t", 2, headers={"traceparent": "mine"})
            await client.publish_batch([message("t", 1), own])
    single, batch = bodies
    assert single["headers"] == {"x": "y", "traceparent": PARENT, "tracestate": "a=1"}
    assert [each["headers"] for each in batch["messages"]] == [
        {"traceparent": PARENT, "tracestate": "a=1"},
        {"traceparent": "mine"},
    ]
    # The caller's own are as they were.
    assert own.headers == {"traceparent": "mine"}


async def test_a_client_may_be_told_not_to() -> None:
    peer = http_peer(answer(200, RECEIPT))
    async with peer as (url, bodies), AsyncConduit(url, propagate=False) as client:
        with use_span(a_span()):
            await client.publish("t", 1)
    assert "headers" not in bodies[0]


def test_a_span_that_is_not_sampled_goes_on_as_such() -> None:
    tracer = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False).get_tracer("t")
    with tracer.start_as_current_span("s") as span:
        context = span.get_span_context()
        found = with_context(message("t", 1)).headers
    flags = f"{context.trace_flags & ~TraceFlags.SAMPLED:02x}"
    expected = f"00-{context.trace_id:032x}-{context.span_id:016x}-{flags}"
    assert found == {"traceparent": expected}


def test_without_a_span_or_without_opentelemetry_a_message_is_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = message("t", 1)
    assert with_context(one) is one
    monkeypatch.delitem(sys.modules, "opentelemetry.trace")
    with use_span(a_span()):
        assert with_context(one) is one


def test_a_message_without_room_is_as_it_was() -> None:
    with use_span(a_span(state="")):
        full = message("t", 1, headers={f"h{number}": "x" for number in range(64)})
        large = message("t", 1, headers={"h": "x" * ((16 << 10) - 20)})
        assert with_context(full) is full
        assert with_context(large) is large
