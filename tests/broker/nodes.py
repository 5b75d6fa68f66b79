"""Nodes on one store, with leases that are switched by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from typing import Any

from conduit.broker.attach.connection import Connection
from conduit.broker.deliver.running import Running
from conduit.broker.waiting import Deadline
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.frames import Ack, Nack
from tests.broker.kit import Bench, ManualClock, Peer, running_broker
from tests.broker.leased import LeasedStore
from tests.support.wait import DEADLINE_S

_numbers = count(1)


def asked(store: LeasedStore, what: str) -> int:
    """How many such questions there were."""
    return sum(1 for name, _ in store.asked if name == what)


def begun(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """It goes on beside the test."""
    return asyncio.get_running_loop().create_task(work)


async def comes(fact: Callable[[], bool]) -> None:
    """Wait for what comes after a short while."""
    until = Deadline(DEADLINE_S)
    while not fact():
        assert until.left_s, "it did not come"
        await asyncio.sleep(0.001)


def ack(connection: Connection, seq: int) -> None:
    """All up to and with this one."""
    connection.verbs.ack(Ack(topic="t", seq=seq, subscription="s"))


def nack(connection: Connection, peer: Peer, seq: int) -> None:
    """This one, which may come again at once."""
    ids = {frame["seq"]: frame["message_id"] for frame in peer.of("message")}
    connection.verbs.nack(Nack(ids[seq], subscription="s", delay_ms=0))


class Node:
    """A broker that claims under a lease. As real ones do, it loses its lease before the store says so."""

    def __init__(self, bench: Bench, store: LeasedStore, *, takes_over: bool) -> None:
        self.bench = bench
        self.store = store
        self.incarnation = f"node-{next(_numbers)}"
        self.term = 0
        self.is_held = False
        bench.broker.ownership.begin(self.incarnation, lambda: self.is_held, takes_over=takes_over)

    async def hold(self) -> None:
        """It has its lease, of a new term."""
        await self.have_term()
        await self.bench.rest()

    async def have_term(self) -> None:
        if not self.is_held:
            self.store.live.add(self.incarnation)
            self.is_held = True
            self.term += 1
            self.bench.broker.ownership.lease_held(self.term)

    def lapse(self, *, is_told: bool = True) -> None:
        """By its own clock the lease is over."""
        self.is_held = False
        if is_told:
            self.bench.broker.ownership.lease_lost()

    async def lose(self) -> None:
        """The lease is over, for all."""
        self.lapse()
        self.store.live.discard(self.incarnation)
        await self.bench.rest()

    async def regain(self) -> None:
        """It was lost, and is held anew, both told in one go."""
        self.lapse()
        await self.hold()

    async def subscribe(
        self, name: str = "s", topic: str = "t", **fields: Any
    ) -> tuple[Connection, Peer]:
        return await self.bench.subscribe(topic, subscription=name, **fields)

    async def hear(self) -> None:
        """Know what others have stored and changed."""
        await self.bench.broker.news.catch_up()
        await self.bench.broker.tails.round()
        await self.bench.fill_holes()

    def running(self, name: str = "s") -> Running | None:
        """The subscription as it runs here."""
        return self.bench.broker._owned._running.get((T, name))

    @property
    def owned_count(self) -> int:
        """What it has in the store."""
        return len(self.store._fences.owned(self.incarnation))


@asynccontextmanager
async def nodes_on(
    store: LeasedStore, how_many: int = 2, *, takes_over: bool = False
) -> AsyncIterator[list[Node]]:
    """Nodes without a lease, on one clock."""
    clock = ManualClock()
    async with AsyncExitStack() as ends:
        benches = [
            await ends.enter_async_context(running_broker(store, clock)) for _ in range(how_many)
        ]
        await benches[0].broker.topics.create(T, "t")
        for bench in benches:
            await bench.broker.news.catch_up()
        yield [Node(bench, store, takes_over=takes_over) for bench in benches]
        store.failing.clear()
        store.release()
