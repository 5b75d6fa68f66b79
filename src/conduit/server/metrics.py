"""`/metrics`: what there is to tell, in Prometheus' text format.

Nothing is counted here: a scrape reads the integers that the broker keeps anyway. No label has an unbounded
number of values: a topic is none, and of subscriptions there are only so many (standing_metrics.py). Each
metric is described in a table of the module that is about it, and `docs/metrics.md` is made from those.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from conduit.server import (
    broker_metrics,
    cluster_metrics,
    connection_metrics,
    node_metrics,
    standing_metrics,
)
from conduit.server.context import Context
from conduit.server.measures import Table
from conduit.server.registry_metrics import REGISTRY
from conduit.server.tracing import TRACES

CONTENT_TYPE = CONTENT_TYPE_LATEST


class _Collector(Collector):
    def __init__(self, context: Context) -> None:
        self._context = context
        self._standings = standing_metrics.table(with_tenants=context.limits.metrics_tenants)

    def collect(self) -> Iterator[Metric]:
        """Every metric, as of now."""
        context, broker = self._context, self._context.broker
        yield from connection_metrics.PROCESS.families(context)
        yield from broker_metrics.PUBLISHING.families(broker.stats)
        yield from broker_metrics.DELIVERING.families(broker.stats)
        yield from broker_metrics.THERE.families(broker)
        newest, with_tenants = broker.standings.newest, context.limits.metrics_tenants
        yield from self._standings.families(standing_metrics.Standings(newest, with_tenants))
        yield from broker_metrics.STORE.families(broker)
        yield from broker_metrics.FILE.families(broker)
        yield from connection_metrics.CONNECTIONS.families(context)
        yield from node_metrics.families(context.node, context.leaving)
        yield from cluster_metrics.families(context)
        if context.registry is not None:
            yield from REGISTRY.families(context.registry)
        if context.tracing is not None:
            yield from TRACES.families(context.tracing)


def tables() -> list[Table[Any]]:
    """All that a server may have, in the order in which they are read best."""
    return [
        connection_metrics.PROCESS,
        broker_metrics.PUBLISHING,
        broker_metrics.DELIVERING,
        broker_metrics.THERE,
        standing_metrics.table(with_tenants=False),
        broker_metrics.STORE,
        broker_metrics.FILE,
        connection_metrics.CONNECTIONS,
        node_metrics.NODES,
        node_metrics.LEASES,
        node_metrics.DRAINING,
        cluster_metrics.LINKS,
        cluster_metrics.HEARING,
        cluster_metrics.OWNERS,
        cluster_metrics.GUESTS,
        cluster_metrics.COPIES,
        REGISTRY,
        TRACES,
    ]


def create_registry(context: Context) -> CollectorRegistry:
    """A registry of this node's metrics and its process's."""
    registry = CollectorRegistry()
    registry.register(_Collector(context))
    ProcessCollector(registry=registry)
    return registry


def render(registry: CollectorRegistry) -> bytes:
    """The text that a scrape gets."""
    return generate_latest(registry)
