"""Calling what is no node, is not there, or does not answer."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import serve

from conduit.cluster.links import dialing
from conduit.cluster.links.dialing import dial, split_address
from conduit.cluster.links.handshake import NONCE_BYTES, Dialer
from conduit.cluster.links.proofs import Secrets
from conduit.errors import ConduitError, InvalidRequest, Unavailable
from tests.cluster.links.kit import SECRET, nodes, until
from tests.cluster.links.stranger import NEW, OLD, acceptor


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080),
        ("node-1.conduit.svc:80", "node-1.conduit.svc", 80),
        ("localhost:65535", "localhost", 65535),
        ("[::1]:8080", "::1", 8080),
        ("[fe80::1%eth0]:1", "fe80::1%eth0", 1),
    ],
)
def test_an_address_has_a_host_and_a_port(text, host, port):
    assert split_address(text) == (host, port)


@pytest.mark.parametrize(
    "text",
    [
        *("", "host", "host:", ":80", "host:0", "host:65536", "host:x", "::1:80", "[::1]", "[]:80"),
        *("http://host:80", "a b:80", "user@host:80", "host:80/path", "host:８0", "h\nost:80"),
    ],
)
def test_what_is_no_address_is_told(text):
    with pytest.raises(InvalidRequest, match="host:port"):
        split_address(text)


async def call(address: str) -> None:
    handshake = Dialer(Secrets([SECRET]), OLD, NEW, 1, bytes(NONCE_BYTES), 0.0)

    def opened(_proved, _wire):
        raise AssertionError("there is no link")

    await dial(address, handshake, opened)


async def why(address: str) -> str:
    with pytest.raises(ConduitError) as refused:
        await call(address)
    return str(refused.value)


def address_of(server) -> str:
    host, port = server.sockets[0].getsockname()[:2]
    return f"{host}:{port}"


Behave = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(behave: Behave, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """Something that is no node; its address."""
    tasks = set()

    async def accept(reader, writer):
        tasks.add(asyncio.current_task())
        try:
            await behave(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(accept, host, 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def answering(*parts: bytes) -> Behave:
    async def behave(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"".join(parts))
        await writer.drain()
        await reader.read()

    return behave


async def test_a_name_that_cannot_be_resolved_is_told():
    for name in ("x" * 64 + ".example", "no..node", "no-such-node.invalid"):
        assert f"the name {name!r} cannot be resolved" in await why(f"{name}:80")


async def test_a_port_where_nobody_listens_is_told():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert await why(f"127.0.0.1:{taken.getsockname()[1]}") == "Connection refused"


async def test_an_address_that_is_none_is_told():
    assert "host:port" in await why("nowhere")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "INTERNAL_SECRET is not set"),
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "it is stopping"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP status 200"),
        (b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\n\r\n", "HTTP status 301"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "no node of this cluster"),
        (b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", "no node"),
        (b"", "there was no link within"),
        (b"x" * 100_000, "no node of this cluster"),
    ],
)
async def test_what_is_no_node_is_told(answer, said, monkeypatch):
    monkeypatch.setattr(dialing, "HANDSHAKE_TIMEOUT_S", 0.5)
    async with listening(answering(answer)) as address:
        assert said in await why(address)


async def test_a_connection_that_is_closed_at_once_is_told():
    async def behave(_reader, _writer):
        pass

    async with listening(behave) as address:
        assert await why(address) in (
            "Connection reset by peer",
            "the connection ended before it was a WebSocket",
        )


@pytest.mark.parametrize(
    "message", ["hello", b"garbage", bytes(5_000), bytes(2_000_000)], ids=["text", "a", "b", "c"]
)
async def test_a_websocket_that_is_no_node_is_told(message):
    async def behave(connection):
        await connection.recv()
        await connection.send(message)
        await connection.wait_closed()

    async with serve(behave, "127.0.0.1", 0, compression=None) as server:
        assert await why(address_of(server))


async def test_whoever_does_not_answer_is_given_up_and_its_socket_is_closed(monkeypatch):
    """While it connects, while it upgrades, while it shakes hands."""
    monkeypatch.setattr(dialing, "HANDSHAKE_TIMEOUT_S", 0.3)
    ended = []

    async def silent(reader, _writer):
        await reader.read()
        ended.append("upgrade")

    async with listening(silent) as address:
        assert "no link within 0.3 s" in await why(address)
        await until(lambda: ended)

    async def mute(connection):
        await connection.wait_closed()
        ended.append("handshake")

    async with serve(mute, "127.0.0.1", 0, compression=None) as server:
        assert "no link within" in await why(address_of(server))
        await until(lambda: len(ended) == 2)


async def test_calling_can_be_cancelled_at_any_time():
    ended = []

    async def silent(reader, _writer):
        await reader.read()
        ended.append(True)

    async with listening(silent) as address:
        for turns in range(20):
            calling = asyncio.get_running_loop().create_task(call(address))
            for _ in range(turns):
                await asyncio.sleep(0)
            calling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await calling
        await until(lambda: asyncio.all_tasks() == {asyncio.current_task()} or ended)


async def test_one_that_knows_another_secret_is_refused():
    async def behave(_connection):
        pass

    handshake = Dialer(Secrets(["another"]), OLD, NEW, 1, bytes(NONCE_BYTES), 0.0)
    async with acceptor(NEW, behave) as live:
        # It raises, and its library closes.
        with pytest.raises(Unavailable):
            await dial(live.address, handshake, lambda *_: None)


@pytest.mark.skipif(not socket.has_ipv6, reason="the machine has no IPv6")
async def test_a_node_is_reached_over_ipv6():
    async with listening(
        answering(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"), "::1"
    ) as address:
        assert "INTERNAL_SECRET is not set" in await why(address)


async def test_a_node_without_a_secret_is_told():
    async with nodes("a") as (a,):
        a.port.context.links = None
        # What is behind the port of the kit answers everything.
        assert "no node of this cluster" in await why(a.live.address)
