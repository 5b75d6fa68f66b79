"""Traces of this node, if it records any: opened before the broker, closed after it, counted for /metrics.

OpenTelemetry is imported here when traces are wanted, and else by nobody.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from conduit.broker.clock import Clock
from conduit.broker.traces import Recording, Traces
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

    def families(self) -> Iterator[Metric]:
        """What was recorded, and what was not."""
        exporting, traces = self._exporting, self.traces
        yield CounterMetricFamily(
            "conduit_trace_spans", "Spans sent to the collector.", exporting.counts.sent_count
        )
        dropped = CounterMetricFamily(
            "conduit_trace_spans_dropped",
            "Spans that were not recorded, or not sent, by reason.",
            labels=["reason"],
        )
        for reason in ("rate", "commit", "ephemeral"):
            dropped.add_metric([reason], traces.dropped[reason])
        dropped.add_metric(["queue"], exporting.full_count)
        dropped.add_metric(["export"], exporting.counts.failed_count)
        yield dropped
        yield CounterMetricFamily(
            "conduit_trace_contexts_invalid",
            "Trace contexts of clients that could not be read, and were ignored.",
            traces.invalid_count,
        )
        yield GaugeMetricFamily(
            "conduit_trace_spans_waiting",
            "Spans that wait to be sent.",
            exporting.waiting_count,
        )


def open_tracing(settings: Settings, clock: Clock, node_name: str) -> Tracing | None:
    """What the settings ask for; None: nothing. Raises ConfigError."""
    if settings.traces == "off":
        return None
    # Not on top: it takes OpenTelemetry, which others can do without.
    from conduit.server.exporting import Exporting

    return Tracing(Exporting(node_name, settings.sampling), clock, settings.traces_max_spans_per_s)
