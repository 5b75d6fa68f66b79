"""`GET /ws` on the one port."""

import logging

import pytest

from tests.server.peer import ANSWER, REQUEST, TEXT, frame
from tests.server.port import Port, open_port, publish, request

HEARTBEAT = frame(TEXT, b'{"type":"heartbeat"}')
HEARTBEAT_ACK = b'\x81\x18{"type":"heartbeat_ack"}'
UPGRADE = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


@pytest.fixture
async def port():
    async with open_port() as port:
        yield port


@pytest.fixture
async def client(port):
    return await port.connect()


async def read(client, expected: bytes) -> None:
    assert await client.reader.readexactly(len(expected)) == expected


async def assert_is_a_session(port: Port, client) -> None:
    await client.send(HEARTBEAT)
    await read(client, HEARTBEAT_ACK)
    assert len(port.context.sessions) == 1
    assert not port.context.connections
    assert not port.state.connections


async def test_an_upgrade_becomes_a_session(port, client):
    await client.send(REQUEST)
    await read(client, ANSWER)
    await assert_is_a_session(port, client)


async def test_an_upgrade_may_have_a_query_and_come_byte_by_byte(port, client):
    for byte in REQUEST.replace(b"/ws", b"/ws?token=1"):
        await client.send(bytes([byte]))
    await read(client, ANSWER)
    await assert_is_a_session(port, client)


async def test_frames_may_come_with_the_upgrade(client):
    await client.send(REQUEST + HEARTBEAT + HEARTBEAT)
    await read(client, ANSWER + HEARTBEAT_ACK * 2)


async def test_publishes_before_an_upgrade_are_answered_first(port, client):
    port.store.gate.clear()
    await client.send(publish(1) + publish(2) + REQUEST + HEARTBEAT)
    await port.store.appending.wait()
    assert not port.context.sessions
    port.store.gate.set()
    assert [(await client.answer()).json["seq"] for _ in range(2)] == [1, 2]
    await read(client, ANSWER + HEARTBEAT_ACK)
    await assert_is_a_session(port, client)


async def test_an_upgrade_behind_a_request_to_the_app_waits_for_its_answer(port, client):
    await client.send(request("GET", "/slow") + REQUEST + HEARTBEAT)
    await port.slow_begun.wait()
    port.slow.set()
    assert (await client.answer()).json["path"] == "/slow"
    await read(client, ANSWER + HEARTBEAT_ACK)
    await assert_is_a_session(port, client)


async def test_an_upgrade_behind_more_than_may_wait_is_reached(port, client):
    port.store.gate.clear()
    count = 200
    await client.send(b"".join(publish(number) for number in range(count)) + REQUEST + HEARTBEAT)
    await port.store.appending.wait()
    port.store.gate.set()
    for number in range(count):
        assert (await client.answer()).json["seq"] == number + 1
    await read(client, ANSWER + HEARTBEAT_ACK)
    await assert_is_a_session(port, client)


async def test_a_session_begins_blocked_where_answers_before_it_are_unread(port, client):
    port.store.gate.clear()
    await client.send(publish(1) + REQUEST)
    await port.store.appending.wait()
    (front,) = port.context.connections
    # The transport says so when too much is unread, and again only when most of it was read.
    front.pause_writing()
    port.store.gate.set()
    await port.until(lambda: port.context.sessions)
    (session,) = port.context.sessions
    assert not session.writable
    session.resume_writing()
    assert (await client.answer()).status == 200
    await read(client, ANSWER)
    await assert_is_a_session(port, client)


async def test_ws_without_an_upgrade_is_426_and_the_connection_goes_on(client):
    await client.send(request("GET", "/ws", None, "X-Request-Id: r-1"), publish(1))
    answer = await client.answer()
    assert (answer.status, answer.json["code"]) == (426, "upgrade_required")
    assert answer.headers["upgrade"] == "websocket"
    assert answer.headers["x-request-id"] == "r-1"
    assert (await client.answer()).status == 200


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        ("Version: 13", "Version: 8", 426),
        ("Upgrade: websocket", "Upgrade: h2c", 426),
        ("Key: dGhl", "Key: x", 400),
        ("Sec-WebSocket-Key", "X-Key", 400),
        ("Connection: Upgrade", "Content-Length: 2\r\nConnection: Upgrade", 400),
    ],
)
async def test_a_bad_upgrade_is_refused_and_what_follows_is_not_read_as_http(
    port, client, old, new, status
):
    sent = request("GET", "/ws", None, *UPGRADE).decode().replace(old, new).encode()
    await client.send(sent + b"{}" + publish(1))
    answer = await client.answer()
    assert (answer.status, answer.headers["connection"].lower()) == (status, "close")
    assert await client.rest() == b""
    assert port.last_seq == 0


async def test_a_page_of_another_origin_is_told_403(port, client):
    await client.send(request("GET", "/ws", None, *UPGRADE, "Origin: https://evil.example"))
    answer = await client.answer()
    assert (answer.status, answer.json["code"]) == (403, "forbidden")
    assert await client.rest() == b""
    other = await port.connect()
    await other.send(request("GET", "/ws", None, *UPGRADE, "Origin: https://app.example"))
    await read(other, ANSWER)


async def test_http_1_0_cannot_upgrade(client):
    await client.send(REQUEST.replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert (await client.answer()).status == 426
    assert await client.rest() == b""


async def test_an_upgrade_while_stopping_is_503(port, client):
    port.context.is_stopping = True
    await client.send(REQUEST)
    answer = await client.answer()
    assert (answer.status, answer.json["code"]) == (503, "shutting_down")
    assert await client.rest() == b""


async def test_a_session_that_cannot_open_drops_its_connection_only(port, client, caplog):
    def broken(_tenant, _peer):
        raise RuntimeError("a bug in a session")

    port.broker.connect = broken
    await client.send(REQUEST)
    assert (await client.rest()).startswith(b"HTTP/1.1 101")
    assert [each.levelno for each in caplog.records].count(logging.ERROR) == 1
    other = await port.connect()
    await other.send(publish(1))
    assert (await other.answer()).status == 200
