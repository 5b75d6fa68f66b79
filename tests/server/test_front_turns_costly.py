"""Requests that are not small, whose last bytes come at once: few of them are begun in a turn of the loop."""

import asyncio
import json
from itertools import pairwise

import pytest

from conduit.core.quota import Kind
from conduit.server.front import SMALL_MAX_BYTES
from conduit.server.intake import ADMITTED_MAX_COUNTS, INPUT_MAX_S, SHARE_MAX_S, Lane
from tests.server.peer import ANSWER, REQUEST
from tests.server.port import chunked, open_port, publish, request
from tests.server.ticking import LOOKS_COUNT, Ticking

BATCH = "/api/publish/batch"
MESSAGES = json.dumps({"messages": [{"topic": "demo", "payload": 1}] * 2}).encode()
COUNT = 60
LOOKS_PER_TURN_COUNT = INPUT_MAX_S / SHARE_MAX_S * LOOKS_COUNT


@pytest.fixture
async def port():
    async with open_port() as port:
        port.context.intake.now = Ticking()
        yield port


async def most_in_a_turn(count) -> int:
    """How many more were begun in one turn at most, until all of them are."""
    counts = [0]
    while counts[-1] < COUNT:
        await asyncio.sleep(0)
        counts.append(count())
    return max(after - before for before, after in pairwise(counts))


async def all_but_the_last_byte(port, sent):
    clients = [await port.connect() for _ in range(COUNT)]
    for client in clients:
        await client.send(sent[:-1])
    await port.until(lambda: len(port.context.connections) == COUNT)
    await port.until(lambda: all(not one._framer.is_empty for one in port.context.connections))
    return clients


def fronts_begun(port):
    fronts = list(port.context.connections)
    return lambda: sum(one._taken_count == 1 and one._held is None for one in fronts)


@pytest.mark.parametrize(
    "sent",
    [
        request("POST", BATCH, MESSAGES),
        request("POST", BATCH, b"x" * 200),
        request("POST", BATCH, None, "Transfer-Encoding: chunked") + chunked(MESSAGES),
        publish("x" * SMALL_MAX_BYTES),
        publish("x" * SMALL_MAX_BYTES, topic=".."),
        REQUEST,
    ],
    ids=["batch", "batch refused", "batch chunked", "large", "large refused", "upgrade"],
)
async def test_a_turn_begins_what_it_has_time_for(port, sent):
    clients = await all_but_the_last_byte(port, sent)
    count = fronts_begun(port)
    for client in clients:
        client.writer.write(sent[-1:])
    assert await most_in_a_turn(count) <= LOOKS_PER_TURN_COUNT
    expected = ANSWER[:12] if sent is REQUEST else None
    for client in clients:
        if expected:
            assert await client.reader.readexactly(12) == expected
        else:
            assert (await client.answer()).status in (200, 400)


@pytest.mark.parametrize(
    ("path", "lane"),
    [("/echo", Lane.CONTROL), ("/metrics", Lane.SCRAPE), ("/health/ready", Lane.PROBE)],
)
async def test_a_turn_hands_few_requests_to_the_application(port, path, lane):
    sent = request("GET", path)
    clients = await all_but_the_last_byte(port, sent)
    count = fronts_begun(port)
    for client in clients:
        client.writer.write(sent[-1:])
    # What was read after a turn had begun may be admitted in it, and as many in the one after it.
    assert await most_in_a_turn(count) <= 2 * ADMITTED_MAX_COUNTS[lane]
    for client in clients:
        assert (await client.answer()).status == 201


async def test_probes_do_not_wait_for_other_requests(port):
    sent = request("GET", "/echo")
    clients = await all_but_the_last_byte(port, sent)
    prober = await port.connect()
    count = fronts_begun(port)
    for client in clients:
        client.writer.write(sent[-1:])
    prober.writer.write(request("GET", "/health"))
    assert (await prober.answer()).status == 201
    assert count() < COUNT / 2


async def test_what_waits_for_its_turn_is_answered_in_the_order_of_its_connection(port):
    kinds = [
        publish(1),
        request("POST", BATCH, MESSAGES),
        request("GET", "/echo"),
        publish("x" * 20_000),
    ]
    clients = [await port.connect() for _ in range(10)]
    for client in clients:
        client.writer.write(b"".join(kinds) * 5)
    for client in clients:
        answers = [await client.answer() for _ in range(20)]
        assert [answer.status for answer in answers] == [200, 200, 201, 200] * 5
        numbers = [
            number
            for answer in answers
            if answer.status == 200
            for number in [one["seq"] for one in answer.json.get("results", [answer.json])]
        ]
        assert numbers == sorted(numbers)


async def test_who_leaves_while_it_waits_is_forgotten_and_its_request_is_not_begun(port):
    sent = request("POST", BATCH, MESSAGES)
    clients = await all_but_the_last_byte(port, sent)
    fronts = list(port.context.connections)
    for client in clients:
        client.writer.write(sent[-1:])
    await port.until(lambda: any(one._held is not None for one in fronts))
    waiting = [one for one in fronts if one._held is not None]
    for one in waiting:
        one._transport.abort()
        one.connection_lost(None)
    await port.until(lambda: not any(one._waits_in for one in fronts))
    assert port.last_seq <= 2 * (COUNT - len(waiting))
    assert port.context.memory.total_bytes == 0


async def test_a_request_that_waits_for_its_turn_gives_way_with_503(port):
    sent = publish("x" * 100_000)
    clients = await all_but_the_last_byte(port, sent)
    fronts = list(port.context.connections)
    for client in clients:
        client.writer.write(sent[-1:])
    await port.until(lambda: any(one._held is not None for one in fronts))
    waiting = [one for one in fronts if one._held is not None]
    for one in waiting:
        one.give_way(Kind.REQUEST)
    statuses = [(await client.answer()).status for client in clients]
    assert statuses.count(503) == len(waiting)
    assert statuses.count(200) == COUNT - len(waiting)
    assert port.broker.stats.publish_errors["overloaded"] == len(waiting)
    port.sweep(1_000.0)
    assert port.context.memory.bytes_by_kind[Kind.REQUEST] == 0


@pytest.mark.parametrize("sent", [request("POST", BATCH, MESSAGES), request("GET", "/echo")])
async def test_what_waits_when_the_server_stops_or_the_client_has_sent_all_is_answered(port, sent):
    clients = await all_but_the_last_byte(port, sent)
    fronts = list(port.context.connections)
    for client in clients:
        client.writer.write(sent[-1:])
        client.writer.write_eof()
    await port.until(lambda: any(one._held is not None for one in fronts))
    for one in fronts:
        if one._held is not None:
            one.shutdown()
    for client in clients:
        assert (await client.answer()).status in (200, 201)
        assert await client.rest() == b""
