"""What the front does not answer itself goes through the ASGI app, and the connection comes back."""

import json
import socket
import struct

import pytest

from conduit.server import kernel
from conduit.server.outgoing import PIECE_BYTES
from tests.server.port import DATE, STREAM_COUNT, STREAM_PART, chunked, open_port, publish, request


@pytest.fixture
async def port():
    async with open_port() as port:
        yield port


@pytest.fixture
async def client(port):
    return await port.connect()


async def heard(client, sent: bytes):
    """What the app heard of a request."""
    await client.send(sent)
    answer = await client.answer()
    assert answer.status == 201
    assert answer.headers["date"] == DATE[1].decode()
    headers = [tuple(header) for header in answer.json["headers"]]
    assert len(dict(headers)) == len(headers)
    return {**answer.json, "headers": dict(headers)}


async def test_the_app_hears_the_whole_request(client):
    sent = request("PUT", "/a%20b?c=d&e", b"the body", "X-One: 1", "Accept:  */* ")
    said = await heard(client, sent)
    assert (said["method"], said["path"], said["query"]) == ("PUT", "/a b", "c=d&e")
    assert said["body"] == "the body"
    assert said["headers"] == {
        "host": "localhost",
        "x-one": "1",
        "accept": "*/*",
        "content-length": "8",
    }


async def test_a_body_that_comes_byte_by_byte_is_heard_whole(client):
    for byte in request("POST", "/echo", b"the body"):
        await client.send(bytes([byte]))
    assert (await client.answer()).json["body"] == "the body"


async def test_a_chunked_body_is_heard_with_its_length_and_without_its_trailers(client):
    body = chunked(b"the body", 3, b"Authorization: x\r\n")
    said = await heard(client, request("POST", "/echo", None, "Transfer-Encoding: chunked") + body)
    assert said["body"] == "the body"
    assert said["headers"] == {"host": "localhost", "content-length": "8"}


async def test_a_large_body_is_heard_whole(client):
    body = b"x" * 300_000
    assert (await heard(client, request("POST", "/echo", body)))["body"] == body.decode()


async def test_expect_100_continue_is_answered_once(client):
    sent = request("POST", "/echo", b"the body", "Expect: 100-continue")
    await client.send(sent[:-8])
    assert (await client.answer()).status == 100
    await client.send(sent[-8:])
    answer = await client.answer()
    assert (answer.status, answer.json["body"]) == (201, "the body")


@pytest.mark.parametrize("protocol", ["h2c", "websocket", "TLS/1.0"])
async def test_an_upgrade_that_is_not_for_us_is_passed_over(client, protocol):
    lines = (f"Upgrade: {protocol}", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AA")
    said = await heard(client, request("POST", "/echo", b"the body", *lines))
    assert said["body"] == "the body"
    assert "upgrade" not in said["headers"]
    assert (await heard(client, request("GET", "/next")))["path"] == "/next"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/publish"),
        ("POST", "/api/publish?x=1"),
        ("POST", "/api/publish/"),
        ("PUT", "/api/publish/batch"),
        ("POST", "/ws"),
        ("OPTIONS", "*"),
    ],
)
async def test_other_methods_and_queries_of_our_paths_are_the_apps(client, method, path):
    said = await heard(client, request(method, path))
    assert (said["method"], said["path"]) == (method, path.partition("?")[0])


async def test_publishes_and_other_requests_take_turns_on_one_connection(port, client):
    for number in range(1, 6):
        assert (await heard(client, request("GET", f"/{number}")))["path"] == f"/{number}"
        await client.send(publish(number))
        assert (await client.answer()).json["seq"] == number
    assert len(port.context.connections) == len(port.state.connections) == 1


async def test_requests_behind_a_slow_one_wait_for_it(port, client):
    await client.send(request("GET", "/slow") + publish(1) + request("GET", "/last"))
    await port.slow_begun.wait()
    other = await port.connect()
    await other.send(publish("other"))
    assert (await other.answer()).json["seq"] == 1
    assert port.last_seq == 1
    port.slow.set()
    assert (await client.answer()).json["path"] == "/slow"
    assert (await client.answer()).json["seq"] == 2
    assert (await client.answer()).json["path"] == "/last"


async def test_what_is_sent_behind_a_slow_request_stays_unread(port, client):
    count = 100
    await client.send(request("GET", "/slow"))
    await port.slow_begun.wait()
    client.writer.write(b"".join(publish("x" * 200_000) for _ in range(count)))
    (front,) = port.context.connections
    await port.until(lambda: not front._transport.is_reading())
    port.slow.set()
    assert (await client.answer()).status == 201
    for number in range(count):
        assert (await client.answer()).json["seq"] == number + 1


async def test_a_request_waits_for_the_commits_before_it(port, client):
    port.store.gate.clear()
    await client.send(publish(1) + request("GET", "/slow"))
    await port.store.appending.wait()
    assert not port.slow_begun.is_set()
    port.store.gate.set()
    await port.slow_begun.wait()
    assert (await client.answer()).json["seq"] == 1
    port.slow.set()
    assert (await client.answer()).json["path"] == "/slow"


async def test_a_long_answer_waits_for_a_reader(port, client):
    await client.send(request("GET", "/big?5000000") + publish(1))
    await port.until(lambda: port.context.connections)
    (front,) = port.context.connections
    await port.until(lambda: not front._writable)
    assert len((await client.answer()).body) == 5_000_000
    assert (await client.answer()).json["seq"] == 1


async def test_a_stream_of_the_app_waits_for_a_reader(port, client):
    await client.send(request("GET", "/stream"))
    await port.until(lambda: port.context.connections)
    (front,) = port.context.connections
    await port.until(lambda: not front._writable)
    await client.reader.readuntil(b"\r\n\r\n")
    assert port.streamed_count < STREAM_COUNT
    await client.reader.readexactly(STREAM_COUNT * len(STREAM_PART))
    await port.until(lambda: port.streamed_count == STREAM_COUNT)


async def test_the_app_hears_that_its_client_has_gone(port, client):
    await client.send(request("GET", "/listen"))
    await port.slow_begun.wait()
    reset_on_close = struct.pack("ii", 1, 0)
    client.writer.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, reset_on_close
    )
    client.writer.transport.abort()
    await port.until(port.heard_end.is_set)
    assert not port.context.connections


async def test_head_and_http_1_0_and_close_are_honoured(port):
    for sent in (
        request("GET", "/echo", None, "Connection: close"),
        request("GET", "/echo").replace(b"HTTP/1.1", b"HTTP/1.0"),
    ):
        client = await port.connect()
        await client.send(sent + publish(1))
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (201, "close")
        assert await client.rest() == b""
    assert port.last_seq == 0
    client = await port.connect()
    await client.send(request("HEAD", "/echo"), request("GET", "/next"))
    head = await client.reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 201 ")
    assert (await client.answer()).json["path"] == "/next"


async def test_the_app_may_answer_a_client_that_has_gone(port, client):
    await client.send(request("GET", "/slow"))
    await port.slow_begun.wait()
    client.writer.transport.abort()
    port.slow.set()
    await port.until(lambda: not port.context.connections)


async def test_a_client_that_has_shut_its_sending_side_still_gets_the_apps_answer(port, client):
    await client.send(request("GET", "/slow"))
    client.writer.write_eof()
    await port.slow_begun.wait()
    port.slow.set()
    assert (await client.answer()).json["path"] == "/slow"
    assert await client.rest() == b""


async def test_shutdown_waits_for_the_app(port, client):
    waiting = await port.connect()
    await heard(waiting, request("GET", "/before"))
    port.store.gate.clear()
    await waiting.send(publish(1) + request("GET", "/echo"))
    await port.store.appending.wait()
    await client.send(request("GET", "/slow"))
    await port.slow_begun.wait()
    for connection in tuple(port.state.connections):
        connection.shutdown()
    port.slow.set()
    port.store.gate.set()
    answer = await client.answer()
    assert (answer.status, answer.headers["connection"]) == (201, "close")
    assert await client.rest() == b""
    assert (await waiting.answer()).status == 200
    assert (await waiting.answer()).status == 201
    assert await waiting.rest() == b""
    assert not port.state.connections


async def test_a_malformed_request_behind_one_of_the_app_is_refused_after_its_answer(port, client):
    await client.send(request("GET", "/slow") + b"nonsense\r\n\r\n")
    await port.slow_begun.wait()
    port.slow.set()
    assert (await client.answer()).status == 201
    answer = await client.answer()
    assert (answer.status, json.loads(answer.body)["code"]) == (400, "invalid_request")
    assert await client.rest() == b""


# Answers that are larger than a socket takes at once ----------------------------------------------


async def unread_answer(port, size):
    client = await port.connect()
    await client.send(request("GET", f"/big?{size}"))
    await port.until(lambda: port.context.connections)
    (front,) = port.context.connections
    await port.until(lambda: front._unsent_bytes > 0)
    return client, front


async def test_of_a_large_answer_only_what_is_not_read_yet_is_kept():
    async with open_port() as port:
        client, front = await unread_answer(port, 30_000_000)
        assert front._transport.get_write_buffer_size() <= 3 * PIECE_BYTES
        while (unsent := front._unsent_bytes) > 1_000_000:
            while front._unsent_bytes == unsent:
                assert await client.reader.read(100_000)
            pieces = front._control.outgoing._pieces
            assert sum(len(piece) for piece in pieces) == front._control.outgoing.waiting_bytes


async def test_who_reads_slowly_is_not_cut_while_the_system_takes_nothing_more_from_us():
    async with open_port(unread_timeout_s=1.0, unread_min_bytes_per_s=10_000) as port:
        client, front = await unread_answer(port, 30_000_000)
        now, unsent = port.context.now(), front._unsent_bytes
        untaken = kernel.untaken_bytes(front._transport)
        front.sweep(now)
        while kernel.untaken_bytes(front._transport) > untaken - 50_000:
            assert await client.reader.read(50_000)
        assert front._unsent_bytes == unsent
        front.sweep(now + 2)
        assert not front._transport.is_closing()
        front.sweep(now + 4)
        assert front._transport.is_closing()


async def test_the_app_is_done_with_an_answer_that_is_not_read_yet():
    async with open_port() as port:
        _, front = await unread_answer(port, 30_000_000)
        await port.until(lambda: not port.state.tasks)
        assert front._unsent_bytes


async def test_what_follows_a_large_answer_comes_behind_it_and_byte_for_byte():
    async with open_port() as port:
        client, _ = await unread_answer(port, 20_000_000)
        await client.send(publish(1), request("GET", "/big?3000000"), publish(2))
        assert (await client.answer()).body == b"x" * 20_000_000
        assert (await client.answer()).json["seq"] == 1
        assert (await client.answer()).body == b"x" * 3_000_000
        assert (await client.answer()).json["seq"] == 2


async def test_while_pieces_wait_no_more_requests_are_taken():
    async with open_port() as port:
        client, front = await unread_answer(port, 30_000_000)
        while (unsent := front._unsent_bytes) > 1_000_000:
            while front._unsent_bytes == unsent:
                assert await client.reader.read(100_000)
            assert not (front._writable and front._control.outgoing._paused)


async def test_a_connection_that_ends_with_a_large_answer_ends_behind_it():
    async with open_port() as port:
        client = await port.connect()
        await client.send(request("GET", "/big?20000000", None, "Connection: close"))
        assert (await client.answer()).body == b"x" * 20_000_000
        assert await client.rest() == b""


async def test_while_it_stops_a_large_answer_is_written_to_its_end():
    async with open_port() as port:
        client, front = await unread_answer(port, 20_000_000)
        front.shutdown()
        assert (await client.answer()).body == b"x" * 20_000_000
        assert await client.rest() == b""


async def test_who_leaves_in_the_middle_of_a_large_answer_leaves_nothing():
    async with open_port() as port:
        client, front = await unread_answer(port, 20_000_000)
        outgoing = front._control.outgoing
        client.writer.transport.abort()
        await port.until(lambda: not port.context.connections)
        assert (outgoing.waiting_bytes, len(outgoing._pieces)) == (0, 0)
        assert port.context.memory.total_bytes == 0
