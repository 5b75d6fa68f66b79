"""Redis as this node has it, as metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conduit.server.measures import Table, counter, gauge, histogram

if TYPE_CHECKING:
    from conduit.cluster.registry.registry import Registry

REGISTRY: Table[Registry] = Table(
    "Redis",
    (
        gauge(
            "registry_up",
            "1 while Redis is used, else 0.",
            lambda registry: int(registry.state.is_up),
        ),
        gauge(
            "registry_answer_age_seconds",
            "How long ago Redis has answered last, which is a second at most while all is well; absent "
            "before the first time.",
            lambda registry: registry.answer_age_s,
        ),
        gauge(
            "registry_entries",
            "What other nodes are known to want: topics and patterns, by subscription.",
            lambda registry: registry.entry_count,
        ),
        counter(
            "registry_error",
            "Times that Redis could not be used, or not any more.",
            lambda registry: registry.counts.failures,
        ),
        counter(
            "registry_reconnect",
            "Connections to Redis that were made after the first.",
            lambda registry: max(0, registry.counts.connects - 1),
        ),
        counter(
            "registry_beat",
            "Times that this node has said in Redis that it is there.",
            lambda registry: registry.counts.beats,
        ),
        counter(
            "registry_heard",
            "Announcements of other nodes that were heard.",
            lambda registry: registry.counts.heard,
        ),
        counter(
            "registry_missed",
            "Times that an announcement was missed, so that all was read.",
            lambda registry: registry.hole_count,
        ),
        counter(
            "registry_rewrite",
            "Times that all that this node wants was written anew.",
            lambda registry: registry.counts.rewrites,
        ),
        counter(
            "registry_malformed",
            "What stood in Redis and was nothing of Conduit's.",
            lambda registry: registry.counts.malformed,
        ),
        histogram(
            "registry_call_duration_seconds",
            "Calls to Redis, those that failed as well.",
            lambda registry: registry.counts.latency,
        ),
    ),
    "with `REDIS_URL`",
)
