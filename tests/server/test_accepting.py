"""All connections that wait are accepted in one turn of the loop."""

import asyncio
import socket

import pytest

from conduit.server.accepting import ACCEPTS_MAX_COUNT, Accepting


class Protocol(asyncio.Protocol):
    def __init__(self, made: list[asyncio.BaseTransport], accepting: Accepting) -> None:
        self.made, self.accepting = made, accepting

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.made.append(transport)
        self.accepting.connected()


@pytest.fixture
def listening():
    with socket.create_server(("127.0.0.1", 0), backlog=1_000) as listening:
        listening.setblocking(False)
        yield listening


async def turns_until_made(listening: socket.socket, clients: int, *, hears: bool) -> int:
    """In how many turns of the loop so many are connected that waited when it began to listen."""
    waiting = [socket.create_connection(listening.getsockname()) for _ in range(clients)]
    made: list[asyncio.BaseTransport] = []
    accepting = Accepting()
    if hears:
        accepting.begin([listening], lambda: Protocol(made, accepting))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Protocol(made, accepting), sock=listening)
    turns = 0
    async with asyncio.timeout(10):
        while len(made) < clients:
            await asyncio.sleep(0)
            turns += 1
    for each in waiting:
        each.close()
    for transport in made:
        transport.abort()
    server.close()
    await asyncio.sleep(0)
    return turns


async def test_all_that_wait_are_accepted_at_once(listening: socket.socket):
    assert await turns_until_made(listening, ACCEPTS_MAX_COUNT, hears=True) < 15


async def test_the_loop_accepts_one_in_a_turn(listening: socket.socket):
    # If this fails, conduit.server.accepting is not needed any more.
    assert await turns_until_made(listening, 100, hears=False) >= 100


async def test_who_is_gone_before_it_is_accepted_is_no_fault(listening: socket.socket, caplog):
    made: list[asyncio.BaseTransport] = []
    accepting = Accepting()
    accepting.begin([listening], lambda: Protocol(made, accepting))
    for _ in range(5):
        client = socket.create_connection(listening.getsockname())
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        client.close()
    accepting.connected()
    for _ in range(10):
        await asyncio.sleep(0)
    for transport in made:
        transport.abort()
    await asyncio.sleep(0)
    assert not caplog.records


async def test_a_socket_that_is_closed_is_no_fault(listening: socket.socket, caplog):
    accepting = Accepting()
    accepting.begin([listening], asyncio.Protocol)
    listening.close()
    accepting.connected()
    await asyncio.sleep(0)
    assert not caplog.records
