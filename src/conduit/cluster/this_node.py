"""This process as a node: what it is called, and who else there is, also where it has its log for itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NoReturn

import uuid_utils

from conduit import __version__
from conduit.cluster.links.handshake import VERSIONS
from conduit.cluster.membership import Membership
from conduit.cluster.roster import NodeView
from conduit.storage.nodes import Node, NodeStore


class ThisNode:
    """It has its log for itself until `share` is called.

    `name` is what it is called, and `other_name` what it calls itself if somebody alive has that name, which
    is for one that nobody chose. `address` is where the others reach it, as host:port; `started_at_ms` what
    the machine's clock says now.
    """

    def __init__(
        self, name: str, address: str, started_at_ms: int, *, other_name: str | None = None
    ) -> None:
        self._first = Node(
            name=name,
            incarnation=str(uuid_utils.uuid7()),
            address=address,
            version=__version__,
            protocol=VERSIONS[-1],
        )
        self._started_at_ms = started_at_ms
        self._other_name = other_name
        self.membership: Membership | None = None
        """Its lease, and the others; None: it has its log for itself, and needs none."""
        self.others: Callable[[], Sequence[NodeView]] = lambda: ()
        """The other nodes, where they are known without leases."""
        self.is_settled = True
        """Whether it has its name: False from `share` on, until nobody else who lives has it."""
        self.on_settled: Callable[[Membership], Awaitable[None]] | None = None
        """Called when it has its name, which it keeps."""

    @property
    def node(self) -> Node:
        """As it is called now: the name may change until it is settled."""
        return self._first if self.membership is None else self.membership.node

    @property
    def name(self) -> str:
        """What it is called now."""
        return self.node.name

    def share(self, store: NodeStore) -> Membership:
        """Others may have the same log. Call `join` next, and `close` before the store is closed."""
        self.is_settled = False
        self.membership = Membership(store, self._first, other_name=self._other_name)
        return self.membership

    async def join(self) -> NoReturn:
        """Join the others and stay one of them, until this is cancelled. Raises ConfigError as soon as
        somebody else who lives has the name: the process has to end. Call it once, after `share`.

        Whether somebody who has the name lives is known after 1.5 s at most. Publishing does not need that,
        so the server serves meanwhile, and says that it is not ready.
        """
        assert self.membership is not None
        await self.membership.start()
        self.is_settled = True
        if self.on_settled is not None:
            await self.on_settled(self.membership)
        raise await self.membership.failed

    async def close(self) -> None:
        """Leave the others, who see it with their next renewal. Nothing may be handed out any more, and all
        progress be stored. Idempotent; ends although the store does not answer."""
        if self.membership is not None:
            await self.membership.close()

    def views(self) -> list[NodeView]:
        """Every node that is known, by name, and this one in any case."""
        found = [*self.others()] if self.membership is None else self.membership.views()
        if all(view.id != self.name for view in found):
            found.append(self._unknown())
            found.sort(key=lambda view: view.id)
        return found

    def view(self) -> NodeView:
        """This one."""
        return next(view for view in self.views() if view.id == self.name)

    def _unknown(self) -> NodeView:
        """This one, which the store does not know: it needs no lease, or has had none yet."""
        node = self.node
        return NodeView(
            id=node.name,
            incarnation=node.incarnation,
            address=node.address,
            version=node.version,
            protocol=node.protocol,
            number=1,
            state="up" if self.membership is None else "down",
            started_at_ms=self._started_at_ms,
            lease_age_s=None,
            has_left=False,
        )
