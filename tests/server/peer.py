"""A WebSocket client that sends any bytes and reads only when told, and a server's side to watch."""

from __future__ import annotations

import asyncio
import contextlib
import socket

from conduit.protocol.codec import text_frame
from conduit.server import kernel
from conduit.server.websocket import WebSocket
from tests.support.wait import DEADLINE_S

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
MASK = b"\x5a\xc3\x0f\x96"
REQUEST = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
# With the answer to that key, as in RFC 6455 §1.3.
ANSWER = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0) -> bytes:
    """One masked frame; `rsv` is 1 to 7."""
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    length = len(payload)
    if length < 126:
        head = bytes([first, 0x80 | length])
    elif length < 1 << 16:
        head = bytes([first, 0x80 | 126]) + length.to_bytes(2, "big")
    else:
        head = bytes([first, 0x80 | 127]) + length.to_bytes(8, "big")
    mask = (MASK * (length // 4 + 1))[:length]
    number = int.from_bytes(payload, "big") ^ int.from_bytes(mask, "big")
    return head + MASK + number.to_bytes(length, "big")


async def happens(event: asyncio.Event) -> None:
    """Wait for a fact that is due."""
    async with asyncio.timeout(DEADLINE_S):
        await event.wait()


class Recorder(WebSocket):
    """Echoes text but for four words, and records what happens."""

    def __init__(self) -> None:
        super().__init__()
        self.text_count = 0
        # Whether it reads no faster than its peer takes the answers.
        self.holds_back = False
        self.marked = asyncio.Event()
        self.paused = asyncio.Event()
        self.drained = asyncio.Event()
        self.closed = asyncio.Event()

    @property
    def unsent_bytes(self) -> int:
        return self._transport.get_write_buffer_size()

    @property
    def taken_bytes(self) -> int:
        return kernel.taken_bytes(self._transport)

    def on_text(self, text: bytes) -> None:
        self.text_count += 1
        if text == b"mark":
            self.marked.set()
        elif text == b"pause":
            self.pause_reading()
            self.paused.set()
        elif text == b"close":
            self.close(1011)
        elif text == b"bug":
            raise RuntimeError("a bug in a session")
        else:
            self.write(text_frame(text))

    def on_writable(self, writable: bool) -> None:
        if writable:
            self.drained.set()
            if self.holds_back:
                self.resume_reading()
        elif self.holds_back:
            self.pause_reading()

    def on_closed(self) -> None:
        self.closed.set()


class Peer:
    """A client that sends any bytes, and reads only when it is told to."""

    server: Recorder

    def __init__(self) -> None:
        self.socket = socket.socket()
        # The less the kernel takes in, the sooner a server sees that nobody reads.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.setblocking(False)
        self.unread = b""

    async def open(self, address: tuple[str, int], rest: bytes) -> None:
        """Connect, and send `rest` in one go with the upgrade request."""
        await asyncio.get_running_loop().sock_connect(self.socket, address)
        await self.send(REQUEST, rest)
        head = await self._read(len(ANSWER))
        assert head == ANSWER

    async def send(self, *frames: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.socket, b"".join(frames))

    async def receive(self) -> tuple[int, bytes]:
        """The next frame: opcode and payload."""
        first, length = await self._read(2)
        assert first & 0xF0 == 0x80
        if length > 125:
            length = int.from_bytes(await self._read(2 if length == 126 else 8), "big")
        return first & 0x0F, await self._read(length)

    async def received_close(self) -> int:
        """The code of the next frame, which is a close frame."""
        opcode, payload = await self.receive()
        assert opcode == CLOSE
        return int.from_bytes(payload[:2], "big")

    async def received_end(self) -> bool:
        """Whether the end of the server's stream comes next."""
        async with asyncio.timeout(DEADLINE_S):
            end = await asyncio.get_running_loop().sock_recv(self.socket, 1)
        return end == b"" == self.unread

    async def ended(self) -> bool:
        """Whether the server closes the connection without sending more."""
        at_end = await self.received_end()
        await happens(self.server.closed)
        return at_end

    def send_until_refused(self, frame: bytes) -> None:
        """Send the frame again and again until the kernel takes no more; the last may be cut."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.socket.send(frame)

    async def _read(self, count: int) -> bytes:
        async with asyncio.timeout(DEADLINE_S):
            while len(self.unread) < count:
                data = await asyncio.get_running_loop().sock_recv(self.socket, 1 << 16)
                assert data, "the connection ended"
                self.unread += data
        taken, self.unread = self.unread[:count], self.unread[count:]
        return taken


async def fill(peer: Peer) -> list[bytes]:
    """Write to a peer that does not read until its socket is not writable; returns what was sent."""
    texts = []
    while peer.server.writable:
        texts.append(b"%06d" % len(texts) * 2000)
        peer.server.write(text_frame(texts[-1]))
    return texts


async def until_server_has_read(peer: Peer) -> None:
    """Everything that was sent before has been handled when this returns."""
    peer.server.marked.clear()
    await peer.send(frame(TEXT, b"mark"))
    await happens(peer.server.marked)
