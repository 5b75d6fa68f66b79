"""Traces of messages: which are traced, and what is recorded of them. Nothing here knows OpenTelemetry.

Whether a message is traced is decided when it is published, by its trace and by nothing else, and comes out
the same on every node: its context is in its headers. A message that is not traced costs a look at its
headers. What is recorded is bounded by the second, for each tenant and for all, so that whoever has all of
its messages traced takes no time from others; what is too much is dropped, and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from conduit.broker.clock import Clock
from conduit.broker.spans import TENANT, Operation, Span, Value
from conduit.core.trace_context import TRACEPARENT, TraceContext, parse_traceparent

# All tenants together, as a multiple of what one of them may have.
TENANTS_SHARE = 4
_NAMED = f'"{TRACEPARENT}"'.encode()
_S = 1_000_000_000


class _Carrier(msgspec.Struct):
    """The headers of a message, as far as a trace has to know them."""

    traceparent: str = ""
    tracestate: str = ""


_decode = msgspec.json.Decoder(_Carrier).decode


class Recording(NamedTuple):
    """Who takes the spans, and decides. None of it waits, or raises."""

    follows: Callable[[TraceContext], bool]
    """Whether what belongs to a trace is recorded that others have begun."""
    begins: Callable[[int], bool]
    """The same of a trace that begins here and has this number."""
    record: Callable[[Span], None]
    random_bits: Callable[[int], int]
    """A number of so many bits."""


class Moment(NamedTuple):
    """When a span began or ended, on the clock of deadlines, in seconds."""

    start: float
    end: float


class Traces:
    """`max_spans_per_s` is of one tenant."""

    def __init__(self, clock: Clock, recording: Recording, max_spans_per_s: int) -> None:
        self.now = clock.now
        self.dropped: Counter[str] = Counter()
        """Spans that were not recorded, by reason."""
        self.invalid_count = 0
        """Contexts that were given and could not be read."""
        self._clock = clock
        self._recording = recording
        self._max_count = max_spans_per_s
        # In this second: all, and of each tenant.
        self._second = 0
        self._count = 0
        self._by_tenant: dict[str, int] = {}
        self._ahead_ns = 0

    # Contexts -------------------------------------------------------------------------------------

    def read(self, traceparent: str, tracestate: str | None) -> TraceContext | None:
        """A context that a client gave; None, and counted, if it is not valid."""
        found = parse_traceparent(traceparent, tracestate)
        if found is None:
            self.invalid_count += 1
        return found

    def begin(self) -> TraceContext | None:
        """The first span of a new trace, or None: it is not recorded."""
        trace = self._recording.random_bits(128) or 1
        if not self._recording.begins(trace):
            return None
        return TraceContext(f"{trace:032x}", self._span_id())

    def follow(self, parent: TraceContext) -> TraceContext | None:
        """The next span of a trace, or None: it is not recorded."""
        return self.next(parent) if self._recording.follows(parent) else None

    def next(self, parent: TraceContext) -> TraceContext:
        """The next span of a trace that is recorded."""
        return TraceContext(parent.trace_id, self._span_id(), parent.flags | 1, parent.state)

    def of_message(self, headers: bytes | None) -> TraceContext | None:
        """The context of a message by its stored headers, if it is traced."""
        if headers is None or _NAMED not in headers:
            return None
        try:
            given = _decode(headers)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        found = parse_traceparent(given.traceparent, given.tracestate)
        return found if found is not None and self._recording.follows(found) else None

    # Spans ----------------------------------------------------------------------------------------

    def span(
        self,
        operation: Operation,
        parent: TraceContext,
        moment: Moment,
        tenant: str,
        attributes: dict[str, Value],
    ) -> TraceContext | None:
        """Record a step of a traced message; returns its context, or None if it was dropped."""
        if not self.admits(tenant):
            return None
        context = self.next(parent)
        self.record(operation, context, parent, moment, {TENANT: tenant, **attributes})
        return context

    def record(
        self,
        operation: Operation,
        context: TraceContext,
        parent: TraceContext | None,
        moment: Moment,
        attributes: dict[str, Value],
        error: str | None = None,
    ) -> None:
        """Record what `admits` was asked for."""
        self._recording.record(
            Span(
                operation=operation,
                context=context,
                parent=parent,
                start_ns=int(moment.start * _S) + self._ahead_ns,
                end_ns=int(moment.end * _S) + self._ahead_ns,
                attributes=operation.attributes | attributes,
                error=error,
            )
        )

    def admits(self, tenant: str) -> bool:
        """Whether one more span of this tenant may be recorded now: it counts from here."""
        now = self.now()
        if int(now) != self._second:
            self._begin_second(now)
        count = self._by_tenant.get(tenant, 0)
        if count >= self._max_count or self._count >= self._max_count * TENANTS_SHARE:
            self.dropped["rate"] += 1
            return False
        self._by_tenant[tenant] = count + 1
        self._count += 1
        return True

    def _begin_second(self, now: float) -> None:
        self._second = int(now)
        self._count = 0
        self._by_tenant.clear()
        # The machine's clock may have been set.
        self._ahead_ns = self._clock.wall_ms() * 1_000_000 - int(now * _S)

    def _span_id(self) -> str:
        return f"{self._recording.random_bits(64) or 1:016x}"
