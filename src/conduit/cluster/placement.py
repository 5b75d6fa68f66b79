"""Which node has which durable subscription, as the leases say: the ring of those that take new work.

One that is out of reach of this node is left out, or its subscriptions could not be had here. That is this
node's view. As long as others have another one, two nodes may each take themselves for the owner: then who
claims it first has it, and the other one waits (`Ownership.claim`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from conduit.core.ring import Ring, subscription_key
from conduit.storage.nodes import NodeRecord


class Placement:
    """Nobody has anything before `set_nodes`."""

    def __init__(self) -> None:
        self._names: frozenset[str] = frozenset()
        self.ring = Ring(())
        """Immutable; another one whenever it changes who has what."""

    def set_nodes(self, live: Sequence[NodeRecord], out: Collection[str] = ()) -> bool:
        """These have leases. Those that drain take nothing new, unless all do; nor do those that are `out` of
        reach, by name, unless there is no other one. Returns whether that changes who has what."""
        up = [node.name for node in live if node.state == "up"]
        near = [name for name in up if name not in out]
        names = frozenset(near or up or [node.name for node in live])
        if names == self._names:
            return False
        self._names = names
        self.ring = Ring(names)
        return True

    def owner_of(self, tenant: str, subscription: str) -> str | None:
        """The node that has it; None if there is none."""
        return self.ring.owner(subscription_key(tenant, subscription))
