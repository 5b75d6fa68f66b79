"""Redis as this node has it: for metrics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from conduit.server import histograms

if TYPE_CHECKING:
    from conduit.cluster.registry.registry import Registry


def families(registry: Registry | None) -> Iterator[Metric]:
    """Where nodes have a registry."""
    if registry is None:
        return
    counts = registry.counts
    yield GaugeMetricFamily(
        "conduit_registry_up", "1 while Redis is used, else 0.", int(registry.state.is_up)
    )
    if (age_s := registry.answer_age_s) is not None:
        yield GaugeMetricFamily(
            "conduit_registry_answer_age_seconds",
            "How long ago Redis has answered last; absent before the first time.",
            age_s,
        )
    yield GaugeMetricFamily(
        "conduit_registry_entries",
        "What other nodes are known to want: topics and patterns, by subscription.",
        registry.entry_count,
    )
    for name, about, count in (
        ("error", "Times that Redis could not be used, or not any more.", counts.failures),
        (
            "reconnect",
            "Connections to Redis that were made after the first.",
            max(0, counts.connects - 1),
        ),
        ("beat", "Times that this node has said in Redis that it is there.", counts.beats),
        ("heard", "Announcements of other nodes that were heard.", counts.heard),
        (
            "missed",
            "Times that an announcement was missed, so that all was read.",
            registry.hole_count,
        ),
        ("rewrite", "Times that all that this node wants was written anew.", counts.rewrites),
        ("malformed", "What stood in Redis and was nothing of ours.", counts.malformed),
    ):
        yield CounterMetricFamily(f"conduit_registry_{name}", about, count)
    yield histograms.family(
        "conduit_registry_call_duration_seconds",
        "Calls to Redis, those that failed as well.",
        counts.latency,
    )
