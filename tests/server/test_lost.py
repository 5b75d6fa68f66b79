"""Connections that end: which of them are lost, and which were closed."""

from __future__ import annotations

import socket

import pytest

from conduit.core.liveness import DEFAULT_TIMING
from conduit.protocol.codec import text_frame
from tests.autobahn.echo_server import MAX_MESSAGE_BYTES
from tests.server.peer import (
    CLOSE,
    CONTINUATION,
    PONG,
    TEXT,
    Peer,
    fill,
    frame,
    happens,
    until_server_has_read,
)


async def drop(peer: Peer, began: float = 0.0) -> None:
    """Let the time pass that the peer has to answer our close frame."""
    peer.server.check(began)
    peer.server.check(began + DEFAULT_TIMING.close_timeout_s)
    await happens(peer.server.closed)


async def test_a_connection_that_ends_without_a_close_frame_is_lost(peer: Peer):
    peer.socket.shutdown(socket.SHUT_WR)
    assert await peer.ended()
    assert peer.server.is_lost


async def test_a_connection_that_its_peer_closes_is_not_lost(peer: Peer):
    # Also if what the peer gives as its reason is that we have broken the wire.
    await peer.send(frame(CLOSE, b"\x03\xea"))
    assert await peer.received_close() == 1002
    assert await peer.ended()
    assert not peer.server.is_lost


@pytest.mark.parametrize("code", [1011, 1012, 4001, 4009])
async def test_a_connection_that_we_close_is_not_lost_even_without_an_answer(peer: Peer, code):
    peer.server.close(code)
    await drop(peer)
    assert not peer.server.is_lost


@pytest.mark.parametrize("answers", [True, False])
async def test_a_peer_that_breaks_the_wire_is_lost(peer: Peer, answers):
    await peer.send(frame(TEXT, b"x" * MAX_MESSAGE_BYTES, fin=False), frame(CONTINUATION, b"x"))
    assert await peer.received_close() == 1009
    if answers:
        await peer.send(frame(CLOSE, b"\x03\xf1"))
        assert await peer.ended()
    else:
        await drop(peer)
    assert peer.server.is_lost


async def test_a_peer_that_answers_no_ping_is_lost(peer: Peer):
    timing = DEFAULT_TIMING
    for at in (0.0, timing.ping_interval_s, timing.ping_interval_s + timing.pong_timeout_s):
        peer.server.check(at)
    await happens(peer.server.closed)
    assert peer.server.is_lost


async def closed_as_slow(peer: Peer) -> list[bytes]:
    """The socket has not drained for too long, and nothing came from the peer; returns what it may read."""
    texts = await fill(peer)
    peer.server.check(0.0)
    peer.server.check(DEFAULT_TIMING.slow_timeout_s)
    assert peer.server.closing
    return texts


async def test_a_slow_peer_that_neither_reads_nor_sends_is_lost(peer: Peer):
    await closed_as_slow(peer)
    await drop(peer, DEFAULT_TIMING.slow_timeout_s)
    assert peer.server.is_lost


async def test_a_slow_peer_that_dies_after_it_was_closed_is_lost(peer: Peer):
    await closed_as_slow(peer)
    peer.socket.close()
    await happens(peer.server.closed)
    assert peer.server.is_lost


async def test_a_slow_peer_that_sends_something_is_not_lost(peer: Peer):
    await fill(peer)
    peer.server.check(0.0)
    await peer.send(frame(PONG))
    await until_server_has_read(peer)
    peer.server.check(DEFAULT_TIMING.slow_timeout_s - 1)
    peer.server.check(DEFAULT_TIMING.slow_timeout_s)
    await drop(peer, DEFAULT_TIMING.slow_timeout_s)
    assert not peer.server.is_lost


async def test_a_slow_peer_that_reads_something_is_not_lost(peer: Peer):
    await closed_as_slow(peer)
    unsent_bytes = peer.server.unsent_bytes
    while peer.server.unsent_bytes == unsent_bytes:
        await peer.receive()
    # What it has read gives it time once more.
    peer.server.check(DEFAULT_TIMING.slow_timeout_s + DEFAULT_TIMING.close_timeout_s)
    await drop(peer, DEFAULT_TIMING.slow_timeout_s + DEFAULT_TIMING.close_timeout_s)
    assert not peer.server.is_lost


async def test_a_slow_peer_that_closes_in_the_end_is_not_lost(peer: Peer):
    for _ in await closed_as_slow(peer):
        await peer.receive()
    assert await peer.received_close() == 4008
    await peer.send(frame(CLOSE, b"\x0f\xa8"))
    assert await peer.ended()
    assert not peer.server.is_lost


async def test_a_slow_peer_that_hangs_after_it_was_slow_before_is_lost(peer: Peer):
    texts = await fill(peer)
    peer.server.check(0.0)
    peer.server.check(1.0)
    for _ in texts:
        await peer.receive()
    await happens(peer.server.drained)
    await fill(peer)
    peer.server.check(50.0)
    peer.server.check(50.0 + DEFAULT_TIMING.slow_timeout_s)
    await drop(peer, 50.0 + DEFAULT_TIMING.slow_timeout_s)
    assert peer.server.is_lost


async def test_a_peer_that_is_dropped_for_what_it_asks_for_and_does_not_read_is_not_lost(
    peer: Peer,
):
    await fill(peer)
    while not peer.server.closing:
        peer.server.write(text_frame(b"x" * 60_000))
    await happens(peer.server.closed)
    assert not peer.server.is_lost
