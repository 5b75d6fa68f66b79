"""When a stream asks a server again that refused it for now."""

from __future__ import annotations

import asyncio
import logging
import re

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from conduit.client import ApiError, AsyncConduit, ConnectionFailed
from tests.client.peer import Peer, answer, http_peer, problem
from tests.client.test_stream import streaming, take


async def test_a_server_that_is_not_ready_yet_is_asked_again() -> None:
    async def first(peer: Peer) -> None:
        await peer.subscribed(seq=0, epoch="e")
        await peer.close(1012)

    async def second(peer: Peer) -> None:
        frame = await peer.expect("subscribe")
        await peer.send("error", code="store_unavailable", message="wait", ref=frame["ref"])

    async def third(peer: Peer) -> None:
        await peer.subscribed(seq=0, epoch="e", recovered=True)
        await peer.deliver(1)
        await peer.expect("ack")

    async with streaming([first, second, third], "t") as stream:
        assert await take(stream, 1) == [1]


async def test_a_server_that_names_a_time_is_not_asked_again_before(caplog) -> None:
    async def first(peer: Peer) -> None:
        await peer.subscribed(seq=0, epoch="e")
        await peer.close(1012)

    async def second(peer: Peer) -> None:
        frame = await peer.expect("subscribe")
        refusal = {"code": "overloaded", "message": "full", "ref": frame["ref"]}
        await peer.send("error", **refusal, retry_after_ms=3_600_000)
        told.set()

    told = asyncio.Event()
    async with streaming([first, second], "t") as stream:
        waiting = asyncio.get_running_loop().create_task(anext(stream))
        said = asyncio.Event()

        def notice(record: logging.LogRecord) -> bool:
            if "full" in record.getMessage():
                said.set()
            return True

        caplog.handler.addFilter(notice)
        await told.wait()
        await asyncio.wait_for(said.wait(), 10)
        found = re.search(r"full; trying again in ([\d.]+) s", caplog.text)
        assert found is not None
        assert 3600 <= float(found[1]) <= 7200
        waiting.cancel()


@pytest.mark.parametrize(("status", "code"), [(503, "overloaded"), (429, "limit_reached")])
async def test_what_a_full_server_says_is_raised_on_entering(status: int, code: str) -> None:
    async with http_peer(problem(status, code)) as (url, _), AsyncConduit(url) as client:
        with pytest.raises(ApiError) as raised:
            await client.subscribe("t").__aenter__()
    assert (raised.value.code, raised.value.status) == (code, status)
    assert raised.value.retryable


async def test_a_proxy_without_a_server_behind_it_is_no_connection() -> None:
    async with (
        http_peer(answer(502, "<html>")) as (url, _),
        AsyncConduit(url) as client,
    ):
        with pytest.raises(ConnectionFailed, match="HTTP 502"):
            await client.subscribe("t").__aenter__()


async def test_a_server_that_is_full_is_asked_again_by_a_stream_that_was_there() -> None:
    requests: list[Request] = []

    def full_once(socket: ServerConnection, request: Request) -> Response | None:
        requests.append(request)
        if len(requests) != 2:
            return None
        return socket.respond(429, '{"code":"limit_reached","detail":"full"}')

    async def handle(socket: ServerConnection) -> None:
        peer = Peer(socket)
        await peer.subscribed(seq=0, epoch="e", recovered=len(requests) > 1)
        if len(requests) == 1:
            await peer.close(1012)
            return
        await peer.deliver(1)
        await peer.left(acks=True)

    async with serve(handle, "127.0.0.1", 0, process_request=full_once) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with AsyncConduit(url) as client, client.subscribe("t") as stream:
            assert await take(stream, 1) == [1]
    assert len(requests) == 3
