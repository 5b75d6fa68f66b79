"""Connections without a library, for what no library would send. Use them in a `with` block."""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
from types import TracebackType
from typing import Self

from tests.support.wait import DEADLINE_S


class Tcp:
    """A TCP connection to the server's port. `kept_bytes`: so much the kernel takes that nobody has read."""

    def __init__(self, port: int, *, kept_bytes: int | None = None) -> None:
        self.socket = socket.socket()
        self.socket.settimeout(DEADLINE_S)
        if kept_bytes is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, kept_bytes)
        self.socket.connect(("127.0.0.1", port))
        self.received = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Drop the connection. Idempotent."""
        self.received.close()
        self.socket.close()

    def ended(self) -> bool:
        """Whether the server closes without sending more; waits up to DEADLINE_S."""
        try:
            return self.received.read(1) == b""
        except ConnectionResetError:
            return True


class RawHttp(Tcp):
    """HTTP requests as bytes."""

    def send(self, data: bytes) -> None:
        """Send these bytes."""
        self.socket.sendall(data)

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """The next answer: status, headers with lower-case names, body."""
        line = self.received.readline()
        assert line.startswith(b"HTTP/1.1 "), line
        headers = {}
        while (text := self.received.readline()) != b"\r\n":
            name, _, value = text.decode().partition(":")
            headers[name.lower()] = value.strip()
        length = int(headers.get("content-length", "0"))
        return int(line.split()[1]), headers, self.received.read(length)


class RawSocket(Tcp):
    """A WebSocket connection: masked frames with any bits."""

    def __init__(self, port: int, *, kept_bytes: int | None = None) -> None:
        super().__init__(port, kept_bytes=kept_bytes)
        key = base64.b64encode(os.urandom(16))
        self.socket.sendall(
            b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + b"\r\n\r\n"
        )
        assert b" 101 " in self.received.readline()
        while self.received.readline() != b"\r\n":
            pass

    def send(self, first: int, data: bytes, *, masked: bool = True) -> None:
        """One frame whose first byte is `first`."""
        mask = b"\x00\x00\x00\x00" if masked else b""
        mask_bit = 0x80 if masked else 0
        if len(data) < 126:
            head = bytes([first, len(data) | mask_bit])
        else:
            head = bytes([first, 127 | mask_bit]) + struct.pack("!Q", len(data))
        self.socket.sendall(head + mask + data)

    def request(self, **fields: object) -> None:
        """Send a frame of the protocol."""
        self.send(0x81, json.dumps(fields, separators=(",", ":")).encode())

    def subscribe(self, fields: dict[str, object]) -> None:
        """Subscribe and read the confirmation, and nothing after it."""
        self.request(type="subscribe", **fields)
        assert json.loads(self.text())["type"] == "subscribed"

    def text(self) -> bytes:
        """The next text frame."""
        opcode, data = self._frame()
        assert opcode == 1, (opcode, data)
        return data

    def close_code(self) -> int:
        """The code of the close frame that comes next, after any other frames."""
        opcode = 0
        while opcode != 8:
            opcode, data = self._frame()
        code: int = struct.unpack("!H", data[:2])[0]
        return code

    def _frame(self) -> tuple[int, bytes]:
        first, length = self.received.read(2)
        if length >= 126:
            form = "!H" if length == 126 else "!Q"
            (length,) = struct.unpack(form, self.received.read(struct.calcsize(form)))
        return first & 0x0F, self.received.read(length)
