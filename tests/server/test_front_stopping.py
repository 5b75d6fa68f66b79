"""What becomes of requests that are under way when the server stops."""

import asyncio
import json
import re

import pytest

from conduit.protocol.codes import CLOSE_RESTART
from conduit.server.rest.api import create_api
from conduit.server.rest.edge import Edge
from conduit.server.session import PUBLISHES_MAX_COUNT
from tests.server.peer import ANSWER, CLOSE, REQUEST, TEXT, frame
from tests.server.port import TOPIC, Client, open_port, request
from tests.support.wait import DEADLINE_S

LETTER = "/api/dlq/0190a0a0-5bf7-7c3e-8a4e-2f1d3c4b5a69"


@pytest.mark.parametrize(
    ("method", "code"), [("GET", "shutting_down"), ("DELETE", "outcome_unknown")]
)
async def test_a_request_that_is_cancelled_is_answered_once_and_nothing_is_logged(
    caplog, monkeypatch, method, code
):
    begun, going_on, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def hang(*_: object) -> None:
        begun.set()
        await going_on.wait()
        done.set()

    async with open_port(create_api) as port:
        monkeypatch.setattr(port.store, "dead_get", hang)
        monkeypatch.setattr(port.store, "dead_delete", hang)
        client = await port.connect()
        others = asyncio.all_tasks()
        await client.send(request(method, LETTER, None, "X-Request-Id: r-1"))
        await begun.wait()
        stop(port.state)
        answer = await client.answer()
        assert (answer.status, answer.json["code"]) == (503, code)
        assert (answer.headers["x-request-id"], answer.headers["connection"]) == ("r-1", "close")
        # What it asked for goes on, and what comes of it is dropped.
        going_on.set()
        await done.wait()
        assert await client.rest() == b""
        await port.until(lambda: asyncio.all_tasks() <= others)
    assert not caplog.records


def stop(state) -> None:
    """As uvicorn's server does, when the time for it is over."""
    for connection in tuple(state.connections):
        connection.shutdown()
    for task in tuple(state.tasks):
        task.cancel()


@pytest.mark.parametrize("has_answered", [True, False])
async def test_a_request_of_somebody_who_does_not_read_is_let_go_when_it_is_cancelled(has_answered):
    working, sending, never = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def app(_scope, _receive, send):
        working.set()
        if not has_answered:
            await never.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive():
        return {"type": "http.request"}

    async def send(_message):
        sending.set()
        await never.wait()

    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
    async with open_port() as port:
        served = Edge(app, port.context)(scope, receive, send)
        task = asyncio.get_running_loop().create_task(served)
        await (sending if has_answered else working).wait()
        task.cancel()
        await task
        assert sending.is_set()


async def test_what_was_published_on_a_websocket_is_answered_before_it_is_closed():
    async with open_port() as port:
        client = await port.connect()
        await client.send(REQUEST)
        await client.reader.readexactly(len(ANSWER))
        port.store.gate.clear()
        await client.send(frame(TEXT, said("a")))
        await port.store.appending.wait()
        (session,) = port.context.sessions
        session.announce_restart(0)
        # Nothing more is read: it is not published, and so it has no answer.
        await client.send(frame(TEXT, said("b")))
        port.store.gate.set()
        told = await told_until_closed(client)
        assert re.findall(rb'"type":"(\w+)"', told) == [b"closing", b"published"]
        assert b'"ref":"a"' in told
        assert port.last_seq == 1


async def test_what_was_read_before_the_restart_is_told_is_answered_before_the_close():
    count = 1_200
    async with open_port() as port:
        client = await port.connect()
        await client.send(REQUEST)
        await client.reader.readexactly(len(ANSWER))
        port.store.gate.clear()
        await client.send(b"".join(frame(TEXT, said(str(n))) for n in range(count)))
        (session,) = port.context.sessions
        await port.until(lambda: session.is_behind)
        await port.until(lambda: session._publish_count >= PUBLISHES_MAX_COUNT)
        session.announce_restart(0)
        port.store.gate.set()
        told = await told_until_closed(client)
        assert told.count(b'"type":"published"') == port.last_seq
        assert port.last_seq > PUBLISHES_MAX_COUNT


async def test_what_was_read_behind_a_subscribe_is_answered_before_the_close():
    async with open_port() as port:
        client = await port.connect()
        await client.send(REQUEST)
        await client.reader.readexactly(len(ANSWER))
        port.store.gate.clear()
        subscribe = json.dumps({"type": "subscribe", "topic": "another"}).encode()
        await client.send(frame(TEXT, subscribe) + frame(TEXT, said("a")))
        (session,) = port.context.sessions
        await port.until(lambda: session._kept)
        session.announce_restart(0)
        port.store.gate.set()
        told = await told_until_closed(client)
        assert told.count(b'"type":"published"') == port.last_seq == 1


async def told_until_closed(client: Client) -> bytes:
    """What a WebSocket is told before the close frame, which it answers; nothing comes after that."""
    code, told = CLOSE_RESTART.to_bytes(2, "big"), b""
    async with asyncio.timeout(DEADLINE_S):
        # More than `readuntil` keeps.
        while code + b"restart" not in told:
            told += await client.reader.read(1 << 16)
    await client.send(frame(CLOSE, code))
    assert await client.rest() == b""
    return told


def said(ref: str) -> bytes:
    return json.dumps({"type": "publish", "topic": TOPIC, "payload": 1, "ref": ref}).encode()
