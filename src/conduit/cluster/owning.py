"""This node as the owner of durable subscriptions: what becomes of its lease, told to the broker."""

from __future__ import annotations

from collections.abc import Sequence

from conduit.broker.broker import Broker
from conduit.cluster.membership import Membership
from conduit.storage.nodes import NodeRecord


class Owning:
    """A `Watcher`. Make it when the broker has started, before the membership does and before anybody
    subscribes: from then on durable subscriptions are claimed for this node, and handed out while it has its
    lease (broker/deliver/title.py).

    `takes_over`: it takes subscriptions from nodes that live, because it cannot reach them. Their subscribers
    are sent away with 4009.

    The broker has to `finish` before the membership is closed: it stores what is left and gives the
    subscriptions up, which is in time as long as there is a lease.
    """

    def __init__(self, broker: Broker, membership: Membership, *, takes_over: bool = True) -> None:
        self._ownership = broker.ownership
        self._ownership.begin(membership.node.incarnation, membership.holds, takes_over=takes_over)
        membership.watch(self)
        if membership.holds():
            self.lease_held(membership.term)

    def lease_held(self, term: int) -> None:
        """See `Watcher.lease_held`."""
        self._ownership.lease_held(term)

    def lease_lost(self) -> None:
        """See `Watcher.lease_lost`."""
        self._ownership.lease_lost()

    def nodes_changed(self, live: Sequence[NodeRecord]) -> None:
        """Nothing: who has what is decided by the store when it is claimed."""
