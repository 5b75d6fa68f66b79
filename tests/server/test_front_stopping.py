"""Requests that still wait when the server has no more time to stop: uvicorn cancels them."""

import asyncio

import pytest

from conduit.server.rest.api import create_api
from conduit.server.rest.edge import Edge
from tests.server.port import open_port, request

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

    async def send(_message):
        sending.set()
        await never.wait()

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    task = asyncio.get_running_loop().create_task(Edge(app, "*")(scope, never.wait, send))
    await (sending if has_answered else working).wait()
    task.cancel()
    await task
    assert sending.is_set()
