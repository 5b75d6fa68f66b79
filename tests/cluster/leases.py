"""Nodes in one process with leases that are kept in memory: memberships, links, and how they leave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from time import monotonic

from conduit.cluster.leaving import Leaving
from conduit.cluster.membership import Membership
from conduit.core.lease import LEASE_S
from conduit.errors import StoreUnavailable
from conduit.storage.nodes import (
    Joined,
    Node,
    NodeRecord,
    NodeState,
    NodeStore,
    Superseded,
    Taken,
)
from tests.broker.leased import LeasedStore
from tests.cluster.company import Company, Member, a_company
from tests.cluster.links.kit import until


class MemoryNodes:
    """What all of them share. While `is_away`, it does not answer."""

    def __init__(self) -> None:
        self.is_away = False
        self._known: dict[str, tuple[Node, NodeState, float]] = {}

    async def join(self, node: Node, state: NodeState) -> Joined | Taken:
        self._check()
        self._known[node.name] = node, state, monotonic() + LEASE_S
        return Joined(self._all())

    async def renew(
        self, name: str, incarnation: str, state: NodeState
    ) -> Sequence[NodeRecord] | Superseded:
        self._check()
        self._known[name] = self._known[name][0], state, monotonic() + LEASE_S
        return self._all()

    async def leave(self, name: str, incarnation: str) -> None:
        self._check()
        node, state, _ = self._known[name]
        self._known[name] = node, state, 0.0

    async def forget(self) -> int:
        return 0

    def _check(self) -> None:
        if self.is_away:
            raise StoreUnavailable("the store is away")

    def _all(self) -> list[NodeRecord]:
        now = monotonic()
        return [
            NodeRecord(
                **{field: getattr(node, field) for field in Node.__struct_fields__},
                state=state,
                number=1,
                started_at_ms=0,
                lease_until_ms=int(until_s * 1000),
                left_s=until_s - now,
                has_left=until_s == 0.0,
            )
            for node, state, until_s in self._known.values()
        ]


class Sockets:
    """Of one node: notes that they are closed, and waits for `may_close` in it."""

    connection_count = 0

    def __init__(self) -> None:
        self.closed_count = 0
        self.may_close = asyncio.Event()
        self.may_close.set()

    async def close_those_there(self) -> None:
        await self.may_close.wait()
        self.closed_count += 1


class Leaver:
    """What a member has besides."""

    def __init__(self, member: Member, nodes: NodeStore, lingers_s: float) -> None:
        node = Node(
            name=member.name,
            incarnation=member.own.incarnation,
            address=member.live.address,
            version="1",
            protocol=1,
        )
        self.member = member
        self.sockets = Sockets()
        self.membership = Membership(nodes, node)
        self.leaving = Leaving(self.membership, member.bench.broker, self.sockets, lingers_s)
        self.leaving.exchange = member.exchange
        member.exchange.neighbours.conduct = self.leaving
        self.membership.watch(member.exchange)

    @property
    def phase(self) -> str:
        return self.leaving.phase

    async def gets_to(self, phase: str) -> None:
        await until(lambda: self.phase == phase)

    async def stop(self) -> None:
        self.leaving.close()
        await self.membership.close()


class Leavers:
    """All of them, on one log."""

    def __init__(
        self, company: Company, store: LeasedStore, nodes: MemoryNodes, lingers_s: float
    ) -> None:
        self.company = company
        self.store = store
        self.nodes = nodes
        self._leavers = {
            name: Leaver(member, nodes, lingers_s) for name, member in company.members.items()
        }

    def __getitem__(self, name: str) -> Leaver:
        return self._leavers[name]

    async def start(self, stack: AsyncExitStack) -> None:
        for leaver in self._leavers.values():
            stack.push_async_callback(leaver.stop)
            await leaver.membership.start()
        await self.all_know(dict.fromkeys(self._leavers, "up"))

    def states(self, at: str) -> dict[str, str]:
        """Of those that live, as this one knows them."""
        return {node.name: node.state for node in self[at].membership.live}

    async def all_know(self, states: dict[str, str]) -> None:
        await until(lambda: all(self.states(name) == states for name in self._leavers))
        await self.company.linked()


@asynccontextmanager
async def leavers(*names: str, lingers_s: float = 0.0) -> AsyncIterator[Leavers]:
    store, nodes = LeasedStore(), MemoryNodes()
    async with a_company(*names, store=store) as company, AsyncExitStack() as stack:
        made = Leavers(company, store, nodes, lingers_s)
        await made.start(stack)
        yield made
