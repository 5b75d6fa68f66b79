"""What one client sends at once over HTTP: some of it in each turn of the loop, and others between."""

import asyncio
import json
from itertools import pairwise

import pytest

from tests.server.peer import ANSWER, REQUEST, TEXT, frame
from tests.server.port import chunked, open_port, publish, request
from tests.server.ticking import LOOKS_COUNT, Ticking

BATCH = "/api/publish/batch"


@pytest.fixture
async def port():
    async with open_port() as port:
        port.context.intake.now = Ticking()
        yield port


@pytest.fixture
async def client(port):
    return await port.connect()


@pytest.mark.parametrize(
    "sent",
    [publish(1, topic=".."), publish("x" * 300_000), publish(1), request("POST", "/api/publish")],
    ids=["refused", "too large", "stored", "malformed"],
)
async def test_a_turn_has_no_more_than_some_requests_of_one_connection(port, client, sent):
    count = 200
    client.writer.write(sent * count)
    await port.until(lambda: port.context.connections)
    (front,) = port.context.connections
    taken = [0]
    while taken[-1] < count:
        await asyncio.sleep(0)
        taken.append(front._taken_count)
    assert max(after - before for before, after in pairwise(taken)) <= 2 * LOOKS_COUNT
    first = (await client.answer()).status
    assert [(await client.answer()).status for _ in range(count - 1)] == [first] * (count - 1)
    await port.until(front._transport.is_reading)


async def test_what_has_come_and_waits_for_its_turn_is_not_late(port, client):
    count = 200
    client.writer.write(publish(1, topic="..") * count)
    await port.until(lambda: port.context.connections)
    (front,) = port.context.connections
    await port.until(lambda: front._stalled and not front._unsent_bytes)
    late_s = port.context.limits.header_timeout_s + 1
    port.sweep(0, late_s, 2 * late_s)
    assert [(await client.answer()).status for _ in range(count)] == [400] * count


async def test_others_are_served_while_one_sends_requests_without_end(port, client):
    client.writer.write(publish(1, topic="..") * 2_000)
    await port.until(lambda: port.context.connections)
    (front,) = port.context.connections
    other = await port.connect()
    await other.send(request("GET", "/echo"))
    assert (await other.answer()).status == 201
    assert front._taken_count < 200


async def test_others_are_served_while_one_sends_tiny_chunks(port, client):
    body = json.dumps({"messages": [{"topic": "demo", "payload": "x" * 200_000}]}).encode()
    sent = request("POST", BATCH, None, "Transfer-Encoding: chunked") + chunked(body, 1)
    client.writer.write(sent)
    await port.until(lambda: port.context.connections)
    (front,) = port.context.connections
    await port.until(lambda: front._framer.phase.value == "body")
    other = await port.connect()
    await other.send(request("GET", "/echo"))
    assert (await other.answer()).status == 201
    assert front._taken_count == 0
    assert (await client.answer()).status == 200


async def test_requests_of_every_kind_that_wait_for_their_turn_are_answered_in_order(port, client):
    kinds = [
        publish(1),
        publish(1, topic=".."),
        request("GET", "/echo"),
        request("POST", "/api/publish", None, "Transfer-Encoding: chunked") + chunked(b"six"),
    ]
    expected = [200, 400, 201, 400]
    await client.send(b"".join(kinds) * 50)
    assert [(await client.answer()).status for _ in range(200)] == expected * 50
    await client.send(b"".join(kinds))
    assert [(await client.answer()).status for _ in range(4)] == expected


async def test_an_upgrade_behind_requests_that_wait_for_their_turn_goes_on_as_a_websocket(
    port, client
):
    await client.send(publish(1) * 100 + REQUEST + frame(TEXT, b'{"type":"heartbeat"}'))
    assert [(await client.answer()).status for _ in range(100)] == [200] * 100
    assert await client.reader.readexactly(len(ANSWER)) == ANSWER
    assert await client.reader.readexactly(2 + 24) == b'\x81\x18{"type":"heartbeat_ack"}'
