"""Floods, trickles, silence and deafness: each has a bound and an outcome with a name."""

import pytest

from conduit.core.quota import Kind
from conduit.server.context import Limits
from conduit.server.head import HEADERS_MAX_COUNT
from conduit.server.watched import LINGER_S
from tests.server.port import assert_refused, open_port, publish, request

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
    limit_s = LIMITS.silent_timeout_s if sent is None else LIMITS.keep_alive_s
    port.sweep(1_000.0, 1_000.0 + limit_s)
    assert port.context.connections
    port.sweep(1_000.1 + limit_s)
    assert await client.rest() == b""
    assert port.context.closings.counts["silent"] == (sent is None)
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
    for now in range(1_000, 1_150, 10):
        port.sweep(float(now))
        unsent = front._unsent_bytes
        while front._unsent_bytes in (0, unsent):
            assert await client.reader.read(100_000)
    assert port.context.connections


async def test_a_client_that_never_reads_is_cut_off(port, client):
    await flooded(port, client)
    port.sweep(1_000.0, 1_000.0 + LIMITS.unread_timeout_s)
    assert port.context.connections
    port.sweep(1_000.1 + LIMITS.unread_timeout_s)
    await port.until(lambda: not port.context.connections)
    assert port.context.closings.counts["unread"] == 1


async def test_a_client_that_reads_a_few_bytes_now_and_then_is_cut_off(port, client):
    front = await flooded(port, client)
    for now in range(1_000, 1_000 + 2 * int(LIMITS.unread_timeout_s)):
        port.sweep(float(now))
        if port.context.closings.counts["unread"]:
            break
        unsent = front._unsent_bytes
        await client.reader.read(100)
        assert unsent - front._unsent_bytes < 1_000_000
    assert port.context.closings.counts["unread"] == 1
    await port.until(lambda: not port.context.connections)


# What all connections keep ------------------------------------------------------------------------


BODY_BYTES = 1_000_000


def half_a_batch():
    length = f"Content-Length: {BODY_BYTES + 1}"
    return request("POST", "/api/publish/batch", None, length) + b" " * BODY_BYTES


async def test_unfinished_bodies_do_not_add_up_and_who_is_done_in_time_does_not_notice():
    memory = {"connection_memory_max_bytes": 10_000_000, "max_batch_bytes": 1_100_000}
    async with open_port(**memory) as port:
        clients = [await port.connect() for _ in range(30)]
        for client in clients:
            await client.send(half_a_batch())
            assert port.context.memory.total_bytes <= 10_000_000
        await port.until(lambda: port.context.closings.counts["memory"] >= 20)
        refused = [one for one in clients[:20] if one.reader._buffer or one.reader.at_eof()]
        await assert_refused(refused[0], 503, "overloaded")
        newcomer = await port.connect()
        await newcomer.send(publish("x" * 200_000))
        assert (await newcomer.answer()).json["seq"] == 1


async def test_what_a_refused_body_had_brought_is_let_go_at_once():
    async with open_port(max_payload_bytes=1_000_000, max_batch_bytes=1_000_000) as port:
        client = await port.connect()
        await client.send(request("POST", "/echo", b"x" * 900_000)[:-1])
        (front,) = port.context.connections
        await port.until(lambda: port.context.memory.total_bytes == 899_999)
        front.give_way(Kind.REQUEST)
        port.sweep(1_000.0)
        assert front._framer.kept_bytes == 0
        assert port.context.memory.bytes_by_kind[Kind.REQUEST] == 0
        await assert_refused(client, 503, "overloaded")


async def test_unread_answers_do_not_add_up():
    async with open_port(connection_memory_max_bytes=10_000_000) as port:
        clients = [await port.connect() for _ in range(10)]
        for client in clients:
            await client.send(request("GET", "/big?8000000"))
        await port.until(lambda: port.context.closings.counts["memory"] >= 8)
        await port.until(lambda: len(port.context.connections) <= 2)
        assert port.context.memory.total_bytes <= 10_000_000
        newcomer = await port.connect()
        await newcomer.send(publish(1))
        assert (await newcomer.answer()).json["seq"] == 1


async def test_one_connection_keeps_no_more_than_one_may():
    async with open_port(max_bytes_per_connection=9_000_000) as port:
        client = await port.connect()
        await client.send(request("GET", "/big?20000000"))
        await port.until(lambda: port.context.closings.counts["memory"] == 1)
        await port.until(lambda: not port.context.connections)


async def test_when_all_is_read_and_answered_nothing_is_kept(port, client):
    await client.send(request("POST", "/slow", b"x" * 100_000))
    await port.until(port.slow_begun.is_set)
    port.sweep(1_000.0)
    assert port.context.memory.bytes_by_kind[Kind.REQUEST] == 100_000
    port.slow.set()
    assert (await client.answer()).status == 201
    await client.send(publish("x" * 200_000))
    assert (await client.answer()).status == 200
    port.sweep(1_001.0)
    assert port.context.memory.total_bytes == 0


async def test_answers_that_wait_for_an_earlier_one_are_kept_too(port, client):
    port.store.gate.clear()
    await client.send(publish(1), *[publish(2, topic="unknown") for _ in range(20)])
    (front,) = port.context.connections
    await port.until(lambda: len(front._slots) == 21)
    port.sweep(1_000.0)
    assert port.context.memory.bytes_by_kind[Kind.ANSWER] > 20 * 100
    port.store.gate.set()
    for _ in range(21):
        await client.answer()
    port.sweep(1_001.0)
    assert port.context.memory.total_bytes == 0


async def test_a_body_that_comes_steadily_stays_where_many_small_ones_stand_still(monkeypatch):
    memory = {"connection_memory_max_bytes": 4_000_000, "max_batch_bytes": 1_100_000}
    async with open_port(**memory) as port:
        now = [1_000.0]
        monkeypatch.setattr(port.context, "now", lambda: now[0])

        async def stand_still(count: int) -> None:
            kept_bytes = port.context.memory.bytes_by_kind[Kind.REQUEST]
            for _ in range(count):
                client = await port.connect()
                await client.send(request("POST", "/api/publish", b" " * 100_001)[:-1])
                await port.until(
                    lambda: port.context.memory.bytes_by_kind[Kind.REQUEST] != kept_bytes
                )

        await stand_still(28)
        steady = await port.connect()
        batch = b'{"messages":[' + b'{"topic":"demo","payload":1},' * 2 + b" " * 999_000
        batch += b'{"topic":"demo","payload":1}]}'
        head = request("POST", "/api/publish/batch", None, f"Content-Length: {len(batch)}")
        await steady.send(head)
        for at in range(0, len(batch), 100_000):
            now[0] += 1.0
            await steady.send(batch[at : at + 100_000])
            await stand_still(1)
        assert (await steady.answer()).status == 200
        assert port.context.closings.counts["memory"]
