"""Somebody at `/internal/link` whose WebSocket is not ours, and who says and reads what the test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from conduit.cluster.links.frames import Frame, decode, encode, message
from conduit.cluster.links.handshake import NONCE_BYTES, Acceptor, Dialer, Identity
from conduit.cluster.links.proofs import Secrets
from tests.cluster.links.kit import SECRET, Live, Node
from tests.support.wait import DEADLINE_S

# Older than any that is made now, so that it is the one who dials; and one that is dialed.
OLD = Identity("old", "00000000-0000-7000-8000-000000000000")
NEW = Identity("new", "ffffffff-0000-7000-8000-000000000000")


class Stranger:
    """One connection."""

    def __init__(self, connection: ClientConnection, node: Node) -> None:
        self.connection = connection
        self.node = node

    async def send(self, data: bytes | str) -> None:
        """One message as it is; the other side may be gone."""
        await self.connection.send(data)

    async def say(self, *frames: Frame) -> None:
        """Frames of a link, in one message."""
        await self.send(message([encode(each) for each in frames]))

    async def hear(self) -> list[Frame]:
        """The frames of the next message."""
        return list(decode(await self.receive()))

    async def receive(self) -> bytes:
        """The next message."""
        async with asyncio.timeout(DEADLINE_S):
            data = await self.connection.recv()
        assert isinstance(data, bytes)
        return data

    async def closed(self) -> tuple[int, str]:
        """Wait until the server has closed; its code and reason, 1006 if it said none."""
        async with asyncio.timeout(DEADLINE_S):
            try:
                while True:
                    await self.connection.recv()
            except ConnectionClosed as end:
                return (1006, "") if end.rcvd is None else (end.rcvd.code, end.rcvd.reason)

    def dialer(
        self,
        own: Identity = OLD,
        target: Identity | None = None,
        secrets: Iterable[str] = (SECRET,),
        number: int = 1,
    ) -> Dialer:
        """Its side of the handshake."""
        target = target or self.node.own
        return Dialer(Secrets([*secrets]), own, target, number, bytes(NONCE_BYTES), 0.0)

    async def prove(self, dialer: Dialer | None = None) -> None:
        """The whole handshake. Raises what the dialer raises."""
        dialer = dialer or self.dialer()
        await self.send(dialer.begin())
        while dialer.proved is None:
            answer = dialer.receive(await self.receive())
            if answer is not None:
                await self.send(answer)


@asynccontextmanager
async def stranger(
    node: Node, path: str = "/internal/link", **options: object
) -> AsyncIterator[Stranger]:
    """A connection to a node."""
    host, port = node.port.address
    options.setdefault("compression", None)
    options.setdefault("ping_interval", None)
    options.setdefault("max_size", None)
    async with connect(f"ws://{host}:{port}{path}", **options) as connection:
        try:
            yield Stranger(connection, node)
        finally:
            connection.transport.abort()


@asynccontextmanager
async def peer(node: Node, own: Identity = OLD, **options: object) -> AsyncIterator[Stranger]:
    """One that is a node, and has a link with this one."""
    node.links.set_live([Live(own.name, own.incarnation, "127.0.0.1:1")])
    async with stranger(node, **options) as connection:
        await connection.prove(connection.dialer(own))
        yield connection


@asynccontextmanager
async def acceptor(
    own: Identity, behave: Callable[[ServerConnection], Awaitable[None]]
) -> AsyncIterator[Live]:
    """A node whose WebSocket is not ours: it welcomes whoever is a node, and then does as it likes."""

    async def accept(connection: ServerConnection) -> None:
        side = Acceptor(Secrets([SECRET]), own, bytes(NONCE_BYTES), 0.0)
        while side.proved is None:
            data = await connection.recv()
            assert isinstance(data, bytes)
            answer = side.receive(data)
            if answer is not None:
                await connection.send(answer)
        await connection.send(side.welcome())
        await behave(connection)

    options = {"compression": None, "ping_interval": None, "max_queue": 1, "max_size": None}
    async with serve(accept, "127.0.0.1", 0, **options) as server:
        host, port = server.sockets[0].getsockname()[:2]
        yield Live(own.name, own.incarnation, f"{host}:{port}")
