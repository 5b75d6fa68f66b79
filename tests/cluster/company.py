"""Several nodes in one process on one store, each with its broker and its links, and clients of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import msgspec
import uuid_utils

from conduit.broker.attach.connection import Connection
from conduit.cluster.at_owner import AtOwner
from conduit.cluster.elsewhere import Elsewhere
from conduit.cluster.exchange import Exchange
from conduit.cluster.hearing import Hearing
from conduit.cluster.links.handshake import Identity
from conduit.core.ring import Ring
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.frames import Subscribe
from conduit.server.context import Limits
from tests.broker.kit import Bench, Peer, running_broker
from tests.broker.leased import LeasedStore
from tests.cluster.links.kit import SECRET, until
from tests.server.port import Port


class Live(msgspec.Struct, frozen=True):
    """A node as the store has it."""

    name: str
    incarnation: str
    address: str
    state: str = "up"


class Client:
    """A client of one node."""

    def __init__(self, bench: Bench) -> None:
        self.peer = Peer()
        self.connection: Connection = bench.broker.connect(T, self.peer)

    async def subscribe(self, name: str | None = "s", topic: str = "t", **fields: Any) -> Client:
        await self.connection.subscribe(Subscribe(topic, name, **fields))
        return self

    def reads(self, is_writable: bool) -> None:
        """Whether its socket drains."""
        self.peer.writable = is_writable
        self.connection.writable_changed()

    @property
    def verbs(self) -> Any:
        return self.connection.verbs

    @property
    def seqs(self) -> list[int]:
        return self.peer.seqs

    @property
    def ids(self) -> list[str]:
        return [frame["message_id"] for frame in self.peer.of("message")]

    @property
    def failures(self) -> list[int]:
        """Of each message that came."""
        return [frame.get("failures", 0) for frame in self.peer.of("message")]

    def id_of(self, seq: int, topic: str = "t") -> str:
        """Of a message that has come."""
        return next(
            frame["message_id"]
            for frame in self.peer.of("message")
            if (frame["topic"], frame["seq"]) == (topic, seq)
        )


class Member:
    """A node."""

    def __init__(self, name: str, bench: Bench) -> None:
        self.own = Identity(name, str(uuid_utils.uuid7()))
        self.bench = bench
        self.hearing = Hearing(bench.broker)
        self.elsewhere = Elsewhere()
        self.subscriptions = AtOwner(bench.broker, self.elsewhere)
        self.exchange = Exchange(bench.broker, self.own, (SECRET,), self.hearing, self.elsewhere)
        self.port = Port(Limits())
        self.port.context.links = self.exchange.links

    @property
    def name(self) -> str:
        return self.own.name

    @property
    def live(self) -> Live:
        host, port = self.port.address
        return Live(self.own.name, self.own.incarnation, f"{host}:{port}")

    def client(self) -> Client:
        return Client(self.bench)

    def lease(self, store: LeasedStore) -> None:
        """From now on it has a lease, and claims what it runs."""
        ownership = self.bench.broker.ownership
        ownership.begin(self.own.incarnation, lambda: True, takes_over=False)
        store.live.add(self.own.incarnation)
        ownership.lease_held(1)

    def settled(self, name: str = "s", topic: str = "t") -> int:
        """Up to which number all is acked, as it runs here; -1 if it does not."""
        owned = self.bench.broker._owned
        record = owned.find(T, name)
        running = None if record is None else owned.find_running(record)
        found = self.bench.broker.topics.get(T, topic)
        return -1 if running is None else running.floor_of(found)

    async def start(self) -> None:
        await self.port.open(0)
        self.bench.broker.run_elsewhere(self.elsewhere)
        self.bench.broker.redrive = self.subscriptions.redrive
        await self.exchange.start()

    async def stop(self) -> None:
        await self.exchange.leave()
        await self.exchange.stop()
        await self.port.close()
        self.hearing.close()


class Company:
    """All of them. `meet` says who lives."""

    def __init__(self, members: Sequence[Member]) -> None:
        self.members = {member.name: member for member in members}
        self.up = list(self.members)

    def __getitem__(self, name: str) -> Member:
        return self.members[name]

    def name_for(self, owner: str, prefix: str = "s") -> str:
        """A subscription that this node owns, of those that are up."""
        ring = Ring(self.up)
        return next(
            name for n in range(10_000) if ring.owner(f"{T}/{(name := f'{prefix}{n}')}") == owner
        )

    def meet(self, *names: str) -> None:
        """From now on these are up, and the others drain: they have links, and own nothing."""
        self.up = list(names)
        live = [
            msgspec.structs.replace(member.live, state="up" if name in names else "draining")
            for name, member in self.members.items()
        ]
        for member in self.members.values():
            member.exchange.nodes_changed(live)

    async def linked(self) -> None:
        await until(
            lambda: all(
                one is other or one.exchange.links.to(other.name) is not None
                for one in self.members.values()
                for other in self.members.values()
            )
        )

    def cut(self, one: str, other: str) -> None:
        """The link between them breaks; it is made again."""
        link = self[one].exchange.links.to(other)
        if link is not None:
            link.drop("it was cut")

    async def flush(self) -> None:
        for member in self.members.values():
            await member.bench.flush()


@asynccontextmanager
async def a_company(*names: str, store: Any, **options: Any) -> AsyncIterator[Company]:
    """`store`: one for all of them, or what makes one for each."""
    async with AsyncExitStack() as stack:
        members = []
        for name in names:
            own = store() if callable(store) else store
            bench = await stack.enter_async_context(running_broker(own, **options))
            members.append(Member(name, bench))
        for member in members:
            if isinstance(store, LeasedStore):
                member.lease(store)
            await member.start()
            stack.push_async_callback(member.stop)
        company = Company(members)
        company.meet(*names)
        await company.linked()
        yield company
        await asyncio.sleep(0)
