"""`HEAD` on the one port: what `GET` says, without a body."""

import re

import pytest
from fastapi import FastAPI

from conduit.server.rest.api import create_api
from tests.server.peer import ANSWER, REQUEST
from tests.server.port import TOPIC, open_port, publish, request
from tests.server.test_front_upgrade import UPGRADE

# Of which an answer a moment later has another length.
CHANGING = ("/metrics", "/api/stats", "/api/stats/history", "/api/stats/attention")


@pytest.fixture
async def port():
    async with open_port(create_api) as port:
        yield port


@pytest.fixture
async def client(port):
    return await port.connect()


def addresses(app: FastAPI) -> list[str]:
    """Every path of the application, with something in the place of names."""
    templates = [*app.openapi()["paths"], "/docs", "/openapi.json", "/ws", "/nowhere"]
    named = [path.replace("/topics/{name}", f"/topics/{TOPIC}") for path in templates]
    return [re.sub(r"\{\w+\}", "0190a0a0-5bf7-7c3e-8a4e-2f1d3c4b5a69", path) for path in named]


async def test_head_has_the_status_and_the_headers_of_get_everywhere_and_nothing_more(port, client):
    paths = addresses(create_api(port.context))
    assert len(paths) > 25
    for path in paths:
        await client.send(request("GET", path, None, "X-Request-Id: r-1"))
        got = await client.answer()
        await client.send(request("HEAD", path, None, "X-Request-Id: r-1"))
        head = await client.answer(has_body=False)
        assert got.body
        assert int(head.headers["content-length"]) > 0, path
        if path in CHANGING:
            got.headers["content-length"] = head.headers["content-length"]
        assert (head.status, head.headers) == (got.status, got.headers), path


async def test_what_follows_a_head_comes_right_behind_its_headers(port, client):
    head, get = request("HEAD", "/health"), request("GET", "/health/ready")
    await client.send(publish(1) + head + get + head + publish(2) + head + head)
    assert (await client.answer()).json["seq"] == 1
    assert (await client.answer(has_body=False)).status == 200
    assert (await client.answer()).json == {"status": "ready"}
    assert (await client.answer(has_body=False)).status == 200
    assert (await client.answer()).json["seq"] == 2
    for _ in range(2):
        assert (await client.answer(has_body=False)).status == 200
    await client.send(request("HEAD", "/health", None, "Connection: close"))
    assert (await client.answer(has_body=False)).headers["connection"] == "close"
    assert await client.rest() == b""


async def test_a_head_never_becomes_a_websocket_and_the_connection_goes_on(port, client):
    await client.send(request("HEAD", "/ws?x=1", None, *UPGRADE))
    answer = await client.answer(has_body=False)
    assert (answer.status, answer.headers["upgrade"]) == (426, "websocket")
    await client.send(REQUEST)
    assert await client.reader.readexactly(len(ANSWER)) == ANSWER


async def test_a_head_of_ws_while_stopping_is_503_as_a_get(port, client):
    port.context.is_stopping = True
    await client.send(request("HEAD", "/ws"))
    assert (await client.answer(has_body=False)).status == 503


async def test_a_probe_may_be_a_head_also_when_the_server_is_full():
    async with open_port(create_api, max_connections=1) as port:
        first, second = await port.connect(), await port.connect()
        await first.send(request("HEAD", "/health"))
        assert (await first.answer(has_body=False)).status == 200
        await second.send(request("HEAD", "/health/ready"))
        assert (await second.answer(has_body=False)).status == 200
        assert await second.rest() == b""
