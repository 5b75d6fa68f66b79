"""Which node has which durable subscription, as the leases say: the ring of those that take new work."""

from __future__ import annotations

from collections.abc import Sequence

from conduit.core.ring import Ring, subscription_key
from conduit.storage.nodes import NodeRecord


class Placement:
    """Nobody has anything before `set_nodes`."""

    def __init__(self) -> None:
        self._names: frozenset[str] = frozenset()
        self.ring = Ring(())
        """Immutable; another one whenever it changes who has what."""

    def set_nodes(self, live: Sequence[NodeRecord]) -> bool:
        """These have leases; those that drain take nothing new. Returns whether that changes who has what."""
        names = frozenset(node.name for node in live if node.state == "up")
        if names == self._names:
            return False
        self._names = names
        self.ring = Ring(names)
        return True

    def owner_of(self, tenant: str, subscription: str) -> str | None:
        """The node that has it; None if there is none."""
        return self.ring.owner(subscription_key(tenant, subscription))
