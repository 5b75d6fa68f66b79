"""Traces of this node, if it records any: opened before the broker, closed after it, counted for /metrics.

OpenTelemetry is imported here when traces are wanted, and else by nobody.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from conduit.broker.clock import Clock
from conduit.broker.traces import Recording, Traces
from conduit.server.measures import Table, counter, gauge
from conduit.settings import Settings

if TYPE_CHECKING:
    from conduit.server.exporting import Exporting

# For what waits to be sent when the server stops.
CLOSE_MAX_S = 3.0


class Tracing:
    """The traces, and the way out."""

    def __init__(self, exporting: Exporting, clock: Clock, max_spans_per_s: int) -> None:
        self._exporting = exporting
        recording = Recording(
            exporting.follows, exporting.begins, exporting.record, random.getrandbits
        )
        self.traces = Traces(clock, recording, max_spans_per_s)

    async def close(self) -> None:
        """Send what waits. Call it when the broker has stopped."""
        await asyncio.to_thread(self._exporting.close, CLOSE_MAX_S)

    @property
    def dropped(self) -> dict[str, int]:
        """Spans that were not recorded, or not sent, by reason."""
        counts, exporting = self.traces.dropped, self._exporting
        return {
            "rate": counts["rate"],
            "commit": counts["commit"],
            "ephemeral": counts["ephemeral"],
            "out": counts["out"],
            "queue": exporting.full_count,
            "export": exporting.counts.failed_count,
        }

    @property
    def sent_count(self) -> int:
        """Spans that the collector has taken."""
        return self._exporting.counts.sent_count

    @property
    def waiting_count(self) -> int:
        """Spans that wait to be sent."""
        return self._exporting.waiting_count


TRACES: Table[Tracing] = Table(
    "Traces",
    (
        counter("trace_spans", "Spans sent to the collector.", lambda one: one.sent_count),
        counter(
            "trace_spans_dropped",
            "Spans that were not recorded, or not sent, by reason.",
            lambda one: one.dropped,
            "reason",
        ),
        counter(
            "trace_contexts_invalid",
            "Trace contexts of clients that could not be read, and were ignored.",
            lambda one: one.traces.invalid_count,
        ),
        gauge("trace_spans_waiting", "Spans that wait to be sent.", lambda one: one.waiting_count),
    ),
    "with `CONDUIT_TRACES=otlp`",
)


def open_tracing(settings: Settings, clock: Clock, node_name: str) -> Tracing | None:
    """What the settings ask for; None: nothing. Raises ConfigError."""
    if settings.traces == "off":
        return None
    # Not on top: it takes OpenTelemetry, which others can do without.
    from conduit.server.exporting import Exporting

    return Tracing(Exporting(node_name, settings.sampling), clock, settings.traces_max_spans_per_s)
