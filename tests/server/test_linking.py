"""`/internal/link` as strangers see it, and what nodes keep of it while there are many of them."""

import asyncio
import contextlib
import logging
from contextlib import AsyncExitStack
from functools import partial

import pytest
import uvicorn
from websockets.exceptions import ConnectionClosed

from conduit.cluster.links.frames import MESSAGE_MAX_BYTES, Hint, encode, message
from conduit.cluster.links.handshake import HANDSHAKE_TIMEOUT_S, NONCE_BYTES, Dialer, Identity
from conduit.cluster.links.proofs import Secrets
from conduit.errors import ConduitError, Conflict
from conduit.server import context
from conduit.server.doors import operators_door
from conduit.server.front import make_front
from conduit.server.gate import Gate
from conduit.server.operators import OperatorsFront
from conduit.server.rest.api import create_api
from conduit.tenancy.registry import Registry
from tests.cluster.links.kit import SECRET, Live, linked, meet, nodes, until
from tests.cluster.links.stranger import OLD, peer, stranger
from tests.server.peer import ANSWER, BINARY, REQUEST, TEXT, frame
from tests.server.port import Client, open_port, publish, request
from tests.tenancy.registered import HandClock

PATH = "/internal/link"
UPGRADE = REQUEST.replace(b"/ws", PATH.encode())


def closings(node) -> int:
    return node.port.context.closings.counts["link"]


async def test_without_a_cluster_nothing_is_there():
    for secret in (None, SECRET):
        async with open_port(create_api) as port:
            port.context.gate.internal_secrets = [] if secret is None else [secret]
            client = await port.connect()
            await client.send(UPGRADE)
            # With a secret nobody is told what is there.
            assert (await client.answer()).status == (404 if secret is None else 403)


async def test_a_stranger_needs_no_credential_and_has_no_use_for_one():
    async with nodes("a") as (a,):
        a.port.context.gate = Gate(Registry(a.port.store, HandClock(), b"p" * 32))
        async with peer(a):
            await until(lambda: a.recorder.events)
        for header in (f"X-Internal-Secret: {SECRET}", "X-API-Key: wrong"):
            client = await a.port.connect()
            await client.send(UPGRADE.replace(b"\r\n\r\n", f"\r\n{header}\r\n\r\n".encode()))
            assert await client.reader.readexactly(len(ANSWER)) == ANSWER
            assert not a.links._links


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        (b"Version: 13", b"Version: 8", 426),
        (b"Upgrade: websocket", b"Upgrade: h2c", 426),
        (b"HTTP/1.1", b"HTTP/1.0", 426),
        (b"Host: localhost", b"Host: localhost\r\nOrigin: https://app.example", 403),
        (b"Host: localhost", b"Host: localhost\r\nSec-Fetch-Site: same-origin", 403),
        (b"Host: localhost", b"Host: localhost\r\nContent-Length: 2", 400),
        (b"GET", b"POST", 201),
    ],
)
async def test_whatever_is_no_node_asks_in_vain(old, new, status):
    async with nodes("a") as (a,):
        client = await a.port.connect()
        await client.send(UPGRADE.replace(old, new) + b"{}")
        # A POST goes to the application, which is one of the kit here.
        assert (await client.answer()).status == status
        assert not a.port.context.sessions


async def test_it_is_not_at_the_operators_port():
    assert not operators_door().has(PATH)
    async with nodes("a") as (a,):
        door = a.port.context.open_to_operators()
        # Nor does it move away from the port for everybody.
        assert a.port.context.door.has(PATH)
        front = make_front(a.port.context, door, OperatorsFront)
        assert front.door.has("/metrics")
        settings = uvicorn.Config(
            create_api(a.port.context), http=front, ws="none", lifespan="off", log_config=None
        )
        settings.load()
        new = partial(front, settings, a.port.state, {})
        server = await asyncio.get_running_loop().create_server(new, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(UPGRADE)
        assert (await reader.readline()).startswith(b"HTTP/1.1 404")
        writer.close()
        server.close()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ("text", 1003),
        (b"garbage", 1002),
        (b"", 1002),
        (bytes(4_096), 1002),
        (bytes(4_097), 1009),
        (bytes(MESSAGE_MAX_BYTES), 1009),
        (message([encode(Hint(b"x"))]), 1002),
    ],
)
async def test_what_is_no_handshake_is_closed_with_a_code_and_one_line(data, code, caplog):
    async with nodes("a") as (a,):
        for _ in range(3):
            async with stranger(a) as other:
                await other.send(data)
                assert (await other.closed())[0] == code
        await until(lambda: not a.port.context.sessions)
        assert not a.port.context.unproved
        assert closings(a) == 3
        a.port.context.closings.report(0.0)
        lines = [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
        assert len(lines) == 1
        assert "3 connections were closed at /internal/link" in lines[0]
        assert "127.0.0.1 (3)" in lines[0]
        assert a.recorder.events == []


async def test_a_frame_in_pieces_is_bounded_like_a_whole_one():
    async with nodes("a") as (a,), stranger(a) as other:

        async def pieces():
            for _ in range(10):
                yield bytes(1_000)

        with contextlib.suppress(ConnectionClosed):
            await other.connection.send(pieces())
        assert (await other.closed())[0] == 1009


async def test_two_messages_at_once_are_one_too_many():
    async with nodes("a") as (a,), stranger(a) as other:
        hello = other.dialer().begin()
        await asyncio.gather(other.send(hello), other.send(hello))
        assert (await other.closed())[0] == 1002


async def test_whoever_speaks_before_it_is_welcomed_gets_no_link():
    async with nodes("a") as (a,):
        a.links.set_live([Live(OLD.name, OLD.incarnation, "x:1")])
        async with stranger(a) as other:
            dialer = other.dialer()
            await other.send(dialer.begin())
            proof = dialer.receive(await other.receive())
            await asyncio.gather(other.send(proof), other.send(message([])))
            assert (await other.closed())[0] == 1002
        assert a.recorder.events == []


async def raw_proof(node) -> tuple[Client, bytes]:
    """A connection whose proof is accepted next, and that proof as a frame."""
    node.links.set_live([Live(OLD.name, OLD.incarnation, "x:1")])
    dialer = Dialer(Secrets([SECRET]), OLD, node.own, 1, bytes(NONCE_BYTES), 0.0)
    client = await node.port.connect()
    await client.send(UPGRADE + frame(BINARY, dialer.begin()))
    await client.reader.readexactly(len(ANSWER))
    head = await client.reader.readexactly(2)
    challenge = await client.reader.readexactly(head[1])
    return client, frame(BINARY, dialer.receive(challenge))


async def test_a_part_of_a_frame_behind_the_proof_is_too_much_as_well():
    async with nodes("a") as (a,):
        client, proof = await raw_proof(a)
        await client.send(proof + frame(BINARY, bytes(1_000))[:500])
        # It is told why, and closed.
        told = await client.reader.readexactly(2)
        assert b"more came behind the proof" in await client.reader.readexactly(told[1])
        assert await client.reader.readexactly(4) == b"\x88\x11\x03\xea"
        assert a.recorder.events == []


async def test_a_link_is_none_any_more_when_its_socket_can_carry_nothing():
    """Although the other side does not answer that it is closed."""
    async with nodes("a") as (a,):
        client, proof = await raw_proof(a)
        await client.send(proof)
        await until(lambda: a.links.to("old"))
        await client.send(frame(TEXT, b"text"))
        await until(lambda: a.recorder.whys)
        assert a.recorder.whys == ["nodes speak in binary frames"]
        await until(lambda: not a.links._links)


async def test_a_wrong_secret_is_told_and_closed_with_its_code():
    async with nodes("a") as (a,), stranger(a) as other:
        with pytest.raises(ConduitError, match="INTERNAL_SECRET"):
            await other.prove(other.dialer(secrets=["another-secret"]))
        assert (await other.closed())[0] == 4501
        assert closings(a) == 1


async def test_a_node_that_is_refused_is_no_stranger_in_the_log():
    async with nodes("a") as (a,), stranger(a) as other:
        with pytest.raises(Conflict, match="not among the live nodes"):
            await other.prove()
        assert (await other.closed())[0] == 1013
        assert closings(a) == 0
        assert a.links.counts.refused == 1


async def test_there_are_five_seconds_for_the_proof():
    async with nodes("a") as (a,), stranger(a) as silent, stranger(a) as half:
        await half.send(half.dialer().begin())
        await half.receive()
        sockets = tuple(a.port.context.sessions)
        began = a.links.now()
        for now in (began + HANDSHAKE_TIMEOUT_S - 1.0, began + HANDSHAKE_TIMEOUT_S + 1.0):
            a.links.now = lambda now=now: now
            for each in sockets:
                each.check(now)
            assert closings(a) == (0 if now < began + HANDSHAKE_TIMEOUT_S else 2)
        for each in (silent, half):
            assert (await each.closed())[0] == 4501


async def test_a_stranger_that_does_not_hear_that_it_is_closed_is_dropped():
    async with nodes("a") as (a,):
        client = await a.port.connect()
        await client.send(UPGRADE)
        await client.reader.readexactly(len(ANSWER))
        (socket,) = a.port.context.sessions
        socket.close(1002)
        for now in range(0, 40, 2):
            socket.check(float(now))
        await until(lambda: not a.port.context.sessions)
        assert await client.rest()


# While many strangers are there --------------------------------------------------------------------


async def test_a_flood_of_strangers_does_not_keep_a_node_out(monkeypatch):
    monkeypatch.setattr(context, "UNPROVED_MAX_COUNT", 8)
    async with nodes("a") as (a,), AsyncExitStack() as strangers:
        assert a.port.context.unproved._max_count == 8
        flood = [await strangers.enter_async_context(stranger(a)) for _ in range(20)]
        assert len(a.port.context.unproved) == 8
        # The oldest have left.
        assert (await flood[0].closed())[0] == 1006
        flooding = asyncio.get_running_loop().create_task(_flood(a, strangers))
        async with peer(a) as other:
            await until(lambda: a.recorder.events)
            await other.say(Hint(b"x"))
            await until(lambda: a.recorder.hints)
        assert not flooding.done() or not flooding.exception()
        flooding.cancel()
        await asyncio.gather(flooding, return_exceptions=True)
        assert len(a.port.context.unproved) <= 8


async def _flood(node, strangers) -> None:
    for _ in range(200):
        await strangers.enter_async_context(stranger(node))


async def test_a_full_server_lets_a_node_in_and_no_client(monkeypatch):
    async with nodes("a", max_connections=3) as (a,):
        clients = []
        for _ in range(3):
            client = await a.port.connect()
            await client.send(REQUEST)
            await client.reader.readexactly(len(ANSWER))
            clients.append(client)
        assert a.port.context.connection_count == 3
        late = await a.port.connect()
        await late.send(publish(1))
        assert (await late.answer()).status == 503
        async with peer(a):
            await until(lambda: a.recorder.events)
            assert a.port.context.connection_count == 3
        # Where there is no cluster the address is none, and gets no place.
        await until(lambda: not a.links._links)
        links, a.port.context.links = a.links, None
        late = await a.port.connect()
        await late.send(UPGRADE)
        assert (await late.answer()).status == 503
        a.port.context.links = links


async def test_links_count_against_no_bound_of_clients():
    limits = {"max_connections": 2, "max_connections_per_address": 2, "trusted_proxies": "none"}
    async with nodes("a", **limits) as (a,):
        own = [Identity(f"old-{n}", f"00000000-{n:04}-7000-8000-000000000000") for n in range(6)]
        a.links.set_live(Live(each.name, each.incarnation, "x:1") for each in own)
        async with AsyncExitStack() as others:
            for each in own:
                other = await others.enter_async_context(stranger(a))
                await other.prove(other.dialer(each))
            await until(lambda: len(a.links._links) == 6)
            assert a.port.context.connection_count == 0
            assert not a.port.context.entrance._counts
            client = await a.port.connect()
            await client.send(publish(1))
            assert (await client.answer()).status == 200


async def test_what_nodes_send_waits_for_nothing_that_clients_send():
    async with nodes("a") as (a,), peer(a) as other:
        await until(lambda: a.recorder.events)

        def asked():
            raise AssertionError("the line of clients was asked")

        a.port.context.intake.now = asked
        for _ in range(5):
            await other.say(Hint(bytes(200_000)))
        await until(lambda: len(a.recorder.hints) == 5)
        a.port.context.intake.now = lambda: 0.0


async def test_strangers_count_as_any_connection():
    async with nodes("a", max_connections_per_address=2, trusted_proxies="none") as (a,):
        async with stranger(a), stranger(a):
            assert a.port.context.connection_count == 2
            client = await a.port.connect()
            await client.send(request("GET", "/anything"))
            assert (await client.answer()).json["code"] == "limit_reached"
        await until(lambda: not a.port.context.connection_count)


async def test_while_the_server_stops_strangers_leave_and_nobody_is_let_in():
    async with nodes("a") as (a,), stranger(a) as other:
        (socket,) = a.port.context.sessions
        socket.announce_restart(500)
        assert (await other.closed())[0] == 1012
        assert closings(a) == 0
        a.port.context.is_stopping = True
        client = await a.port.connect()
        await client.send(UPGRADE)
        assert (await client.answer()).status == 503


async def test_nothing_of_a_link_is_left_when_it_has_ended():
    async with nodes("a", "b") as (a, b):
        meet(a, b)
        for _ in range(3):
            await linked(a, b)
            a.link_to(b)._wire.abort()
            await until(lambda: a.links.to("b") is None)
        await linked(a, b)
        await a.links.stop()
        await until(lambda: not b.links._links)
        shared = b.port.context
        assert len(shared.sessions) + len(shared.unproved) + shared.connection_count == 0
        assert not shared.entrance._counts
