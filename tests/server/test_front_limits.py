"""Floods, trickles, silence and deafness: each has a bound and an outcome with a name."""

import pytest

from conduit.server.connection import LINGER_S, REFUSED_MAX_COUNT
from conduit.server.context import Limits
from conduit.server.head import HEADERS_MAX_COUNT
from tests.server.port import open_port, publish, request

LIMITS = Limits()


@pytest.fixture
async def port():
    async with open_port() as port:
        yield port


@pytest.fixture
async def client(port):
    client = await port.connect()
    await port.until(lambda: port.context.connections)
    return client


async def assert_refused(client, status, code):
    answer = await client.answer()
    assert (answer.status, answer.json["code"]) == (status, code)
    assert answer.headers["connection"] == "close"
    assert await client.rest() == b""


# Heads --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/publish", "/echo"])
@pytest.mark.parametrize(
    "lines",
    [
        b"X-Flood: 0123456789abcdef\r\n" * 2_000,
        b"X: 1\r\n" * HEADERS_MAX_COUNT + b"\r\n",
        b"X-Long: " + b"x" * 40_000,
        b"x" * 40_000,
        b"X-Long: " + b"x" * 20_000 + b"\r\n\r\n",
    ],
    ids=["many without an end", "too many", "a long value", "a long name", "too long"],
)
async def test_a_flood_of_headers_is_431(client, path, lines):
    await client.send(b"POST %b HTTP/1.1\r\nHost: x\r\n" % path.encode() + lines)
    await assert_refused(client, 431, "headers_too_large")


async def test_a_flood_that_trickles_is_431_as_well(client):
    await client.send(b"GET /echo HTTP/1.1\r\nX-Long: ", *[b"x" * 1_000] * 20)
    await assert_refused(client, 431, "headers_too_large")


async def test_a_long_url_is_431(client):
    await client.send(request("GET", "/" + "x" * 9_000))
    await assert_refused(client, 431, "headers_too_large")


async def test_a_flood_behind_a_good_request_does_not_spoil_its_answer(port, client):
    await client.send(publish(1) + b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000)
    assert (await client.answer()).status == 200
    await assert_refused(client, 431, "headers_too_large")


# Bodies -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        ("/api/publish", LIMITS.max_frame_bytes),
        ("/echo", LIMITS.max_frame_bytes),
        ("/api/publish/batch?x", LIMITS.max_frame_bytes),
        ("/api/publish/batch", LIMITS.max_batch_bytes),
    ],
)
async def test_a_length_over_the_limit_is_413_before_the_body(client, path, limit):
    await client.send(request("POST", path, None, f"Content-Length: {limit + 1}"))
    await assert_refused(client, 413, "payload_too_large")


@pytest.mark.parametrize("path", ["/api/publish", "/echo"])
async def test_a_chunked_body_over_the_limit_is_413(client, path):
    client.writer.write(request("POST", path, None, "Transfer-Encoding: chunked"))
    client.writer.write((b"8000\r\n" + b" " * 0x8000 + b"\r\n") * 40)
    await assert_refused(client, 413, "payload_too_large")


# Deadlines ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [b"P", b"GET /echo HTTP/1.1\r\nHost:", publish(1)[:50]])
async def test_a_head_that_does_not_come_is_408(port, client, sent):
    await client.send(sent)
    (front,) = port.context.connections
    await port.until(lambda: front._framer.has_input)
    port.sweep(1_000.0, 1_000.0 + LIMITS.header_timeout_s)
    await client.send(b"x")
    port.sweep(1_000.1 + LIMITS.header_timeout_s)
    await assert_refused(client, 408, "request_timeout")


@pytest.mark.parametrize("path", ["/api/publish", "/echo"])
async def test_a_body_that_does_not_come_is_408(port, client, path):
    await client.send(request("POST", path, b"x" * 100)[:-50])
    (front,) = port.context.connections
    await port.until(lambda: front._framer.phase.value == "body")
    port.sweep(1_000.0, 1_000.0 + LIMITS.body_timeout_s)
    await client.send(b"x")
    port.sweep(1_000.1 + LIMITS.body_timeout_s)
    await assert_refused(client, 408, "request_timeout")


async def test_time_begins_anew_with_each_request(port, client):
    sent = publish(1)
    (front,) = port.context.connections
    for number in range(1, 6):
        await client.send(sent[:-1])
        await port.until(lambda: front._framer.phase.value == "body")
        port.sweep(1_000.0 * number, 1_000.0 * number + LIMITS.body_timeout_s)
        await client.send(sent[-1:])
        assert (await client.answer()).json["seq"] == number


@pytest.mark.parametrize("sent", [None, publish(1), request("GET", "/echo")])
async def test_an_idle_connection_is_closed_without_a_word(port, client, sent):
    if sent is not None:
        await client.send(sent)
        await client.answer()
    port.sweep(1_000.0, 1_000.0 + LIMITS.keep_alive_s)
    assert port.context.connections
    port.sweep(1_000.1 + LIMITS.keep_alive_s)
    assert await client.rest() == b""
    await port.until(lambda: not port.context.connections)


@pytest.mark.parametrize("slow", [publish(1), request("GET", "/slow")])
async def test_who_waits_for_an_answer_is_not_idle(port, client, slow):
    port.store.gate.clear()
    await client.send(slow)
    await port.until(lambda: port.store.appending.is_set() or port.slow_begun.is_set())
    port.sweep(1_000.0, 9_000.0)
    port.store.gate.set()
    port.slow.set()
    assert (await client.answer()).status in (200, 201)


async def test_who_was_told_the_end_and_stays_is_cut_off(port, client):
    await client.send(b"nonsense\r\n\r\n")
    await assert_refused(client, 400, "invalid_request")
    await client.send(b"x" * 100_000)
    port.sweep(1_000.0, 1_000.0 + LINGER_S)
    assert port.context.connections
    port.sweep(1_000.1 + LINGER_S)
    await port.until(lambda: not port.context.connections)


# Answers that nobody reads ------------------------------------------------------------------------


async def flooded(port, client):
    """The connection of a client that has asked for far more than it reads."""
    client.writer.write(request("GET", "/big?1000000") * 50)
    (front,) = port.context.connections
    await port.until(lambda: not front._writable and not front._transport.is_reading())
    return front


async def test_a_client_that_does_not_read_is_not_read_from_until_it_does(port, client):
    front = await flooded(port, client)
    for _ in range(50):
        assert len((await client.answer()).body) == 1_000_000
    assert front._transport.is_reading()


async def test_publishes_wait_while_their_answers_are_not_read(port, client):
    count = 20_000
    client.writer.write(request("POST", "/api/publish", b"") * count)
    (front,) = port.context.connections
    await port.until(lambda: not front._writable and not front._transport.is_reading())
    assert front._taken_count < count
    for _ in range(count):
        assert (await client.answer()).status == 400


async def test_a_client_that_reads_slowly_is_not_cut_off(port, client):
    await client.send(request("GET", "/stream"))
    (front,) = port.context.connections
    await port.until(lambda: not front._writable)
    for now in range(1_000, 2_000, 100):
        port.sweep(float(now))
        unsent = front._unsent_bytes
        while front._unsent_bytes in (0, unsent):
            assert await client.reader.read(100_000)
    assert port.context.connections


async def test_a_client_that_never_reads_is_cut_off(port, client):
    await flooded(port, client)
    port.sweep(1_000.0, 1_000.0 + LIMITS.keep_alive_s)
    assert port.context.connections
    port.sweep(1_000.1 + LIMITS.keep_alive_s)
    await port.until(lambda: not port.context.connections)


# Connections --------------------------------------------------------------------------------------


async def test_a_connection_too_many_is_503_and_others_do_not_notice():
    async with open_port(max_connections=2) as port:
        first, second, third = [await port.connect() for _ in range(3)]
        await third.send(publish(1))
        await assert_refused(third, 503, "overloaded")
        await second.send(publish(2))
        assert (await second.answer()).json["seq"] == 1
        first.writer.close()
        third.writer.close()
        await port.until(lambda: len(port.context.connections) == 1)
        fourth = await port.connect()
        await fourth.send(publish(3))
        assert (await fourth.answer()).json["seq"] == 2


async def test_a_storm_of_connections_is_dropped_without_a_word():
    async with open_port(max_connections=1) as port:
        clients = [await port.connect() for _ in range(REFUSED_MAX_COUNT + 5)]
        await port.until(lambda: len(port.context.connections) == REFUSED_MAX_COUNT + 1)
        assert (await clients[1].answer()).status == 503
        assert await clients[-1].rest() == b""
        await clients[0].send(publish(1))
        assert (await clients[0].answer()).status == 200
