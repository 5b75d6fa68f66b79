"""What `server/handshake.py` relies on in a class that picows does not document.

A new version of picows in which one of these fails changes what the server does on the wire, or what a
connection costs; `pyproject.toml` keeps to the versions that were tried.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Iterator

import pytest
from picows import WSAutoPingStrategy, WSFrame, WSListener, WSMsgType, WSTransport
from picows.picows import WSProtocol

BUFFER_BYTES = 2048
FRAME_MAX_BYTES = 1000
REQUEST = (
    b"GET / HTTP/1.1\r\nHost: conduit\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class Transport:
    """The little of a transport that picows is shown."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        # picows sets an option of it, and writes by the transport as long as that has something to write.
        self.socket = socket.socket()

    def get_extra_info(self, name: str) -> object:
        return self.socket if name == "socket" else None

    def get_write_buffer_size(self) -> int:
        return 1

    def write(self, data: bytes) -> None:
        self.written.append(bytes(data))

    def close(self) -> None:
        self.written.append(b"(closed)")


class Listener(WSListener):
    def __init__(self) -> None:
        self.frames: list[tuple[WSMsgType, bytes, bool]] = []
        self.transport: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.get_payload_as_bytes() == b"fail":
            raise RuntimeError("fail")
        self.frames.append((frame.msg_type, frame.get_payload_as_bytes(), frame.fin))


class Connection:
    """A protocol that has answered the handshake, made as the server makes it."""

    def __init__(self) -> None:
        self.listener, self.transport = Listener(), Transport()
        self.protocol = WSProtocol(
            host_port=None,
            ws_path=None,
            is_client_side=False,
            ws_listener_factory=lambda _request: self.listener,
            logger=logging.getLogger("tests.picows"),
            disconnect_on_exception=True,
            websocket_handshake_timeout=None,
            enable_auto_ping=False,
            auto_ping_idle_timeout=0,
            auto_ping_reply_timeout=0,
            auto_ping_strategy=WSAutoPingStrategy.PING_WHEN_IDLE,
            enable_auto_pong=False,
            max_frame_size=FRAME_MAX_BYTES,
            extra_headers=None,
            read_buffer_init_size=BUFFER_BYTES,
        )
        self.protocol.connection_made(self.transport)
        self.feed(REQUEST)

    def feed(self, data: bytes) -> None:
        while data:
            buffer = self.protocol.get_buffer(len(data))
            count = min(len(buffer), len(data))
            buffer[:count] = data[:count]
            buffer.release()
            self.protocol.buffer_updated(count)
            data = data[count:]


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    connection = Connection()
    with connection.transport.socket:
        yield connection


def frame(kind: int, payload: bytes, *, fin: bool = True) -> bytes:
    """A masked frame; the mask is zero."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytes([kind | (0x80 if fin else 0)]) + length + bytes(4) + payload


def closes(written: list[bytes]) -> Iterator[int]:
    """The codes of the close frames."""
    return (int.from_bytes(data[2:4], "big") for data in written if data[:1] == b"\x88")


async def test_it_answers_the_handshake_by_its_transport_and_hands_over_its_records(
    connection: Connection,
) -> None:
    (answer,) = connection.transport.written
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in answer
    assert connection.protocol.transport is connection.listener.transport
    for records in (connection.protocol.transport.request, connection.protocol.transport.response):
        records.headers.clear()


async def test_frames_come_to_the_listener_one_by_one_and_unmasked(connection: Connection) -> None:
    connection.feed(frame(1, b"a") + frame(1, b"b", fin=False) + frame(0, b"c"))
    assert connection.listener.frames == [
        (WSMsgType.TEXT, b"a", True),
        (WSMsgType.TEXT, b"b", False),
        (WSMsgType.CONTINUATION, b"c", True),
    ]


async def test_pings_are_left_to_the_listener(connection: Connection) -> None:
    connection.feed(frame(9, b"p"))
    assert connection.listener.frames == [(WSMsgType.PING, b"p", True)]
    assert len(connection.transport.written) == 1


async def test_it_starts_no_task_and_no_timer(connection: Connection) -> None:
    connection.feed(frame(1, b"a"))
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert not connection.listener.transport.is_disconnected


async def test_its_buffer_is_as_large_as_it_was_told(connection: Connection) -> None:
    buffer = connection.protocol.get_buffer(-1)
    assert 0 < len(buffer) <= BUFFER_BYTES
    buffer.release()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(1, b"x" * (FRAME_MAX_BYTES + 1)), 1009),
        (frame(3, b""), 1002),
        (frame(1, b"fail"), 1011),
    ],
)
async def test_what_it_refuses_is_a_close_frame_on_its_transport(
    connection: Connection, data: bytes, code: int
) -> None:
    connection.feed(frame(1, b"good") + data)
    assert list(closes(connection.transport.written)) == [code]
