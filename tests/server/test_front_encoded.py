"""Bodies with a content coding: refused with a code, wherever a body is taken, and the connection goes on."""

import gzip
import json
import re

import pytest

from conduit.server.rest.api import create_api
from tests.server.port import TOPIC, chunked, open_port, publish, request

BODY = gzip.compress(json.dumps({"topic": TOPIC, "payload": 1}).encode())


@pytest.fixture
async def port():
    async with open_port(create_api, max_batch_bytes=200_000, max_payload_bytes=10_000) as port:
        yield port


@pytest.fixture
async def client(port):
    return await port.connect()


async def assert_refused(client, sent: bytes) -> str:
    await client.send(sent)
    answer = await client.answer()
    assert (answer.status, answer.json["code"]) == (415, "unsupported_media_type"), sent[:80]
    assert (answer.headers["accept-encoding"], answer.json["field"]) == (
        "identity",
        "Content-Encoding",
    )
    assert "connection" not in answer.headers
    return str(answer.json["detail"])


async def test_every_route_that_takes_a_body_refuses_an_encoded_one(port, client):
    document = create_api(port.context).openapi()
    routes = [
        (method.upper(), re.sub(r"\{\w+\}", "x", path))
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if "requestBody" in operation
    ]
    assert {("POST", "/api/publish"), ("POST", "/api/publish/batch")} < set(routes)
    assert len(routes) > 6
    for method, path in routes:
        for query in ("", "?x=1"):
            sent = request(method, path + query, BODY, "Content-Encoding: gzip")
            assert "'gzip'" in await assert_refused(client, sent)
    await client.send(publish(1))
    assert (await client.answer()).json["seq"] == 1


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "br", "identity, gzip", "zstd", "x" * 50])
async def test_no_coding_is_taken(port, client, coding):
    await assert_refused(client, publish(1, f"Content-Encoding: {coding}"))
    assert port.last_seq == 0


@pytest.mark.parametrize("coding", ["identity", "Identity", "identity, identity", ""])
async def test_a_body_that_is_said_to_be_as_it_is_is_taken(client, coding):
    for seq in (1, 2, 3):
        await client.send(publish(seq, f"Content-Encoding: {coding}"))
        assert (await client.answer()).json["seq"] == seq


async def test_a_coding_without_a_body_is_passed_over(client):
    for sent in (
        request("GET", "/health", None, "Content-Encoding: gzip"),
        request("GET", "/health", b"", "Content-Encoding: gzip"),
    ):
        await client.send(sent)
        assert (await client.answer()).status == 200


async def test_an_encoded_body_may_come_in_chunks_and_others_around_it(port, client):
    head = request("POST", "/api/publish", None, "Content-Encoding: gzip", "X-Request-Id: r-1")
    encoded = head.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n") + chunked(BODY)
    await client.send(publish(1) + encoded + publish(2))
    assert (await client.answer()).json["seq"] == 1
    answer = await client.answer()
    assert (answer.status, answer.headers["x-request-id"]) == (415, "r-1")
    assert (await client.answer()).json["seq"] == 2


async def test_an_encoded_body_as_large_as_a_batch_hears_why_as_well(client):
    await assert_refused(
        client, request("POST", "/api/publish/batch", bytes(150_000), "Content-Encoding: gzip")
    )


async def test_who_wants_to_close_is_told_that_it_is_so(client):
    await client.send(publish(1, "Content-Encoding: gzip", "Connection: close"))
    answer = await client.answer()
    assert (answer.status, answer.headers["connection"]) == (415, "close")
    assert await client.rest() == b""
