"""What a request has brought counts until it is answered, however that is, and is in memory no longer."""

import pytest

from conduit.core.quota import Kind
from conduit.server.rest.api import create_api
from tests.server.port import chunked, open_port, publish, request

BODY = b"x" * 200_000
CHUNKED = "Transfer-Encoding: chunked"


def batch(count):
    message = b'{"topic":"demo","payload":"%b"}' % (b"x" * 1_000)
    return b'{"messages":[%b]}' % b",".join([message] * count)


WAYS = {
    "no upgrade": (request("GET", "/ws", BODY), 400),
    "no upgrade, chunked": (request("GET", "/ws", None, CHUNKED) + chunked(BODY, 9_000), 400),
    "no such path": (request("POST", "/nowhere", BODY), 404),
    "no such path, chunked": (
        request("POST", "/nowhere", None, CHUNKED) + chunked(BODY, 9_000),
        404,
    ),
    "another method": (request("DELETE", "/health", BODY), 405),
    "a body that nobody reads": (request("GET", "/health", BODY), 200),
    "a probe that is refused": (request("GET", "/metrics?x=1", BODY), 400),
    "no JSON": (request("POST", "/api/topics", BODY), 400),
    "a preflight": (
        request(
            "OPTIONS",
            "/api/topics",
            BODY,
            "Origin: https://app.example",
            "Content-Type: application/json",
            "Access-Control-Request-Method: GET",
        ),
        204,
    ),
    "encoded": (request("POST", "/api/publish", BODY, "Content-Encoding: gzip"), 415),
    "a publish": (publish("x" * 200_000), 200),
    "a publish that is refused": (request("POST", "/api/publish", BODY), 400),
    "a publish that is served by the app": (request("POST", "/api/publish?x=1", BODY), 400),
    "a batch": (request("POST", "/api/publish/batch", batch(200)), 200),
    "a batch, chunked": (
        request("POST", "/api/publish/batch", None, CHUNKED) + chunked(batch(200), 9_000),
        200,
    ),
    "a batch that is refused": (request("POST", "/api/publish/batch", BODY), 400),
}


@pytest.fixture
async def port():
    async with open_port(create_api) as port:
        yield port


@pytest.mark.parametrize("way", WAYS)
async def test_nothing_is_kept_of_a_body_whose_request_is_answered(port, way):
    sent, status = WAYS[way]
    client = await port.connect()
    memory = port.context.memory.bytes_by_kind
    await client.send(sent[:-1])
    await port.until(lambda: memory[Kind.REQUEST] >= len(BODY) - 1)
    await client.send(sent[-1:])
    assert (await client.answer()).status == status
    (front,) = port.context.connections
    port.sweep(1_000.0)
    assert port.context.memory.total_bytes == 0
    assert front._framer.kept_bytes == 0
    assert front._control is None or not front._control.cycle.body


async def test_nothing_is_kept_of_the_body_of_a_refused_upgrade(port):
    client = await port.connect()
    await client.send(request("GET", "/ws", BODY, "Upgrade: websocket", "Connection: Upgrade"))
    assert (await client.answer()).status == 400
    port.sweep(1_000.0)
    assert port.context.memory.total_bytes == 0
