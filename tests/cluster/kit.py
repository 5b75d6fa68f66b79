"""Memberships on one database, and what they tell."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import uuid_utils

from conduit.broker.clock import boot_s
from conduit.cluster.membership import Membership
from conduit.storage.nodes import (
    Joined,
    Node,
    NodeRecord,
    NodeState,
    NodeStore,
    Superseded,
    Taken,
)
from conduit.storage.postgres.database import Database
from conduit.storage.postgres.nodes import PostgresNodes
from tests.support.wait import DEADLINE_S

T = TypeVar("T")


def a_node(name: str = "a", **more: object) -> Node:
    """A start of a node of this name."""
    values = {
        "incarnation": str(uuid_utils.uuid7()),
        "address": f"{name}.example:8080",
        "version": "1.2.3",
        "protocol": 1,
    }
    return Node(name=name, **(values | more))


class Diary:
    """A watcher that remembers: `held 1`, `lost`, and `a b*` for who lives, with a star for who drains."""

    def __init__(self) -> None:
        self.entries: list[str] = []
        self._is_new = asyncio.Event()

    def nodes_changed(self, live: Sequence[NodeRecord]) -> None:
        names = (each.name + ("*" if each.state == "draining" else "") for each in live)
        self._add(" ".join(names))

    def lease_held(self, term: int) -> None:
        self._add(f"held {term}")

    def lease_lost(self) -> None:
        self._add("lost")

    @property
    def turns(self) -> list[str]:
        """What it was told of the lease."""
        return [entry for entry in self.entries if entry.startswith(("held", "lost"))]

    @property
    def live(self) -> str:
        """Who lives, as it was told last."""
        return next((entry for entry in reversed(self.entries) if entry not in self.turns), "")

    def _add(self, entry: str) -> None:
        self.entries.append(entry)
        self._is_new.set()

    async def says(self, entry: str) -> None:
        """Until this is the last entry of its kind."""
        is_turn = entry.startswith(("held", "lost"))
        async with asyncio.timeout(DEADLINE_S):
            while [entry] != (self.turns[-1:] if is_turn else [self.live]):
                self._is_new.clear()
                await self._is_new.wait()


class Telling:
    """A store of nodes that tells of its calls: `renew sent`, `renew answered`, and so on."""

    def __init__(self, inner: NodeStore) -> None:
        self._inner = inner
        self.tell: Callable[[str], object] = lambda _: None

    async def join(self, node: Node, state: NodeState) -> Joined | Taken:
        return await self._told("join", self._inner.join(node, state))

    async def renew(
        self, name: str, incarnation: str, state: NodeState
    ) -> Sequence[NodeRecord] | Superseded:
        return await self._told("renew", self._inner.renew(name, incarnation, state))

    async def leave(self, name: str, incarnation: str) -> None:
        await self._told("leave", self._inner.leave(name, incarnation))

    async def forget(self) -> int:
        return await self._told("forget", self._inner.forget())

    async def _told(self, name: str, call: Awaitable[T]) -> T:
        self.tell(f"{name} sent")
        answer = await call
        self.tell(f"{name} answered")
        return answer


class HandClock:
    """The machine's clock, ahead by what the test says: as after the machine has slept."""

    ahead_s = 0.0

    def __call__(self) -> float:
        return boot_s() + self.ahead_s


class Member(Membership):
    """One with a diary, on a connection of its own."""

    def __init__(self, store: NodeStore, node: Node, **more: object) -> None:
        self.store = Telling(store)
        super().__init__(self.store, node, **more)
        self.diary = Diary()
        self.watch(self.diary)

    def state_of(self, name: str) -> str:
        """As its view has it."""
        return next(view.state for view in self.views() if view.id == name)


@asynccontextmanager
async def unstarted(url: str, name: str = "a", **more: object) -> AsyncIterator[Member]:
    """A membership that is closed in the end."""
    database = Database(url)
    await database.probe()
    store = PostgresNodes(database)
    member = Member(store, a_node(name), **more)
    try:
        yield member
    finally:
        await member.close()
        await store.close()


@asynccontextmanager
async def started(url: str, name: str = "a", **more: object) -> AsyncIterator[Member]:
    """One that has joined."""
    async with unstarted(url, name, **more) as member:
        await member.start()
        yield member


@asynccontextmanager
async def killed(url: str, name: str = "a") -> AsyncIterator[Node]:
    """A node that has joined just now, and that nobody runs any more."""
    database = Database(url)
    await database.probe()
    store = PostgresNodes(database)
    node = a_node(name, address="killed.example:1")
    await store.join(node, "up")
    yield node
    await store.close()


async def answers(member: Member, call: str, count: int = 1) -> None:
    """Until so many calls more of this name have been answered."""
    heard = asyncio.Queue[str]()
    member.store.tell = heard.put_nowait
    async with asyncio.timeout(DEADLINE_S):
        while count:
            count -= await heard.get() == f"{call} answered"
