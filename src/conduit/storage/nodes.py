"""What a store keeps of the nodes that share it: who there is, and whose lease holds, by the store's clock.

It is a port of its own: `Store.nodes` is None for a store that one process has for itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

NodeState = Literal["up", "draining"]

# A call that takes longer has failed, and so has connecting: a lease of 3 s is renewed each second, and one
# such failure may not cost it.
CALL_TIMEOUT_S = 1.0
# Of rows, those whose leases end last. It is above what one log can serve: who has names that change with
# each start leaves rows behind until they are forgotten.
NODES_MAX_COUNT = 1_000
# A row is forgotten when its lease is over for so long.
FORGET_AFTER_S = 3_600.0


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """What a node says of itself when it joins."""

    name: str
    incarnation: str
    """A UUID, another one for each start of the process."""
    address: str
    """Where the others reach it: host:port."""
    version: str
    """Of Conduit."""
    protocol: int
    """Of the links between nodes."""


class NodeRecord(Node, frozen=True, kw_only=True):
    """A node as the store has it. Whether it can be reached is another question."""

    state: NodeState
    """As it said last."""
    number: int
    """How many starts the name had, this one included, since the name was known to nobody."""
    started_at_ms: int
    """When it joined, by the store's clock."""
    lease_until_ms: int
    """By the store's clock. It says that the lease was renewed, if it is another than before; to compare it
    with a clock of ours means nothing."""
    left_s: float
    """Of the lease, at the time of the answer, at most what a renewal gives; negative when it is over."""
    has_left: bool
    """Whether it ended its lease itself."""

    @property
    def is_live(self) -> bool:
        """Whether its lease held at the time of the answer."""
        return self.left_s > 0


class Joined(msgspec.Struct, frozen=True):
    """The node has a lease, which is of `core.lease.LEASE_S`. All nodes, this one among them."""

    nodes: Sequence[NodeRecord]


class Taken(msgspec.Struct, frozen=True):
    """Another incarnation has the name, and a lease that holds for `by.left_s` more. Nothing was changed."""

    by: NodeRecord


class Superseded(msgspec.Struct, frozen=True):
    """The incarnation is not a node of the store, and has no lease: `by` has its name since; or its row is
    gone with its lease (None), or it has left itself. It has to join."""

    by: NodeRecord | None


class NodeStore(Protocol):
    """Each call ends within CALL_TIMEOUT_S, twice that if it has to connect first, and waits for nothing that
    others ask of the store. Make one at a time. One that is cancelled may still happen.

    Errors: `StoreUnavailable`, nothing happened; `OutcomeUnknown`, it may have happened, or may still.
    """

    async def join(self, node: Node, state: NodeState) -> Joined | Taken:
        """Give the node a lease under its name, if nobody has the name: a row whose lease is over is
        replaced. The same incarnation may ask again."""

    async def renew(
        self, name: str, incarnation: str, state: NodeState
    ) -> Sequence[NodeRecord] | Superseded:
        """Prolong its lease from now on and note its state. Returns all nodes, this one among them."""

    async def leave(self, name: str, incarnation: str) -> None:
        """End its lease at once, for good: what it has sent before and comes later renews nothing. Its row
        stays, as one that has left."""

    async def forget(self) -> int:
        """Remove the rows of nodes whose leases are over for FORGET_AFTER_S; returns how many."""
