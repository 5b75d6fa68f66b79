"""The nodes that share the log, and this one's lease, as metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import get_args

from prometheus_client.core import Metric

from conduit.cluster.leaving import Leaving
from conduit.cluster.membership import Membership
from conduit.cluster.roster import State
from conduit.cluster.this_node import ThisNode
from conduit.server.measures import Table, counter, gauge


def _states(node: ThisNode) -> dict[str, int]:
    counts = Counter("left" if view.has_left else view.state for view in node.views())
    return {state: counts[state] for state in (*get_args(State), "left")}


NODES: Table[ThisNode] = Table(
    "Nodes",
    (
        gauge(
            "nodes",
            "Nodes that share the log, this one included, by state; one that is down or left for an hour.",
            _states,
            "state",
        ),
    ),
)
LEASES: Table[tuple[ThisNode, Membership]] = Table(
    "Leases",
    (
        gauge(
            "node_lease_held",
            "1 while this node has its lease, else 0.",
            lambda one: int(one[1].holds()),
        ),
        gauge(
            "node_lease_age_seconds",
            "How long ago this node's lease was renewed; absent before the first time.",
            lambda one: one[0].view().lease_age_s,
        ),
        counter(
            "node_lease_lost",
            "Times that this node has lost its lease, other than by leaving: the database did not answer for "
            "three seconds, or the process stood still.",
            lambda one: one[1].lost_count,
        ),
    ),
    "on PostgreSQL",
)
DRAINING: Table[Leaving] = Table(
    "Draining",
    (
        gauge(
            "node_draining",
            "1 from when this node was told to leave the others until it serves again, else 0.",
            lambda leaving: int(not leaving.is_serving),
        ),
    ),
    "on PostgreSQL",
)


def families(node: ThisNode, leaving: Leaving | None) -> Iterator[Metric]:
    """What is known of nodes; of leases nothing where there are none."""
    yield from NODES.families(node)
    if node.membership is not None:
        yield from LEASES.families((node, node.membership))
    if leaving is not None:
        yield from DRAINING.families(leaving)
