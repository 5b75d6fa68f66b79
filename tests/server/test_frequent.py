"""More frames in a second than one WebSocket may send."""

import asyncio
import json

import pytest

from tests.server.peer import ANSWER, REQUEST, TEXT, frame
from tests.server.port import TOPIC, Client, Port, open_port
from tests.support.wait import DEADLINE_S

PING, PONG = 9, 10
MAX_COUNT = 50
SENT_COUNT = 1_000


@pytest.fixture
async def port():
    async with open_port(max_frames_per_s=MAX_COUNT) as port:
        yield port


async def connected(port: Port) -> Client:
    client = await port.connect()
    await client.send(REQUEST)
    await client.reader.readexactly(len(ANSWER))
    return client


async def turn(count: int = 50) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_what_comes_too_often_waits_for_the_next_second_and_none_is_lost(port):
    client = await connected(port)
    (session,) = port.context.sessions
    sent = [
        json.dumps({"type": "publish", "topic": TOPIC, "payload": number}).encode()
        for number in range(SENT_COUNT)
    ]
    client.writer.write(b"".join(frame(TEXT, text) for text in sent))
    await port.until(lambda: session.frames_left <= 0)
    await turn()
    stored, checks = port.last_seq, 0
    # But for what was in the piece that was being handled.
    assert stored < 4 * MAX_COUNT
    assert session.heard_until < 0
    assert port.broker.stats.frames_held_count == 1
    async with asyncio.timeout(DEADLINE_S):
        while port.last_seq < SENT_COUNT:
            before = port.last_seq
            session.check(1.0 + checks)
            checks += 1
            await port.until(lambda: session.frames_left <= 0 or port.last_seq == SENT_COUNT)
            await turn()
            assert port.last_seq - before < 4 * MAX_COUNT
    assert checks >= SENT_COUNT // (4 * MAX_COUNT)
    messages = await port.store.read(1, 1, limit=SENT_COUNT)
    assert [int(bytes(message.payload)) for message in messages] == list(range(SENT_COUNT))
    # Another connection is not held up by it, and this one is read again.
    session.check(100.0)
    assert session.heard_until > 0


async def test_control_frames_count_as_well(port):
    client = await connected(port)
    (session,) = port.context.sessions
    client.writer.write(frame(PING, b"x") * SENT_COUNT)
    await port.until(lambda: session.frames_left <= 0)
    await turn()
    assert session.heard_until < 0
    other = await connected(port)
    await other.send(frame(TEXT, b'{"type":"heartbeat"}'))
    assert b"heartbeat_ack" in await other.reader.readexactly(26)
    # All of them are read, or the end of the connection would not be noticed.
    for second in range(SENT_COUNT // MAX_COUNT):
        session.check(float(second))
        await turn()
    assert session.heard_until > 0


async def test_who_sends_less_is_never_held(port):
    client = await connected(port)
    (session,) = port.context.sessions
    for second in range(20):
        await client.send(frame(TEXT, b'{"type":"heartbeat"}') * (MAX_COUNT - 1))
        await client.reader.readexactly((MAX_COUNT - 1) * 26)
        session.check(float(second))
    assert port.broker.stats.frames_held_count == 0


async def test_a_socket_that_is_held_is_closed_as_any_other_at_the_stop(port):
    client = await connected(port)
    (session,) = port.context.sessions
    client.writer.write(frame(TEXT, b'{"type":"heartbeat"}') * SENT_COUNT)
    await port.until(lambda: session.frames_left <= 0)
    await turn()
    session.announce_restart(1)
    for second in range(200):
        if session.closing:
            break
        session.check(float(second))
        await turn()
    assert session.closing
