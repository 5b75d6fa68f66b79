"""What one connection has sent is handled in pieces, in its order, and holds up nobody else."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable

import pytest

from conduit.core.liveness import DEFAULT_TIMING
from conduit.server.incoming import PIECE_BYTES, Incoming, frame_bytes
from conduit.server.intake import ADMITTED_MAX_COUNTS, READ_MAX_BYTES, SHARE_MAX_S, Lane
from tests.server.peer import (
    BINARY,
    CLOSE,
    CONTINUATION,
    DEADLINE_S,
    PING,
    PONG,
    TEXT,
    Peer,
    frame,
    happens,
    until_server_has_read,
)
from tests.server.ticking import LOOKS_COUNT

Connect = Callable[[bytes], Awaitable[Peer]]

EMPTY = frame(TEXT)
LOST_MAX_COUNT = ADMITTED_MAX_COUNTS[Lane.LOST]
# Around every number at which something begins or ends.
SIZES = sorted(
    {
        size + more
        for size in (1, 126, PIECE_BYTES, LOOKS_COUNT * PIECE_BYTES, READ_MAX_BYTES, 65_536)
        for more in (-15, -14, -8, -7, -6, -1, 0, 1, 7, 300)
        if size + more >= 0
    }
)


async def test_others_are_served_while_one_sends_frames_without_end(connect: Connect):
    flooding, other = await connect(b""), await connect(b"")
    flooding.send_until_refused(EMPTY * 20_000)
    await until_server_has_read(other)
    # The pieces of a turn or two, of the 10,000 and more that were there.
    assert flooding.server.text_count <= 3 * LOOKS_COUNT * PIECE_BYTES // len(EMPTY)


async def test_a_turn_has_no_more_than_some_pieces_of_one_connection(peer: Peer):
    counts = [0]
    await peer.send(EMPTY * (READ_MAX_BYTES // len(EMPTY)))
    while counts[-1] < READ_MAX_BYTES // len(EMPTY):
        await asyncio.sleep(0)
        counts.append(peer.server.text_count)
    most = max(after - before for before, after in itertools.pairwise(counts))
    # Of a frame that is cut in two the larger part came before.
    assert most <= LOOKS_COUNT * PIECE_BYTES // len(EMPTY) + 1


@pytest.mark.parametrize("is_cheap", [True, False])
async def test_what_is_cheap_is_given_in_larger_pieces(peer: Peer, monkeypatch, is_cheap: bool):
    incoming, given = peer.server._source, []
    give = Incoming.give
    monkeypatch.setattr(
        Incoming, "give", lambda self, piece: (given.append(len(piece)), give(self, piece))
    )
    # A piece of PIECE_BYTES takes next to nothing, or a third of the share.
    seconds = itertools.count(step=SHARE_MAX_S / (1_000 if is_cheap else 3))
    monkeypatch.setattr(incoming._intake, "now", lambda: next(seconds))
    incoming.take(memoryview(EMPTY * (READ_MAX_BYTES // len(EMPTY))))
    if is_cheap:
        assert given[:4] == [PIECE_BYTES << doubled for doubled in range(4)]
    else:
        assert set(given) == {PIECE_BYTES}


async def test_what_came_is_handled_in_its_order_wherever_it_is_cut(peer: Peer):
    rng = random.Random(7)
    texts = [b"%d " % size + b"x" * size for size in SIZES]
    for _ in range(2_000):
        texts.insert(rng.randrange(len(texts)), b"small %d" % rng.randrange(1_000))

    async def send() -> None:
        data = b"".join(frame(TEXT, text) for text in texts)
        at = 0
        while at < len(data):
            size = rng.choice((1, 5, 13, 700, 5_000, 20_000, 70_000))
            await peer.send(data[at : at + size])
            at += size

    async def receive() -> None:
        for text in texts:
            assert await peer.receive() == (TEXT, text)

    peer.server.holds_back = True
    await asyncio.gather(send(), receive())


@pytest.mark.parametrize(
    "before", [b"", EMPTY, EMPTY * 500], ids=["alone", "behind one", "behind many"]
)
@pytest.mark.parametrize("begun_bytes", [14, 900, 20_000])
async def test_of_a_long_frame_it_is_known_how_much_is_missing(
    peer: Peer, before: bytes, begun_bytes: int
):
    # So that it is given to picows as it comes, and not in pieces.
    text = b"x" * 100_000
    whole = frame(TEXT, text)
    incoming = peer.server._source
    await peer.send(before + whole[:begun_bytes])
    for _ in range(1_000):
        if incoming.pending_bytes == begun_bytes:
            break
        await asyncio.sleep(0)
    assert incoming._missing_bytes == len(whole) - begun_bytes
    await peer.send(whole[begun_bytes:])
    for _ in range(len(before) // len(EMPTY)):
        assert await peer.receive() == (TEXT, b"")
    assert await peer.receive() == (TEXT, text)
    assert (incoming.pending_bytes, incoming._missing_bytes) == (0, 0)


async def test_what_comes_with_the_upgrade_request_is_handled_in_pieces_too(connect: Connect):
    texts = [b"%d" % number for number in range(3_000)]
    peer = await connect(b"".join(frame(TEXT, text) for text in texts))
    assert peer.server.text_count < len(texts)
    for text in texts:
        assert await peer.receive() == (TEXT, text)


async def test_control_frames_between_fragments_survive_the_cuts(peer: Peer):
    part = b"y" * (PIECE_BYTES // 3)
    parts = [frame(TEXT, part, fin=False)]
    for number in range(40):
        parts += [frame(PING, b"%d" % number), frame(CONTINUATION, part, fin=False)]
    await peer.send(*parts, frame(CONTINUATION, b"end"))
    for number in range(40):
        assert await peer.receive() == (PONG, b"%d" % number)
    assert await peer.receive() == (TEXT, part * 41 + b"end")


async def test_while_a_session_takes_no_more_what_was_read_waits(peer: Peer):
    count = 1_000
    await peer.send(frame(TEXT, b"pause"), *[frame(TEXT, b"x" * 10)] * count)
    await happens(peer.server.paused)
    for _ in range(50):
        await asyncio.sleep(0)
    assert peer.server.is_behind
    assert peer.server.text_count <= PIECE_BYTES // 16 + 1
    peer.server.resume_reading()
    for _ in range(count):
        assert await peer.receive() == (TEXT, b"x" * 10)
    assert not peer.server.is_behind


@pytest.mark.parametrize("broken", [frame(3), frame(TEXT, b"\xff"), frame(BINARY)], ids=repr)
async def test_behind_what_broke_the_wire_everything_is_void(peer: Peer, broken: bytes):
    before = [frame(TEXT, b"good")] * 1_000
    await peer.send(*before, broken, *[frame(TEXT, b"void")] * 1_000)
    for _ in before:
        assert await peer.receive() == (TEXT, b"good")
    opcode, _ = await peer.receive()
    assert opcode == CLOSE
    assert peer.server.text_count == len(before)


@pytest.mark.parametrize("count", [2, 1_000])
async def test_behind_a_frame_for_which_we_close_everything_is_void(peer: Peer, count: int):
    await peer.send(EMPTY * count, frame(TEXT, b"close"), EMPTY * count)
    for _ in range(count):
        assert await peer.receive() == (TEXT, b"")
    assert await peer.received_close() == 1011
    await peer.send(frame(CLOSE, b"\x03\xf3"))
    await happens(peer.server.closed)
    assert peer.server.text_count == count + 1


async def test_behind_a_close_frame_everything_is_void(peer: Peer):
    await peer.send(EMPTY * 1_000, frame(CLOSE, b"\x03\xe8"), EMPTY * 1_000)
    for _ in range(1_000):
        assert await peer.receive() == (TEXT, b"")
    assert await peer.received_close() == 1000
    assert await peer.ended()
    assert peer.server.text_count == 1_000
    assert not peer.server.is_lost


async def until_behind(peer: Peer, *, is_behind: bool) -> None:
    """Turn the loop until all is handled that was read, or not all is."""
    for _ in range(100_000):
        if peer.server.is_behind == is_behind:
            return
        await asyncio.sleep(0)
    raise AssertionError("it stays as it is")


async def behind(peer: Peer, *frames: bytes) -> None:
    """All of these are read, and not all of them handled."""
    await peer.send(*frames)
    await until_behind(peer, is_behind=True)


async def test_what_was_read_before_the_connection_was_lost_is_handled(peer: Peer):
    await behind(peer, EMPTY * 1_000)
    peer.server._transport.abort()
    await happens(peer.server.closed)
    assert peer.server.text_count == 1_000
    assert peer.server.is_lost


async def test_also_if_the_session_took_no_more(peer: Peer):
    await peer.send(frame(TEXT, b"pause"), EMPTY * 1_000)
    await happens(peer.server.paused)
    peer.server._transport.abort()
    await happens(peer.server.closed)
    assert peer.server.text_count == 1_001


async def test_a_lost_connection_whose_last_frame_was_a_close_frame_is_closed(peer: Peer):
    await behind(peer, EMPTY * 1_000, frame(CLOSE, b"\x03\xe8"), EMPTY)
    peer.server._transport.abort()
    await happens(peer.server.closed)
    assert peer.server.text_count == 1_000
    assert not peer.server.is_lost


async def test_of_a_lost_connection_what_follows_a_broken_frame_is_void(peer: Peer):
    await behind(peer, EMPTY * 1_000, frame(TEXT, b"\xff"), EMPTY)
    peer.server._transport.abort()
    await happens(peer.server.closed)
    assert peer.server.text_count == 1_000


async def test_what_was_read_before_we_close_is_handled(peer: Peer):
    await behind(peer, EMPTY * 1_000, frame(CLOSE, b"\x03\xf4"))
    peer.server.close(1012, "restart")
    await happens(peer.server.closed)
    assert peer.server.text_count == 1_000


async def test_however_long_what_was_read_waits_it_is_handled_after_we_close(peer: Peer):
    await behind(peer, EMPTY * 1_000)
    peer.server.close(1012, "restart")
    for now in (0.0, 100.0, 200.0):
        peer.server.check(now)
    await until_behind(peer, is_behind=False)
    assert peer.server.text_count == 1_000
    peer.server.check(200.0)
    peer.server.check(200.0 + DEFAULT_TIMING.close_timeout_s)
    await happens(peer.server.closed)


async def test_what_is_read_after_we_close_is_void(peer: Peer):
    await behind(peer, EMPTY * 1_000)
    peer.server.close(1012, "restart")
    await until_behind(peer, is_behind=False)
    await peer.send(EMPTY * 1_000, frame(CLOSE, b"\x03\xf4"))
    await happens(peer.server.closed)
    assert peer.server.text_count == 1_000


async def test_what_was_read_is_void_if_the_connection_is_dropped(peer: Peer):
    await behind(peer, EMPTY * 1_000)
    peer.server.abort()
    await happens(peer.server.closed)
    assert peer.server.text_count < 1_000


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65_535, 65_536, 300_000])
def test_the_beginning_of_a_frame_says_how_long_it_is(length: int):
    whole = frame(TEXT, b"x" * length)
    assert frame_bytes(memoryview(whole)) == len(whole)
    head_bytes = len(whole) - length - 4
    for count in range(head_bytes):
        assert frame_bytes(memoryview(whole[:count])) == 0
    assert frame_bytes(memoryview(whole[:head_bytes])) == len(whole)


WHOLE = frame(TEXT, b"x" * 5_000)
PARTS = frame(TEXT, b"x" * 5_000, fin=False), frame(CONTINUATION, b"x")


@pytest.mark.parametrize(
    ("before", "last"),
    [
        (WHOLE[:-1], WHOLE[-1:]),
        PARTS,
        (PARTS[0] + PARTS[1][:1], PARTS[1][1:]),
    ],
    ids=["a frame", "fragments", "half a fragment"],
)
async def test_long_messages_that_many_end_at_once_are_handled_in_as_many_turns(
    connect: Connect, before: bytes, last: bytes
):
    peers = [await connect(b"") for _ in range(40)]
    for peer in peers:
        await peer.send(before)
        for _ in range(1_000_000):
            begun = peer.server.unfinished
            begun_bytes = 0 if begun is None else len(begun.data)
            if peer.server._source.pending_bytes + begun_bytes >= 4_999:
                break
            await asyncio.sleep(0)
    for peer in peers:
        peer.socket.send(last)
    counts = [0]
    async with asyncio.timeout(DEADLINE_S):
        while counts[-1] < len(peers):
            await asyncio.sleep(0)
            counts.append(sum(peer.server.text_count for peer in peers))
    # What has its share of a turn, and what had to wait for this one.
    assert (
        max(after - before for before, after in itertools.pairwise(counts)) <= 2 * LOOKS_COUNT + 2
    )


async def test_of_many_that_are_lost_at_once_some_are_told_in_each_turn(connect: Connect):
    peers = [await connect(b"") for _ in range(3 * LOST_MAX_COUNT)]
    for peer in peers:
        peer.server._transport.abort()
    counts = [0]
    async with asyncio.timeout(DEADLINE_S):
        while counts[-1] < len(peers):
            await asyncio.sleep(0)
            counts.append(sum(peer.server.closed.is_set() for peer in peers))
            # Nothing is for them any more.
            for peer in peers:
                peer.server.write(b"\x81\x00")
                peer.server.check(1.0)
    assert max(after - before for before, after in itertools.pairwise(counts)) == LOST_MAX_COUNT
    assert all(peer.server.is_lost for peer in peers)
