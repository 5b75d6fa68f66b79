"""All connections that wait are accepted at once, and made as there is time."""

import asyncio
import socket

import pytest

from conduit.server import accepting as accepting_module
from conduit.server.accepting import EXCESS_MAX_COUNT, MADE_MAX_COUNT, Accepting
from tests.tenancy.kit import fact


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


async def all_gone(made: list[asyncio.BaseTransport], clients: list[socket.socket]) -> None:
    """End both ends of all connections."""
    for transport in made:
        transport.abort()
    for client in clients:
        client.close()
    await asyncio.sleep(0)


def with_room() -> Accepting:
    return Accepting(lambda: 10_000)


async def turns_until_made(listening: socket.socket, clients: int, *, hears: bool) -> int:
    """In how many turns of the loop so many are connected that waited when it began to listen."""
    waiting = [socket.create_connection(listening.getsockname()) for _ in range(clients)]
    made: list[asyncio.BaseTransport] = []
    accepting = with_room()
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


async def test_some_are_made_in_each_turn(listening: socket.socket):
    turns = await turns_until_made(listening, 10 * MADE_MAX_COUNT, hears=True)
    assert 10 <= turns < 25


async def test_who_comes_with_many_is_in_nobodys_way_but_its_own(
    listening: socket.socket, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(accepting_module, "ACCEPT_MAX_S", 60.0)
    clients = []
    for number in range(201):
        source = ("127.0.0.3" if number == 200 else "127.0.0.2", 0)
        clients.append(socket.create_connection(listening.getsockname(), source_address=source))
    made: list[asyncio.BaseTransport] = []
    accepting = with_room()
    accepting.begin([listening], lambda: Protocol(made, accepting))
    accepting.connected()
    await fact(lambda: len(made) == len(clients))
    names = [transport.get_extra_info("peername") for transport in made]
    hosts = [host for host, _ in names]
    assert hosts.index("127.0.0.3") < MADE_MAX_COUNT
    # Those of one address keep their order.
    of_many = [name for name in names if name[0] == "127.0.0.2"]
    assert of_many == [each.getsockname() for each in clients[:-1]]
    await all_gone(made, clients)


async def test_where_there_is_no_room_few_are_accepted(listening: socket.socket):
    clients = [socket.create_connection(listening.getsockname()) for _ in range(100)]
    accepting = Accepting(lambda: -5)
    most = 0

    def new() -> asyncio.BaseProtocol:
        nonlocal most
        most = max(most, accepting._waiting.count + 1)
        made.append(Protocol([], accepting))
        return made[-1]

    made: list[Protocol] = []
    accepting.begin([listening], new)
    accepting.connected()
    await fact(lambda: len(made) == len(clients))
    assert 1 < most <= EXCESS_MAX_COUNT
    await accepting.end()
    await all_gone([protocol.made[0] for protocol in made], clients)


async def test_those_that_were_accepted_are_made_at_the_end(
    listening: socket.socket, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(accepting_module, "ACCEPT_MAX_S", 60.0)
    clients = [socket.create_connection(listening.getsockname()) for _ in range(3 * MADE_MAX_COUNT)]
    made: list[asyncio.BaseTransport] = []
    accepting = with_room()
    accepting.begin([listening], lambda: Protocol(made, accepting))
    accepting.connected()
    await asyncio.sleep(0)
    # All are accepted, and a few of them made.
    assert len(made) < len(clients)
    await accepting.end()
    assert len(made) == len(clients)
    await all_gone(made, clients)


async def test_the_loop_accepts_one_in_a_turn(listening: socket.socket):
    # If this fails, conduit.server.accepting is not needed any more.
    assert await turns_until_made(listening, 100, hears=False) >= 100


async def test_who_is_gone_before_it_is_accepted_is_no_fault(listening: socket.socket, caplog):
    made: list[asyncio.BaseTransport] = []
    accepting = with_room()
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
    accepting = with_room()
    accepting.begin([listening], asyncio.Protocol)
    listening.close()
    accepting.connected()
    await asyncio.sleep(0)
    assert not caplog.records
