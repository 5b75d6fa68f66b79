"""Messages that do not end, sockets that do not drain, and what all of them keep together."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from conduit.broker.deliver.large_starts import AT_ONCE_COUNT
from conduit.core.quota import Kind
from conduit.protocol.codes import CLOSE_LATE, CLOSE_TRY_LATER
from conduit.server.incoming import STEP_BYTES
from conduit.server.session import Session
from conduit.server.watched_socket import (
    BUFFER_KEPT_BYTES,
    BUFFER_KEPT_S,
    BUFFER_SHARED_BYTES,
    LOOK_EVERY_COUNT,
)
from tests.server import ways
from tests.server.peer import CONTINUATION, PING, PONG, TEXT, Peer, frame
from tests.server.port import TOPIC, Port, open_port
from tests.server.ticking import Ticking
from tests.server.ways import Raw

LATE_S = 30.0


OPEN: list[Raw] = []


@pytest.fixture(autouse=True)
def _closing() -> Iterator[None]:
    yield
    while OPEN:
        OPEN.pop().socket.close()


async def opened(port: Port) -> Raw:
    """A WebSocket that is closed with the test."""
    OPEN.append(await ways.opened(port))
    return OPEN[-1]


@asynccontextmanager
async def serving(**limits: int) -> AsyncIterator[Port]:
    """A port whose WebSockets end with the test, however it ends."""
    async with open_port(**limits) as port:
        try:
            yield port
        finally:
            for session in tuple(port.context.sessions):
                session.abort()


@pytest.fixture
async def port() -> AsyncIterator[Port]:
    async with serving() as port:
        yield port


def look(session: Session, *times: float) -> None:
    """Let it be looked at, at these times."""
    for now in times:
        for _ in range(LOOK_EVERY_COUNT):
            session.check(now)


async def session_of(port: Port, peer: Peer, *sent: bytes) -> Session:
    """The session of the only peer, when it has all that was sent."""
    (session,) = port.context.sessions
    assert isinstance(session, Session)
    await peer.send(*sent)
    return session


async def told(raw: Raw) -> str:
    """The code of the error that comes next but for pings."""
    while (received := await raw._received())[0] != TEXT:
        assert received[0] == PING
    return str(json.loads(received[1])["code"])


def publish_frame(size: int) -> bytes:
    said = {"type": "publish", "topic": TOPIC, "payload": "x" * size, "ref": "1"}
    return frame(TEXT, json.dumps(said).encode())


# A deadline ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [
        frame(TEXT, b"{" * 1_000)[:500],
        frame(TEXT, b"{" * 200_000)[:-1],
        frame(TEXT, b"{", fin=False),
        frame(TEXT, b"{" * 100_000, fin=False) + frame(CONTINUATION, b"{" * 9_000)[:-1],
        frame(TEXT, b"{}")[:1],
    ],
    ids=["part of a frame", "a large frame", "a fragment", "a fragment and a part", "a byte"],
)
async def test_a_message_that_does_not_come_whole_is_closed(port: Port, sent: bytes):
    raw = await opened(port)
    session = await session_of(port, raw, sent)
    await port.until(lambda: kept(session) == left_of(sent))
    look(session, 100.0, 100.1, 100.0 + LATE_S)
    assert not session.closing
    look(session, 100.2 + LATE_S)
    assert await told(raw) == "request_timeout"
    assert await raw.received_close() == CLOSE_LATE
    assert port.context.closings.counts["message"] == 1


def kept(session: Session) -> int:
    fragments = session.unfinished.data if session.unfinished else b""
    return len(fragments) + session._source.pending_bytes


def left_of(sent: bytes) -> int:
    """What has to be kept of it: the data of fragments, and a frame that is cut as it came."""
    size, rest = 0, sent
    while rest:
        length, head = rest[1] & 0x7F if len(rest) > 1 else 0, 6
        if length == 126:
            length, head = int.from_bytes(rest[2:4], "big"), 8
        elif length == 127:
            length, head = int.from_bytes(rest[2:10], "big"), 14
        if len(rest) < head + length or len(rest) < 2:
            return size + len(rest)
        size, rest = size + length, rest[head + length :]
    return size


async def test_fragments_and_pings_that_trickle_do_not_put_it_off(port: Port):
    raw = await opened(port)
    session = await session_of(port, raw, frame(TEXT, b"{", fin=False))
    await port.until(lambda: session.unfinished)
    for second in range(int(LATE_S) + 2):
        look(session, 100.0 + second)
        await raw.send(frame(CONTINUATION, b" ", fin=False), frame(PING))
        if session.closing:
            break
        assert (await raw._received())[0] in (PING, PONG)
    assert await told(raw) == "request_timeout"


async def test_who_is_always_in_the_middle_of_another_message_is_not_late(port: Port):
    raw = await opened(port)
    sent = publish_frame(1_000)
    session = await session_of(port, raw, sent[:500])
    for second in range(3 * int(LATE_S)):
        await port.until(lambda: session._source.pending_bytes == 500)
        look(session, 100.0 + second)
        await raw.send(sent[500:], sent[:500])
        await raw.hear("published")
    assert not session.closing


@pytest.mark.parametrize("is_fragment", [False, True])
@pytest.mark.parametrize("before", [[], [99.0]])
async def test_while_we_do_not_read_nobody_is_late(is_fragment: bool, before: list[float]):
    sent = frame(TEXT, b"{", fin=False) if is_fragment else publish_frame(1_000)[:500]
    async with serving(body_timeout_s=5) as port:
        raw = await opened(port)
        session = await session_of(port, raw, sent)
        await port.until(lambda: kept(session) == left_of(sent))
        look(session, *before)
        session._pause()
        look(session, 100.0, 110.0)
        session._resume()
        look(session, 111.0, 116.0)
        assert not session.closing
        look(session, 116.1)
        assert session.closing


# What is kept -------------------------------------------------------------------------------------


async def test_unfinished_messages_do_not_add_up():
    async with serving(connection_memory_max_bytes=10_000_000) as port:
        raws = []
        for _ in range(40):
            raws.append(await opened(port))
            await raws[-1].send(frame(TEXT, b"{" * 300_000)[:-1])
            assert port.context.memory.total_bytes <= 10_000_000
        await port.until(lambda: port.context.closings.counts["memory"] >= 20)
        await port.until(lambda: port.context.memory.total_bytes <= 10_000_000)
        newcomer = await opened(port)
        await newcomer.send(publish_frame(10))
        assert (await newcomer.hear("published"))["seq"] == 1


async def test_unfinished_messages_that_are_small_do_not_add_up_either():
    async with serving(connection_memory_max_bytes=400_000, max_batch_bytes=1) as port:
        bound = port.context.memory.max_bytes
        raws = [await opened(port) for _ in range(200)]
        for raw in raws:
            await raw.send(frame(TEXT, b"{" * 8_000)[:-1])
        await port.until(lambda: port.context.closings.counts["memory"])
        await port.until(lambda: pending_bytes(port) <= bound + 200 * STEP_BYTES)


def pending_bytes(port: Port) -> int:
    """What is there, whatever the quota knows."""
    return sum(one._source.pending_bytes for one in port.context.sessions if one._source)


async def test_what_waits_in_the_line_of_input_is_kept(port: Port):
    raw = await opened(port)
    (session,) = port.context.sessions
    port.context.intake.now = Ticking()
    await raw.send(frame(TEXT, b'{"type":"heartbeat"}') * 600)
    await port.until(lambda: session.is_behind)
    await port.until(lambda: port.context.memory.bytes_by_kind[Kind.MESSAGE] > STEP_BYTES)


async def test_who_was_told_of_and_has_nothing_any_more_is_known_to_with_the_next_check(port: Port):
    raw = await opened(port)
    sent = publish_frame(9_000)
    session = await session_of(port, raw, sent[:-1])
    await port.until(lambda: port.context.memory.total_bytes)
    await raw.send(sent[-1:])
    await raw.hear("published")
    session._checks_left = LOOK_EVERY_COUNT
    session.check(100.0)
    assert port.context.memory.total_bytes == 0


async def test_unfinished_fragments_do_not_add_up():
    async with serving(connection_memory_max_bytes=5_000_000, max_batch_bytes=400_000) as port:
        raws = [await opened(port) for _ in range(30)]
        for raw in raws:
            await raw.send(
                *[frame(TEXT if not n else 0, b"{" * 50_000, fin=False) for n in range(6)]
            )
            assert port.context.memory.total_bytes <= 5_000_000
        await port.until(lambda: port.context.closings.counts["memory"] >= 10)


async def test_who_has_to_give_way_is_told_to_try_later(port: Port):
    raw = await opened(port)
    session = await session_of(port, raw, frame(TEXT, b"{" * 100, fin=False))
    await port.until(lambda: session.unfinished)
    session.give_way(Kind.MESSAGE)
    assert await told(raw) == "overloaded"
    assert await raw.received_close() == CLOSE_TRY_LATER
    assert not session.is_lost
    await port.until(lambda: not port.context.sessions)


async def test_when_a_message_is_whole_nothing_is_kept_of_it(port: Port):
    raw = await opened(port)
    session = await session_of(port, raw, publish_frame(200_000)[:-1])
    await port.until(lambda: port.context.memory.bytes_by_kind[Kind.MESSAGE] > 200_000)
    await raw.send(publish_frame(200_000)[-1:])
    await raw.hear("published")
    look(session, 100.0, 101.0, 102.0)
    assert port.context.memory.total_bytes == 0
    raw.socket.close()


async def test_who_is_closed_keeps_nothing(port: Port):
    raw = await opened(port)
    await raw.send(frame(TEXT, b"{" * 300_000)[:-1])
    await port.until(lambda: port.context.memory.total_bytes > 300_000)
    raw.reset()
    await port.until(lambda: not port.context.sessions)
    assert port.context.memory.total_bytes == 0


async def test_what_a_slow_socket_has_not_taken_is_kept(port: Port):
    raw = await ways.subscribed(port)
    OPEN.append(raw)
    (session,) = port.context.sessions
    session.write(b"\x81\x00" * 2_000_000)
    unsent_bytes = session._transport.get_write_buffer_size()
    assert unsent_bytes
    look(session, 100.0)
    assert port.context.memory.bytes_by_kind[Kind.QUEUE] == 0
    look(session, 101.0)
    assert port.context.memory.bytes_by_kind[Kind.QUEUE] == unsent_bytes
    session.give_way(Kind.QUEUE)
    assert session.is_lost is False
    raw.reset()


# The buffer that frames are read into -------------------------------------------------------------


async def after_a_large_message(port: Port, raw: Raw) -> Session:
    session = await session_of(port, raw, publish_frame(200_000))
    await raw.hear("published")
    assert session._source.size_bytes > BUFFER_SHARED_BYTES
    return session


async def test_a_large_buffer_is_given_back_and_nothing_is_lost(port: Port):
    raw = await opened(port)
    for number in range(1, 4):
        session = await after_a_large_message(port, raw)
        look(session, 100.0 * number, 100.0 * number + 1)
        assert session._source.size_bytes <= BUFFER_KEPT_BYTES
        await raw.send(publish_frame(number))
        assert (await raw.hear("published"))["seq"] == 2 * number


async def test_a_buffer_with_something_in_it_is_not_given_back(port: Port):
    raw = await opened(port)
    session = await after_a_large_message(port, raw)
    sent = publish_frame(30_000)
    await raw.send(sent[:-1])
    await port.until(lambda: session._source.pending_bytes == len(sent) - 1)
    look(session, 100.0, 101.0, 110.0)
    assert session._source.size_bytes > BUFFER_SHARED_BYTES
    await raw.send(sent[-1:])
    assert (await raw.hear("published"))["seq"] == 2


async def test_a_buffer_that_is_in_use_all_the_time_is_given_back_now_and_then(port: Port):
    raw = await opened(port)
    session = await after_a_large_message(port, raw)
    for second in range(int(BUFFER_KEPT_S)):
        await raw.send(publish_frame(1))
        await raw.hear("published")
        look(session, 100.0 + second)
        assert session._source.size_bytes > BUFFER_SHARED_BYTES
    look(session, 101.0 + BUFFER_KEPT_S)
    assert session._source.size_bytes <= BUFFER_KEPT_BYTES


@pytest.mark.parametrize("size", [1, 100, 2_047, 2_048, 4_096, 65_536, 65_537, 250_000])
async def test_the_size_of_the_buffer_and_what_is_in_it_are_known(port: Port, size: int):
    raw = await opened(port)
    (session,) = port.context.sessions
    whole = publish_frame(250_000)
    await raw.send(whole[:size])
    await port.until(lambda: session._source.pending_bytes == size)
    await raw.send(whole[size:])
    await raw.hear("published")
    assert session._source.pending_bytes == 0
    await raw.send(*[publish_frame(n) for n in range(200)])
    for _ in range(200):
        await raw.hear("published")
    assert session._source.pending_bytes == 0


# What a start asks for ----------------------------------------------------------------------------


def subscribe_frame(count: int) -> bytes:
    positions = {f"gone.{number}": {"seq": 2} for number in range(count)}
    said = {"type": "subscribe", "topic": "gone.*", "start": {"positions": positions}}
    return frame(TEXT, json.dumps(said).encode())


async def test_starts_that_wait_for_their_turn_do_not_add_up():
    async with serving(connection_memory_max_bytes=10_000_000) as port:
        line = port.broker._room.starts.line
        for _ in range(AT_ONCE_COUNT):
            await line._slots.acquire()
        memory, sent = port.context.memory, subscribe_frame(9_000)
        raws = []
        while not port.context.closings.counts["memory"]:
            raws.append(await opened(port))
            await raws[-1].send(sent)
            assert len(raws) < 100
            assert memory.total_bytes <= 10_000_000
        assert memory.bytes_by_kind[Kind.MESSAGE] > 5_000_000
        for session in tuple(port.context.sessions):
            session.abort()
        await port.until(lambda: not port.context.sessions)
        assert memory.total_bytes == 0


async def test_gaps_that_are_not_read_are_told_to_the_quota(port: Port):
    raw = await opened(port)
    (session,) = port.context.sessions
    session.pause_writing()
    await raw.send(subscribe_frame(9_000))
    by_kind = port.context.memory.bytes_by_kind
    await port.until(lambda: by_kind[Kind.QUEUE] > 0)
    await port.until(lambda: by_kind[Kind.QUEUE] < 60 * 9_000)
    assert by_kind[Kind.QUEUE] > 30 * 9_000
    session.resume_writing()
    await port.until(lambda: session.gap_bytes == 0)
    look(session, 100.0)
    assert by_kind[Kind.QUEUE] == 0
