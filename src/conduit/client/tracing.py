"""The caller's trace goes on in what it publishes, where the program uses OpenTelemetry.

Nothing is imported for that: a program that has an open span has imported it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from conduit.protocol.frames import PublishRequest

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

TRACEPARENT, TRACESTATE = "traceparent", "tracestate"
# What a server takes, as it is by default: a message is not refused for what is added to it.
HEADERS_MAX_COUNT = 64
HEADERS_MAX_BYTES = 16 << 10
TRACESTATE_MAX_CHARS = 512


def with_context(request: PublishRequest) -> PublishRequest:
    """The message with the open span in its headers; as it is, if there is none, it has a context already, or
    has no room for one."""
    span = _open_span()
    if span is None or TRACEPARENT in (request.headers or ()):
        return request
    return _with_span(request, span)


def all_with_context(requests: Sequence[PublishRequest]) -> list[PublishRequest]:
    """The same of several."""
    return [with_context(request) for request in requests]


def _open_span() -> SpanContext | None:
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    context: SpanContext = trace.get_current_span().get_span_context()
    return context if context.is_valid else None


def _with_span(request: PublishRequest, span: SpanContext) -> PublishRequest:
    # A `tracestate` alone is of no trace.
    headers = {name: text for name, text in (request.headers or {}).items() if name != TRACESTATE}
    headers[TRACEPARENT] = f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"
    state = span.trace_state.to_header()
    if state and len(state) <= TRACESTATE_MAX_CHARS:
        headers[TRACESTATE] = state
    if len(headers) > HEADERS_MAX_COUNT or len(msgspec.json.encode(headers)) > HEADERS_MAX_BYTES:
        return request
    return msgspec.structs.replace(request, headers=headers)
