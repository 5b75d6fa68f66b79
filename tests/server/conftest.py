import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from conduit.server.intake import Intake
from tests.autobahn.echo_server import Upgrade
from tests.server.peer import Peer, Recorder, happens
from tests.server.ticking import Ticking
from tests.support.loops import new_loop


class SteadyUpgrade(Upgrade):
    """Of which the same pieces are handled in a turn, however fast the machine is."""

    intake = Intake(Ticking(), lambda: False)


Connect = Callable[[bytes], Awaitable[Peer]]


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    # The server runs on uvloop, whose transports differ from asyncio's in flow control.
    return {"uvloop": new_loop}


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Connects a Peer to a Recorder; the argument is sent in one go with the upgrade request."""
    recorders: list[Recorder] = []
    peers: list[Peer] = []

    def new_recorder() -> Recorder:
        recorders.append(Recorder())
        return recorders[-1]

    async def connect(rest: bytes) -> Peer:
        peers.append(Peer())
        await peers[-1].open(server.sockets[0].getsockname(), rest)
        peers[-1].server = recorders[-1]
        return peers[-1]

    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SteadyUpgrade(new_recorder), "127.0.0.1", 0)
    yield connect
    for peer in peers:
        peer.socket.close()
    for recorder in recorders:
        recorder.abort()
        await happens(recorder.closed)
    server.close()
    await server.wait_closed()


@pytest.fixture
async def peer(connect: Connect) -> Peer:
    """A Peer that is connected to a Recorder."""
    return await connect(b"")
