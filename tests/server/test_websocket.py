from __future__ import annotations

import asyncio
import gc
import logging
import socket
import tracemalloc
from collections.abc import Awaitable, Callable

import pytest

from conduit.core.liveness import DEFAULT_TIMING
from conduit.protocol.codec import text_frame
from tests.autobahn.echo_server import MAX_MESSAGE_BYTES, Upgrade
from tests.server.peer import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Peer,
    frame,
    happens,
    until_server_has_read,
)

# Messages -----------------------------------------------------------------------------------------


async def test_a_message_comes_whole_however_its_bytes_are_split(peer: Peer):
    for byte in frame(TEXT, "grüße".encode()):
        await peer.send(bytes([byte]))
    assert await peer.receive() == (TEXT, "grüße".encode())


async def test_frames_sent_with_the_upgrade_request_are_handled(
    connect: Callable[[bytes], Awaitable[Peer]],
):
    texts = [b"%d" % number * 500 for number in range(10)]
    peer = await connect(b"".join(frame(TEXT, text) for text in texts))
    assert [await peer.receive() for _ in texts] == [(TEXT, text) for text in texts]


async def test_fragments_become_one_message_with_control_frames_between_them(peer: Peer):
    euro = "€".encode()
    await peer.send(
        frame(TEXT, b"price: " + euro[:1], fin=False),
        frame(PING, b"between"),
        frame(CONTINUATION, euro[1:2], fin=False),
        frame(CONTINUATION, b"", fin=False),
        frame(PONG),
        frame(CONTINUATION, euro[2:]),
        frame(TEXT, b"next"),
    )
    assert await peer.receive() == (PONG, b"between")
    assert await peer.receive() == (TEXT, b"price: " + euro)
    assert await peer.receive() == (TEXT, b"next")


async def test_a_message_may_be_as_large_as_the_limit(peer: Peer):
    text = b"x" * MAX_MESSAGE_BYTES
    half = MAX_MESSAGE_BYTES // 2
    await peer.send(
        frame(TEXT, text), frame(TEXT, text[:half], fin=False), frame(CONTINUATION, text[half:])
    )
    assert await peer.receive() == (TEXT, text)
    assert await peer.receive() == (TEXT, text)


# A broken wire ------------------------------------------------------------------------------------

BROKEN = {
    "reserved bit 1": (1002, [frame(TEXT, b"a", rsv=4)]),
    "reserved bit 2": (1002, [frame(PING, rsv=2)]),
    "reserved bit 3": (1002, [frame(CLOSE, b"\x03\xe8", rsv=1)]),
    "unknown opcode": (1002, [frame(3)]),
    "unmasked frame": (1002, [b"\x81\x01a"]),
    "fragmented ping": (1002, [frame(PING, fin=False)]),
    "long ping": (1002, [frame(PING, b"x" * 126)]),
    "continuation of nothing": (1002, [frame(CONTINUATION, b"a")]),
    "message within a message": (1002, [frame(TEXT, b"a", fin=False), frame(TEXT, b"b")]),
    "text that is not UTF-8": (1007, [frame(TEXT, b"\xff")]),
    "surrogate": (1007, [frame(TEXT, b"\xed\xa0\x80")]),
    "text that ends within a character": (1007, [frame(TEXT, "€".encode()[:2])]),
    "fragments that end within a character": (
        1007,
        [frame(TEXT, b"a", fin=False), frame(CONTINUATION, "€".encode()[:2])],
    ),
    "bad fragment of an unfinished message": (
        1007,
        [frame(TEXT, b"\xf4", fin=False), frame(CONTINUATION, b"\x90", fin=False)],
    ),
    "frame over the limit": (1009, [frame(TEXT, b"x" * (MAX_MESSAGE_BYTES + 1))]),
    "fragments over the limit": (
        1009,
        [frame(TEXT, b"x" * MAX_MESSAGE_BYTES, fin=False), frame(CONTINUATION, b"x", fin=False)],
    ),
    "binary message": (1003, [frame(BINARY, b"\x00")]),
    "close without a whole code": (1002, [frame(CLOSE, b"\x03")]),
    "close with a reason that is not UTF-8": (1007, [frame(CLOSE, b"\x03\xe8\xff")]),
}


@pytest.mark.parametrize(("code", "frames"), BROKEN.values(), ids=BROKEN.keys())
async def test_a_broken_wire_is_closed_with_the_code_that_says_why(
    peer: Peer, code: int, frames: list[bytes]
):
    await peer.send(frame(TEXT, b"before"), *frames)
    # picows parses ahead; a good frame is answered all the same.
    assert await peer.receive() == (TEXT, b"before")
    assert await peer.received_close() == code
    await peer.send(frame(TEXT, b"void"), frame(CLOSE, code.to_bytes(2, "big")))
    peer.socket.shutdown(socket.SHUT_WR)
    assert await peer.ended()


async def test_a_peer_that_is_still_sending_learns_why_it_is_closed(peer: Peer):
    await peer.send(frame(TEXT, b"x" * (20 * MAX_MESSAGE_BYTES)))
    assert await peer.received_close() == 1009
    peer.socket.shutdown(socket.SHUT_WR)
    assert await peer.ended()


async def test_a_peer_that_goes_on_after_breaking_the_wire_is_dropped(peer: Peer):
    await peer.send(frame(3))
    assert await peer.received_close() == 1002
    assert await peer.received_end()
    peer.server.check(0.0)
    # Left alone, picows closes 10 ms after an error.
    loop = asyncio.get_running_loop()
    until = loop.time() + 0.05
    while loop.time() < until:
        await peer.send(b"\x00" * 1000)
    assert not peer.server.closed.is_set()
    peer.server.check(DEFAULT_TIMING.close_timeout_s)
    await happens(peer.server.closed)


async def test_an_error_of_the_subclass_closes_with_1011_and_is_logged(
    peer: Peer, caplog: pytest.LogCaptureFixture
):
    await peer.send(frame(TEXT, b"bug"))
    assert await peer.received_close() == 1011
    peer.socket.shutdown(socket.SHUT_WR)
    assert await peer.ended()
    assert "a bug in a session" in caplog.text


async def test_nothing_that_a_peer_does_reaches_the_log(
    peer: Peer, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    await peer.send(frame(3))
    assert await peer.received_close() == 1002
    peer.socket.shutdown(socket.SHUT_WR)
    assert await peer.ended()
    assert not caplog.records


# Closing ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        *[(code, code) for code in (1000, 1001, 1003, 1007, 1011, 1012, 1014, 3000, 4008, 4999)],
        *[(code, 1002) for code in (0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65535)],
    ],
)
async def test_a_close_is_answered_with_its_code_if_that_may_be_sent(
    peer: Peer, sent: int, answered: int
):
    await peer.send(frame(CLOSE, sent.to_bytes(2, "big") + b"reason"))
    assert await peer.received_close() == answered
    peer.socket.shutdown(socket.SHUT_WR)
    assert await peer.ended()


@pytest.mark.parametrize("count", [1, 2])
async def test_the_first_close_counts_and_an_empty_one_means_1000(peer: Peer, count: int):
    await peer.send(*[frame(CLOSE)] * count, frame(TEXT, b"void"))
    assert await peer.received_close() == 1000
    assert await peer.ended()


async def test_our_close_waits_for_the_answer_and_ignores_data_until_then(peer: Peer):
    peer.server.write(text_frame(b"last"))
    peer.server.pause_reading()
    peer.server.close(4001, "topic deleted")
    peer.server.close(4002)
    peer.server.write(text_frame(b"too late"))
    assert await peer.receive() == (TEXT, b"last")
    assert await peer.receive() == (CLOSE, b"\x0f\xa1topic deleted")
    await peer.send(frame(TEXT, b"void"), frame(PING), frame(CLOSE, b"\x0f\xa1"))
    assert await peer.ended()


async def test_an_unanswered_close_is_given_up_in_time(peer: Peer):
    peer.server.close(1012)
    peer.server.check(100.0)
    peer.server.check(100.0 + DEFAULT_TIMING.close_timeout_s - 0.1)
    assert await peer.received_close() == 1012
    assert not peer.server.closed.is_set()
    peer.server.check(100.0 + DEFAULT_TIMING.close_timeout_s)
    assert await peer.ended()
    peer.server.write(text_frame(b"void"))
    peer.server.close(1000)


# Peers that vanish --------------------------------------------------------------------------------


async def test_a_quiet_peer_is_pinged_and_lives_if_it_answers(peer: Peer):
    timing = DEFAULT_TIMING
    peer.server.check(0.0)
    peer.server.check(timing.ping_interval_s - 0.1)
    peer.server.check(timing.ping_interval_s)
    assert await peer.receive() == (PING, b"")
    await peer.send(frame(PONG))
    await until_server_has_read(peer)
    answered_at = timing.ping_interval_s + timing.pong_timeout_s
    peer.server.check(answered_at)
    peer.server.check(answered_at + timing.ping_interval_s - 0.1)
    await peer.send(frame(TEXT, b"alive"))
    assert await peer.receive() == (TEXT, b"alive")


async def test_a_peer_that_answers_no_ping_is_dropped(peer: Peer):
    timing = DEFAULT_TIMING
    peer.server.check(0.0)
    # A late sweep must not take the time that the peer has for its answer.
    late = timing.ping_interval_s + 60.0
    peer.server.check(late)
    assert await peer.receive() == (PING, b"")
    peer.server.check(late + timing.pong_timeout_s - 0.1)
    assert not peer.server.closing
    peer.server.check(late + timing.pong_timeout_s)
    assert await peer.ended()


@pytest.mark.parametrize("is_pinged", [False, True])
async def test_while_we_do_not_read_a_peer_is_not_silent(peer: Peer, is_pinged: bool):
    timing = DEFAULT_TIMING
    peer.server.check(0.0)
    now = timing.ping_interval_s
    if is_pinged:
        peer.server.check(now)
        assert await peer.receive() == (PING, b"")
    await peer.send(frame(TEXT, b"pause"))
    await happens(peer.server.paused)
    await peer.send(frame(PONG))
    for _ in range(10):
        now += timing.pong_timeout_s
        peer.server.check(now)
    assert not peer.server.closing
    peer.server.resume_reading()
    await until_server_has_read(peer)
    peer.server.check(now)
    # From now on it may be silent for as long as everybody.
    peer.server.check(now + timing.ping_interval_s - 0.1)
    await peer.send(frame(TEXT, b"no ping came"))
    assert await peer.receive() == (TEXT, b"no ping came")


async def test_a_peer_that_only_ends_its_stream_is_closed(peer: Peer):
    await peer.send(frame(TEXT, b"half", fin=False))
    peer.socket.shutdown(socket.SHUT_WR)
    assert await peer.ended()


# Memory -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [frame(PONG), frame(3)], ids=["sound", "broken"])
async def test_a_flood_is_read_in_bounded_memory(peer: Peer, first: bytes):
    flood = frame(PONG, b"x" * 100) * 100_000
    tracemalloc.start()
    await peer.send(first, flood)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # The client's copy of what it sends is of this process too.
    assert peak_bytes - len(flood) < 1024 * 1024


async def test_what_read_the_upgrade_request_is_let_go(peer: Peer):
    gc.collect()
    assert not any(isinstance(thing, Upgrade) for thing in gc.get_objects())
    assert not peer.server.closed.is_set()
