"""Chunked bodies: the same body however it is cut, and no more of it at a time than a turn has room for."""

from __future__ import annotations

import random

import pytest

from conduit.errors import InvalidRequest, LimitReached
from conduit.server.chunks import AT_ONCE_BYTES, LINE_MAX_BYTES, Chunks

MAX_BYTES = 1_000_000
END = b"0\r\n\r\n"


def decoded(*parts: bytes, max_bytes: int = MAX_BYTES) -> tuple[bytes, bytes]:
    """The body, and what is behind it; the parts come one after the other."""
    body, rest = bytearray(), b""
    chunks = Chunks(body, max_bytes)
    for part in parts:
        rest += part
        at = chunks.feed(rest, 0)
        while chunks.is_behind:
            at = chunks.feed(rest, at)
        rest = rest[at:]
    assert chunks.complete
    return bytes(body), rest


def chunk(data: bytes, line: bytes = b"%x\r\n") -> bytes:
    return line % len(data) + data + b"\r\n"


@pytest.mark.parametrize("size", [1, 2, 15, 16, 255, 256, 4_096, 100_000])
@pytest.mark.parametrize(
    "line", [b"%x\r\n", b"%X\r\n", b"000%x\r\n", b"%x;a=b\r\n", b'%x ; a="b c"\r\n']
)
@pytest.mark.parametrize("data", [b"x", b"\r\n", b"0\r\n\r\n"])
def test_chunks_of_any_size_and_content_are_one_body(size: int, line: bytes, data: bytes):
    one = (data * size)[:size]
    count = max(3, 20_000 // size)
    assert decoded(chunk(one, line) * count + END + b"GET /") == (one * count, b"GET /")


def test_trailers_are_dropped():
    trailers = b"X: a\r\nY:\r\nlong-name:\t b \xff\r\n"
    assert decoded(chunk(b"hello") + b"0\r\n" + trailers + b"\r\nrest") == (b"hello", b"rest")


def test_the_body_is_the_same_wherever_what_comes_is_cut():
    rng = random.Random(3)
    for _ in range(300):
        lines = (b"%x\r\n", b"%X;ext\r\n", b"0%x\r\n")
        parts = [rng.randbytes(rng.choice((1, 2, 3, 20, 300))) for _ in range(rng.randrange(1, 30))]
        wire = b"".join(chunk(part, rng.choice(lines)) for part in parts) + b"0\r\nX: y\r\n\r\n"
        cuts = sorted(rng.randrange(len(wire)) for _ in range(rng.randrange(12)))
        pieces = [wire[a:b] for a, b in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
        assert decoded(*pieces) == (b"".join(parts), b"")


def test_every_byte_may_come_alone():
    wire = chunk(b"hello") + chunk(b"\r\n", b"%x;a\r\n") + b"0;b\r\nX: y\r\n\r\n"
    assert decoded(*[wire[at : at + 1] for at in range(len(wire))]) == (b"hello\r\n", b"")


@pytest.mark.parametrize(
    "wire",
    [chunk(b"x"), chunk(b"\r\n"), chunk(b"x", b"%x;a\r\n"), chunk(b"x") + chunk(b"xy" * 300)],
    ids=["small", "line ends", "extensions", "of two sizes"],
)
def test_no_more_is_decoded_at_once_than_a_turn_has_room_for(wire: bytes):
    data = wire * 10_000
    chunks = Chunks(bytearray(), len(data))
    at, calls = 0, 0
    while at < len(data):
        before, at = at, chunks.feed(data, at)
        assert 0 < at - before < AT_ONCE_BYTES + 2 * len(wire)
        assert chunks.is_behind == (at < len(data))
        calls += 1
    assert calls <= len(data) // AT_ONCE_BYTES + 1


def test_trailers_are_decoded_no_more_at_once():
    chunks = Chunks(bytearray(), MAX_BYTES)
    assert chunks.feed(b"0\r\n" + b"a:b\r\n" * 10_000, 0) < AT_ONCE_BYTES + 10
    assert chunks.is_behind


@pytest.mark.parametrize(
    "wire",
    [
        b"1;" + b"x" * LINE_MAX_BYTES,
        b"0\r\nX: " + b"x" * LINE_MAX_BYTES,
        b"1;a\x00\r\n",
        b"1;a\rb",
        b"1\n",
        b"1 \r\n",
        b"1" * 16 + b"\r\n",
        b"0\r\n: a\r\n",
        b"0\r\nX y: a\r\n",
        b"0\r\n\n",
        b"1\r\nxx",
        b"1\r\nx\n",
    ],
    ids=repr,
)
def test_what_could_be_read_differently_is_refused_as_soon_as_it_comes(wire: bytes):
    with pytest.raises(InvalidRequest):
        Chunks(bytearray(), MAX_BYTES).feed(wire, 0)


def test_a_size_over_the_limit_is_refused_before_the_chunk_comes():
    with pytest.raises(LimitReached):
        Chunks(bytearray(), MAX_BYTES).feed(b"%x\r\n" % (MAX_BYTES + 1), 0)


def test_all_that_comes_counts_against_the_limit():
    wire = chunk(b"x") * 100 + END
    assert decoded(wire, max_bytes=len(wire)) == (b"x" * 100, b"")
    with pytest.raises(LimitReached):
        decoded(wire, max_bytes=len(wire) - 1)
