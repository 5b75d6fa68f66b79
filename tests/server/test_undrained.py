"""Peers that read slowly or not at all."""

from __future__ import annotations

import asyncio

from conduit.core.liveness import DEFAULT_TIMING
from conduit.protocol.codec import text_frame
from conduit.server import kernel
from conduit.server.incoming import PIECE_BYTES
from conduit.server.websocket import WRITE_HIGH_BYTES, WRITE_MAX_BYTES
from tests.server.peer import (
    CLOSE,
    PING,
    PONG,
    TEXT,
    Peer,
    fill,
    frame,
    happens,
    until_server_has_read,
)


async def test_everything_arrives_in_the_order_of_writing(peer: Peer):
    texts = await fill(peer)
    assert peer.server.unsent_bytes > WRITE_HIGH_BYTES
    peer.server.write(text_frame(b"more"))
    peer.server.close(1001)
    assert [await peer.receive() for _ in texts] == [(TEXT, text) for text in texts]
    assert await peer.receive() == (TEXT, b"more")
    assert await peer.received_close() == 1001
    await peer.send(frame(CLOSE))
    assert await peer.ended()


async def test_a_socket_that_does_not_drain_is_closed_with_4008_and_then_dropped(peer: Peer):
    timing = DEFAULT_TIMING
    await fill(peer)
    peer.server.check(0.0)
    peer.server.check(timing.slow_timeout_s - 0.1)
    assert not peer.server.closing
    peer.server.check(timing.slow_timeout_s)
    assert peer.server.closing
    peer.server.check(timing.slow_timeout_s + timing.close_timeout_s - 0.1)
    assert not peer.server.closed.is_set()
    peer.server.check(timing.slow_timeout_s + timing.close_timeout_s)
    await happens(peer.server.closed)


async def all_is_sent(peer: Peer) -> None:
    """Some versions of uvloop send at the end of the turn."""
    for _ in range(1_000):
        if not peer.server.unsent_bytes:
            return
        await asyncio.sleep(0)
    raise AssertionError(peer.server.unsent_bytes)


async def read_some(peer: Peer, count: int) -> None:
    """Let the peer read until its system has taken so many bytes more; nothing more is taken from us."""
    unsent_bytes = peer.server.unsent_bytes
    until = peer.server.taken_bytes + count
    while peer.server.taken_bytes < until:
        await peer.receive()
    assert peer.server.unsent_bytes == unsent_bytes


async def test_who_reads_slowly_and_steadily_is_not_closed_while_the_system_takes_nothing_from_us(
    peer: Peer,
):
    timing = DEFAULT_TIMING
    await fill(peer)
    peer.server.check(0.0)
    await read_some(peer, int(timing.slow_timeout_s * timing.min_bytes_per_s))
    peer.server.check(timing.slow_timeout_s)
    assert not peer.server.closing
    peer.server.check(2 * timing.slow_timeout_s)
    assert peer.server.closing


async def test_who_reads_slowly_and_steadily_is_alive_although_our_ping_has_not_come_to_it(
    peer: Peer,
):
    timing = DEFAULT_TIMING
    # More than its system has room for, and less than ours takes.
    for _ in range(10):
        peer.server.write(text_frame(b"x" * 10_000))
    await all_is_sent(peer)
    peer.server.check(0.0)
    pinged = timing.ping_interval_s
    peer.server.check(pinged)
    await all_is_sent(peer)
    await read_some(peer, int(timing.pong_timeout_s * timing.min_bytes_per_s))
    peer.server.check(pinged + timing.pong_timeout_s)
    assert not peer.server.closing
    peer.server.check(pinged + 2 * timing.pong_timeout_s)
    await happens(peer.server.closed)


async def test_who_reads_slowly_and_steadily_gets_the_code_with_which_we_close(peer: Peer):
    timing = DEFAULT_TIMING
    texts = await fill(peer)
    unread = set(texts)
    peer.server.close(4001, "topic deleted")
    now = 0.0
    while now < timing.closing_max_s - timing.close_timeout_s:
        peer.server.check(now)
        now += timing.close_timeout_s
        until = peer.server.taken_bytes + timing.close_timeout_s * timing.min_bytes_per_s
        while peer.server.taken_bytes < until:
            _, text = await peer.receive()
            unread.remove(text)
    peer.server.check(now)
    for _ in range(len(unread)):
        assert (await peer.receive())[0] == TEXT
    assert await peer.received_close() == 4001


async def test_a_slow_subscriber_that_reads_in_the_end_gets_the_code(peer: Peer):
    texts = await fill(peer)
    peer.server.check(0.0)
    peer.server.check(DEFAULT_TIMING.slow_timeout_s)
    assert [await peer.receive() for _ in texts] == [(TEXT, text) for text in texts]
    assert await peer.receive() == (CLOSE, b"\x0f\xa8slow subscriber")


async def test_a_socket_that_drains_in_time_goes_on(peer: Peer):
    texts = await fill(peer)
    peer.server.check(0.0)
    for _ in texts:
        await peer.receive()
    assert peer.server.drained.is_set()
    assert peer.server.writable
    await fill(peer)
    peer.server.check(DEFAULT_TIMING.slow_timeout_s)
    assert not peer.server.closing


async def test_a_flood_of_pings_from_a_peer_that_does_not_read_takes_no_memory(peer: Peer):
    texts = await fill(peer)
    unsent_bytes = peer.server.unsent_bytes
    for number in range(50):
        await peer.send(*[frame(PING, b"%03d" % number * 40)] * 1000)
    await until_server_has_read(peer)
    assert peer.server.unsent_bytes <= unsent_bytes
    for _ in texts:
        assert (await peer.receive())[0] == TEXT
    assert await peer.receive() == (PONG, b"049" * 40)
    await peer.send(frame(TEXT, b"next"))
    assert await peer.receive() == (TEXT, b"next")


async def test_who_writes_on_regardless_loses_the_connection(peer: Peer):
    await fill(peer)
    for _ in range(WRITE_MAX_BYTES // 10_000 + 2):
        peer.server.write(text_frame(b"x" * 10_000))
    assert peer.server.closing
    assert peer.server.unsent_bytes < WRITE_MAX_BYTES + 2 * 10_000
    await happens(peer.server.closed)


async def test_while_reading_is_paused_what_was_read_already_is_all_that_comes(peer: Peer):
    text = frame(TEXT, b"x" * 94)
    await peer.send(frame(TEXT, b"pause"), *[text] * 1000)
    await happens(peer.server.paused)
    peer.send_until_refused(text)
    # "pause" is one of them.
    assert (peer.server.text_count - 1) * len(text) <= PIECE_BYTES


async def test_a_connection_that_is_closing_takes_no_more_even_when_it_drains(peer: Peer):
    texts = await fill(peer)
    peer.server.close(1000)
    for text in texts:
        assert await peer.receive() == (TEXT, text)
    assert (await peer.receive())[0] == CLOSE
    assert not peer.server.writable


async def test_the_answer_to_a_close_is_read_though_nothing_may_be_written_any_more(peer: Peer):
    peer.server.holds_back = True
    peer.server.close(1000)
    await peer.send(frame(CLOSE, b"\x03\xe8"))
    await happens(peer.server.closed)
    assert not peer.server.is_lost


async def test_of_a_socket_that_is_closed_nothing_is_known(peer):
    transport = peer.server._transport
    peer.server.abort()
    await happens(peer.server.closed)
    assert kernel.untaken_bytes(transport) == kernel.taken_bytes(transport) == 0
