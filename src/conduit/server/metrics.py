"""`/metrics`: the broker's counters in Prometheus' text format.

Nothing is counted here: a scrape reads the integers that the broker keeps anyway. No label has an unbounded
number of values: a topic is none, and of subscriptions there are only so many (standing_metrics.py).
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from conduit import __version__
from conduit.broker.stats import ACKS_TIMED_COUNT, Stats
from conduit.server import (
    cluster_metrics,
    histograms,
    node_metrics,
    registry_metrics,
    standing_metrics,
)
from conduit.server.context import Context
from conduit.server.logs import dropped_line_count

CONTENT_TYPE = CONTENT_TYPE_LATEST

# Attribute of Stats → what it counts; `published_count` becomes `conduit_published_total`.
_COUNTERS = {
    "published_count": "Messages stored.",
    "duplicate_count": "Publishes answered with the result of an earlier one.",
    "forgotten_key_count": "Idempotency keys forgotten before their window was over.",
    "delivered_count": "Deliveries handed to subscribers, redeliveries included.",
    "redelivered_count": "Deliveries with an attempt above 1.",
    "log_read_count": "Reads of the log for deliveries.",
    "dropped_page_count": "Pages of the log dropped from memory to stay within the bound.",
    "dropped_tail_count": "Newest messages of a topic dropped from memory to stay within the bound.",
    "acked_count": "Deliveries settled by an ack.",
    "nacked_count": "Deliveries given back by a nack.",
    "extended_count": "Deliveries given more time by an extend.",
    "rejected_count": "Deliveries dead-lettered by a reject.",
    "dead_lettered_count": "Deliveries that became dead letters, for any reason.",
    "dead_letter_dropped_count": "Dead letters dropped: there were too many, or they were too old.",
    "dead_letter_lost_count": "Dead letters without their messages, which the log had lost.",
    "late_ack_count": "Acks of deliveries that were settled or taken back already.",
    "unknown_ack_count": "Acks of messages that were never delivered here.",
    "full_count": "Times that a subscription got nothing new, because too many deliveries waited.",
    "gap_count": "Gap frames sent.",
    "slow_closed_count": "WebSocket connections closed because they did not drain.",
    "bad_frame_count": "Frames of clients that could not be used.",
    "frames_held_count": "Times that a WebSocket was not read for a part of a second, for too many frames.",
    "bad_closed_count": "WebSocket connections closed because too many of their frames could not be used.",
}

# Field of Sizes → what it is.
_SIZES = {
    "size_bytes": "What the store takes: messages, dead letters, indexes and free room.",
    "free_bytes": "Room in the store that is free for what comes next; a part of its size.",
    "wal_bytes": "Commits beside the database file that are not in it yet.",
    "disk_free_bytes": "What is left on the disk of the database file.",
}


# Attribute of Stats → name and what is measured.
_TIMES = {
    "commit_times": ("commit_duration", "Time that the store took for a commit."),
    "publish_times": (
        "publish_duration",
        "Time from a publish to its receipt; what shares a commit counts from the first of it.",
    ),
    "delivery_times": (
        "delivery_latency",
        "Age of a message when it was first handed to a subscriber that was there when it came.",
    ),
    "ack_times": (
        "ack_latency",
        f"Time from the first hand-out to the ack, of {ACKS_TIMED_COUNT} acks in a second at most.",
    ),
}


class _Collector(Collector):
    def __init__(self, context: Context) -> None:
        self._context = context

    def collect(self) -> Iterator[Metric]:
        """Every metric, as of now."""
        broker = self._context.broker
        labels = {"version": __version__, "store": broker.store.kind}
        yield InfoMetricFamily("conduit", "The node.", labels)
        yield from _of_stats(broker.stats)
        gauges = broker.gauges()
        yield _gauge("topics", "Topics.", gauges.topic_count)
        yield _gauge("subscribers", "Live attachments.", gauges.subscriber_count)
        yield _gauge(
            "backlog",
            "Messages that durable subscriptions have not settled, whether anybody is attached or not.",
            gauges.backlog_count,
        )
        yield _gauge(
            "delivery_memory_bytes",
            "Messages in memory to be delivered; bounded by CONDUIT_DELIVERY_MEMORY_MAX_BYTES.",
            broker.delivery_memory_bytes,
        )
        yield _gauge(
            "store_servers",
            "Servers that use this store, this one included.",
            broker.store.server_count,
        )
        yield from self._sizes()
        yield from self._bounds()
        yield _gauge("http_connections", "Open HTTP connections.", len(self._context.connections))
        yield _gauge("websockets", "Open WebSocket connections.", len(self._context.sessions))
        yield _gauge(
            "unsigned_websockets",
            "Open WebSocket connections that have not signed in; bounded by CONDUIT_MAX_UNAUTHENTICATED.",
            len(self._context.unsigned),
        )
        yield from node_metrics.families(self._context.node)
        yield from cluster_metrics.families(self._context)
        yield from registry_metrics.families(self._context.registry)
        yield _gauge("subscriptions", "Durable subscriptions.", broker.subscriptions.count)
        yield from standing_metrics.families(
            broker.standings.newest, with_tenants=self._context.limits.metrics_tenants
        )
        yield from self._loop()
        yield CounterMetricFamily(
            "conduit_log_line_dropped",
            "Log lines dropped because nobody took them, or the disk was full.",
            dropped_line_count(),
        )
        is_ready = self._context.not_ready() is None
        yield _gauge("ready", "1 while /health/ready says 200, else 0.", int(is_ready))

    def _loop(self) -> Iterator[Metric]:
        """How long others have waited for the one thread."""
        broker = self._context.broker
        pauses = self._context.collecting.pauses
        yield SummaryMetricFamily(
            "conduit_gc_pause_seconds",
            "Pauses for Python's garbage collector, in which nothing else runs.",
            pauses.count,
            pauses.total_s,
        )
        yield _gauge(
            "gc_longest_pause_seconds",
            "The longest pause for Python's garbage collector since the start.",
            pauses.longest_s,
        )
        yield _gauge(
            "loop_lag_seconds",
            "How long something that was due has waited for its turn: the longest of ten seconds.",
            broker.stats.loop_lateness.worst_s(broker.clock.now()),
        )

    def _bounds(self) -> Iterator[Metric]:
        """What connections keep, and which bounds they have reached."""
        kept = GaugeMetricFamily(
            "conduit_connection_memory_bytes",
            "What connections keep in memory, by kind; bounded by CONDUIT_CONNECTION_MEMORY_MAX_BYTES.",
            labels=["kind"],
        )
        for kind, size in self._context.memory.bytes_by_kind.items():
            kept.add_metric([kind.value], size)
        yield kept
        closed = CounterMetricFamily(
            "conduit_connection_closed",
            "Connections closed or refused because a bound was reached, by reason.",
            labels=["reason"],
        )
        for reason, count in self._context.closings.counts.items():
            closed.add_metric([reason], count)
        yield closed

    def _sizes(self) -> Iterator[Metric]:
        for name, about in _SIZES.items():
            size_bytes = getattr(self._context.broker.sizes, name, None)
            if size_bytes is not None:
                yield _gauge(f"store_{name}", about, size_bytes)


def _of_stats(stats: Stats) -> Iterator[Metric]:
    """What is counted and timed."""
    for attribute, about in _COUNTERS.items():
        name = f"conduit_{attribute.removesuffix('_count')}"
        yield CounterMetricFamily(name, about, getattr(stats, attribute))
    refused = CounterMetricFamily(
        "conduit_publish_error",
        "Publishes answered with an error, by its code; a batch is one.",
        labels=["code"],
    )
    for code, count in stats.publish_errors.items():
        refused.add_metric([code], count)
    yield refused
    for attribute, (name, about) in _TIMES.items():
        yield histograms.family(f"conduit_{name}_seconds", about, getattr(stats, attribute))


def _gauge(name: str, about: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"conduit_{name}", about, value)


def create_registry(context: Context) -> CollectorRegistry:
    """A registry of this node's metrics and its process's."""
    registry = CollectorRegistry()
    registry.register(_Collector(context))
    ProcessCollector(registry=registry)
    return registry


def render(registry: CollectorRegistry) -> bytes:
    """The text that a scrape gets."""
    return generate_latest(registry)
