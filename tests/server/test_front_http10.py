"""Clients of HTTP/1.0: kept where they ask for it, and told so; else closed, and told that."""

import pytest

from conduit.server.rest.api import create_api
from tests.server.port import open_port, publish, request
from tests.server.test_front_head import addresses

KEEP = "Connection: keep-alive"
BATCH = b'{"messages":[{"topic":"demo","payload":1}]}'


@pytest.fixture
async def port():
    async with open_port(create_api) as port:
        yield port


@pytest.fixture
async def client(port):
    return await port.connect()


def old(sent: bytes) -> bytes:
    """The request as a client of HTTP/1.0 writes it."""
    return sent.replace(b" HTTP/1.1\r\nHost: localhost", b" HTTP/1.0")


# One of each way to an answer: receipt, refusal, batch, a body that is not read, the application.
KINDS = [
    (publish(1, KEEP), 200),
    (publish(1, KEEP, topic="unknown"), 404),
    (request("POST", "/api/publish/batch", BATCH, KEEP), 200),
    (publish(1, KEEP, "Content-Encoding: gzip"), 415),
    (request("GET", "/health", None, KEEP), 200),
    (request("GET", "/nowhere", None, KEEP), 404),
    (request("PUT", "/health", None, KEEP), 405),
    (request("GET", "/ws", None, KEEP), 426),
]


async def test_who_asks_to_be_kept_is_kept_and_told_so(client):
    for _ in range(2):
        for sent, status in KINDS:
            # The second time as one that repeats the last one.
            for _ in range(2):
                await client.send(old(sent))
                answer = await client.answer()
                assert (answer.status, answer.headers["connection"]) == (status, "keep-alive"), sent


async def test_pipelined_requests_are_answered_in_their_order_and_each_is_told(client):
    await client.send(b"".join(old(sent) for sent, _ in KINDS) + old(publish("last")) + publish(0))
    for _, status in KINDS:
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (status, "keep-alive")
    answer = await client.answer()
    assert (answer.json["seq"], answer.headers["connection"]) == (3, "close")
    assert await client.rest() == b""


@pytest.mark.parametrize(("sent", "status"), KINDS)
async def test_who_does_not_ask_is_closed_and_told_so(port, sent, status):
    for line in ("", "Connection: close\r\n", "Connection: keep-alive, close\r\n"):
        client = await port.connect()
        await client.send(old(sent).replace(f"{KEEP}\r\n".encode(), line.encode()))
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (status, "close")
        assert await client.rest() == b""


async def test_every_answer_has_a_length_since_http_1_0_knows_no_chunks(port, client):
    for path in set(addresses(create_api(port.context))) - {"/ws"}:
        for method in ("GET", "HEAD"):
            await client.send(old(request(method, path, None, KEEP)))
            answer = await client.answer(has_body=method == "GET")
            assert "content-length" in answer.headers
            assert "transfer-encoding" not in answer.headers
            assert answer.headers["connection"] == "keep-alive"


async def test_a_client_of_http_1_1_is_told_nothing(client):
    for sent, status in KINDS:
        await client.send(sent)
        answer = await client.answer()
        assert answer.status == status
        assert answer.headers.get("connection") == ("upgrade" if status == 426 else None)


async def test_an_upgrade_of_http_1_0_is_refused_and_what_follows_is_not_read_as_http(client, port):
    await client.send(old(request("GET", "/ws", None, KEEP, "Upgrade: websocket")) + publish(1))
    answer = await client.answer()
    assert (answer.status, answer.headers["connection"]) == (426, "close")
    assert await client.rest() == b""
    assert port.last_seq == 0


async def test_who_waits_while_the_server_stops_is_told_that_it_ends():
    async with open_port() as port:
        waiting, behind = await port.connect(), await port.connect()
        await waiting.send(old(request("GET", "/slow", None, KEEP)))
        await port.slow_begun.wait()
        port.store.gate.clear()
        await behind.send(old(publish(1, KEEP) + request("GET", "/echo", None, KEEP)))
        await port.store.appending.wait()
        for connection in tuple(port.state.connections):
            connection.shutdown()
        port.slow.set()
        port.store.gate.set()
        assert (await behind.answer()).headers["connection"] == "keep-alive"
        for client in (waiting, behind):
            assert (await client.answer()).headers["connection"] == "close"
            assert await client.rest() == b""
