"""Gauges of the nodes that share the log, and of this one's lease."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from conduit.cluster.roster import State
from conduit.cluster.this_node import ThisNode


def families(node: ThisNode) -> Iterator[Metric]:
    """What is known of nodes; of leases nothing where there are none."""
    counts = Counter(view.state for view in node.views())
    nodes = GaugeMetricFamily(
        "conduit_nodes",
        "Nodes that share the log, this one included, by state; those that are down for an hour.",
        labels=["state"],
    )
    for state in get_args(State):
        nodes.add_metric([state], counts[state])
    yield nodes
    if node.membership is None:
        return
    yield GaugeMetricFamily(
        "conduit_node_lease_held",
        "1 while this node has its lease, else 0.",
        int(node.membership.holds()),
    )
    if (age_s := node.view().lease_age_s) is not None:
        yield GaugeMetricFamily(
            "conduit_node_lease_age_seconds",
            "How long ago this node's lease was renewed; absent before the first time.",
            age_s,
        )
    yield CounterMetricFamily(
        "conduit_node_lease_lost",
        "Times that this node has lost its lease, other than by leaving.",
        node.membership.lost_count,
    )
