"""What a hostile client does: the attacks of `hostile`, each as bytes and what is done with them.

Nothing here opens a socket: `bench/attacking.py` does.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
from collections.abc import Callable

from bench import wire

TOPIC = "hostile"
# Of this one a page of 4 MiB can be asked for.
BIG_TOPIC = "big"
# Connections that are opened at once, where no more are wanted.
OPENING_COUNT = 256
# So much a server reads from a socket at once.
READ_BYTES = 1 << 16
PIPELINED_COUNT = 3_000
# As a payload too large, as a frame not: 256 and 320 KiB are the defaults.
FRAME_BYTES = 300_000
# CONDUIT_MAX_BATCH_BYTES.
BATCH_MAX_BYTES = 8_388_608
# Of its content; a byte comes as six, and all of them count against the limit.
CHUNKED_BYTES = BATCH_MAX_BYTES // 6 - 100
# Of the server that is attacked with silent connections, and of them.
CONNECTIONS_MAX_COUNT = 1_000
SILENT_COUNT = 1_500
# Frames whose mask is 0: a ping, one that continues a message, and one that begins it.
PING = b"\x89\x80\0\0\0\0"
CONTINUES = b"\x00\x80\0\0\0\0"
BEGINS = b"\x01\x81\0\0\0\0{"

_PUBLISH = b'{"type":"publish","topic":"hostile","payload":1}'
_SUBSCRIBE = wire.text_frame(b'{"type":"subscribe","topic":"hostile"}')
_CLOSE = "Connection: close"


class Then(enum.Enum):
    """What is done when the bytes were sent."""

    AGAIN = "they are sent again, as fast as they are taken"
    HOLD = "nothing: the connection stays"
    CLOSE = "the connection is closed, and another one opened"
    WAIT = "the answer is read until the server closes, and another connection is opened"
    TRICKLE = "they are sent at one byte a second, and not as fast as they are taken"
    VANISH = "a second later the connection takes nothing and says nothing, not even that it ends"


@dataclasses.dataclass(frozen=True)
class Attack:
    """So many connections that send the same bytes. For one that the server closes another is opened."""

    name: str
    unit: str
    """What is counted: frames, requests, connections."""
    block: Callable[[], bytes]
    """Makes the bytes, in the attacker's process."""
    then: Then
    connections: int = 1
    opened_max: int = 5_000
    """So many connections are opened in the end, and no more."""
    addresses: int = 1
    """They come from so many."""
    websocket: bool = False
    first: bytes = b""
    """Sent once on each WebSocket, before the block."""
    reads: bool = True
    """Whether what the server sends is read, and thrown away."""
    settings: tuple[tuple[str, str], ...] = ()
    """Of the server."""
    needs: str = ""
    """What the server has to hold: "messages", "letters" or nothing; what the attacker has to have: "tokens";
    or whose tokens the server has to take: a "provider"."""
    opening: int = OPENING_COUNT
    """Connections that are opened at once; beyond it, each waits for one that is open."""
    auth: bool = False
    """The server has authentication; who attacks is nobody, or one tenant, and the neighbour another."""
    known_mib: float = 0.0
    """What the server may keep of it for later: tokens that it knows."""
    upgrade_signed: bool = False
    """Whether a WebSocket's upgrade has the key."""
    drops: bool = False
    """Halfway the key is revoked, which drops all connections, and they come again with another key."""
    beside: str = ""
    """Another attack at the same time."""

    def count(self, block: bytes) -> int:
        """How many units are in a block."""
        if self.unit == "frames":
            return frame_count(block)
        return block.count(b" HTTP/1.1\r\n") if self.unit == "requests" else 1


# The bytes ----------------------------------------------------------------------------------------


def frame_count(data: bytes) -> int:
    """How many whole frames of a client this is. Raises ValueError if it is cut."""
    count = at = 0
    while at < len(data):
        size = data[at + 1] & 0x7F
        extended = {126: 2, 127: 8}.get(size, 0)
        if extended:
            size = int.from_bytes(data[at + 2 : at + 2 + extended], "big")
        at += 2 + extended + 4 + size
        count += 1
    if at != len(data):
        raise ValueError("the last frame is cut")
    return count


def one_read(*frames: bytes) -> bytes:
    """These frames in turn, as often as they fit into one read."""
    together = b"".join(frames)
    return together * (READ_BYTES // len(together))


def acks(count: int) -> bytes:
    """Acks of so many messages that do not exist, a frame each."""
    # Version 7, as those of messages.
    ids = (f"01a20504-8136-7000-921c-{number:012x}".encode() for number in range(count))
    return b"".join([wire.text_frame(b'{"type":"ack","message_id":"%b"}' % each) for each in ids])


def large_frame(missing: int = 0) -> bytes:
    """One frame of 300 KB, without so many of its last bytes."""
    head, tail = b'{"type":"publish","topic":"hostile","payload":"', b'"}'
    text = head + b"x" * (FRAME_BYTES - len(head) - len(tail)) + tail
    return wire.text_frame(text)[: -missing or None]


def unfinished_batch() -> bytes:
    """The largest batch, without its last bytes."""
    return wire.request("/api/publish/batch", b" " * BATCH_MAX_BYTES)[:-16]


def tiny_chunks(size: int) -> bytes:
    """A batch that comes in chunks of one byte each. It holds no message, and is refused."""
    begin, end = b'{"messages":[', b"]}"
    text = begin + b" " * (size - len(begin) - len(end)) + end
    head = (
        b"POST /api/publish/batch HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    return head + b"".join([b"1\r\n%c\r\n" % byte for byte in text]) + b"0\r\n\r\n"


def get(path: str, *headers: str) -> bytes:
    """A GET request."""
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: 127.0.0.1", *headers, "", ""]).encode()


# The attacks --------------------------------------------------------------------------------------


def attacks(short: bool) -> list[Attack]:
    """All of them; in the short form fewer connections are opened and closed."""
    return [*_of_frames(), *_of_requests(), *_that_hold(short), *_that_scan(), *_silent()]


def named(name: str, short: bool) -> Attack:
    """The attack with this name. Raises KeyError."""
    return {attack.name: attack for attack in attacks(short)}[name]


def _of_frames() -> list[Attack]:
    """Small frames, packed into large reads."""
    texts = (b"x", b"{}", _PUBLISH, b'{"type":"heartbeat"}')
    invalid, empty, publish, heartbeat = map(wire.text_frame, texts)
    several = (invalid, empty, publish, heartbeat, PING, acks(1))
    flood = functools.partial(Attack, unit="frames", then=Then.AGAIN, websocket=True)
    return [
        flood("invalid frames of 7 bytes", block=lambda: one_read(invalid)),
        flood("frames that are {}", block=lambda: one_read(empty)),
        flood("empty pings", block=lambda: one_read(PING)),
        flood("publish frames", block=lambda: one_read(publish)),
        flood(
            "acks of what does not exist",
            block=lambda: acks(READ_BYTES // len(acks(1))),
            first=_SUBSCRIBE,
        ),
        flood("empty fragments", block=lambda: one_read(CONTINUES), first=BEGINS),
        flood("frames of all kinds", block=lambda: one_read(*several), connections=16),
    ]


def _of_requests() -> list[Attack]:
    """Requests that cost more than their bytes."""
    publish = wire.request("/api/publish", b'{"topic":"hostile","payload":1}')
    flood = functools.partial(Attack, unit="requests", then=Then.AGAIN)
    return [
        flood("3,000 GET in a row", block=lambda: get("/health") * PIPELINED_COUNT),
        flood("3,000 publishes in a row", block=lambda: publish * PIPELINED_COUNT),
        flood("chunks of one byte", block=lambda: tiny_chunks(CHUNKED_BYTES), connections=2),
    ]


def _that_hold(short: bool) -> list[Attack]:
    """What has to be kept until more comes, or until it is read, or for nothing."""
    page = get(f"/api/topics/{BIG_TOPIC}/messages?limit=1000")
    hold = functools.partial(Attack, then=Then.HOLD)
    return [
        Attack(
            "300 KB each, then closed",
            "connections",
            large_frame,
            Then.CLOSE,
            connections=32,
            opened_max=2_000 if short else 12_000,
            websocket=True,
        ),
        hold(
            "unread answers of 4 MiB",
            "requests",
            lambda: page,
            connections=300,
            opened_max=1_000,
            reads=False,
            needs="messages",
        ),
        hold("unfinished batches", "requests", unfinished_batch, connections=150, opened_max=500),
        hold(
            "unfinished messages",
            "messages",
            lambda: large_frame(missing=1),
            connections=2_000,
            websocket=True,
        ),
    ]


def _that_scan() -> list[Attack]:
    """Questions for which all dead letters are looked at, or whose answers are long."""
    scan = functools.partial(Attack, then=Then.WAIT, connections=8, needs="letters")
    none, every = (get(f"/api/dlq?limit=500&q={q}", _CLOSE) for q in ("nobody-has-this", "order"))
    return [
        scan("dead letters that none is like", "requests", lambda: none),
        scan("dead letters that all are like", "requests", lambda: every),
    ]


def _silent() -> list[Attack]:
    """Connections on which nothing is sent, more than the server takes."""
    silent = functools.partial(
        Attack,
        unit="connections",
        block=lambda: b"",
        then=Then.HOLD,
        connections=SILENT_COUNT,
        opened_max=40 * SILENT_COUNT,
        settings=(("CONDUIT_MAX_CONNECTIONS", str(CONNECTIONS_MAX_COUNT)),),
    )
    return [
        silent("silent connections"),
        silent("silent connections of 16 addresses", addresses=16),
    ]
