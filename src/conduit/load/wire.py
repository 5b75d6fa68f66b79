"""Conduit's bytes, for clients that cost as little as Python allows: plain sockets, over TLS if need be.

A load that parsed every frame would measure itself.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import re
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from conduit.errors import ConduitError

MESSAGE_ID = re.compile(rb'"message_id":"([0-9a-f-]{36})"')
# An ack as a frame: its length never differs.
_ACK_TEXT = b'{"type":"ack","message_id":"%b"}'
_ACK = b"\x81%c\0\0\0\0%b" % (0x80 | len(_ACK_TEXT % (b"0" * 36)), _ACK_TEXT)
# From 128 KiB on, malloc makes a mapping for each read, which costs several times the read.
READ_BYTES = 1 << 16
# The server's, in which nothing is; no text has these bytes.
PING = b"\x89\0"
PONG = b"\x8a\x80\0\0\0\0"
CONNECT_WITHIN_S = 30.0
# A server that takes nothing for so long is gone.
SEND_WITHIN_S = 30
HEAD_MAX_BYTES = 1 << 16
REFUSAL = re.compile(rb'"code":\s*"(\w+)"')


@dataclasses.dataclass(frozen=True)
class Target:
    """Where a server is. `headers` are lines with their ends, as that of the key."""

    port: int
    host: str = "127.0.0.1"
    path: str = ""
    headers: str = dataclasses.field(default="", repr=False)
    is_tls: bool = False

    @property
    def name(self) -> str:
        """The host as HTTP spells it: an address of IPv6 in brackets."""
        return f"[{self.host}]" if ":" in self.host else self.host

    def connect(self) -> socket.socket:
        """A connection without Nagle's delay. Raises ConduitError."""
        try:
            connection = socket.create_connection((self.host, self.port), CONNECT_WITHIN_S)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.is_tls:
                context = ssl.create_default_context()
                connection = context.wrap_socket(connection, server_hostname=self.host)
        except OSError as error:
            raise ConduitError(
                f"no connection to {self.host}:{self.port}: {error}", code="connection_failed"
            ) from error
        return connection

    def websocket(self, path: str = "/ws") -> socket.socket:
        """An open WebSocket connection; nothing was read of it beyond the handshake. Raises ConduitError."""
        connection, until = self.connect(), time.monotonic() + CONNECT_WITHIN_S
        key = base64.b64encode(os.urandom(16)).decode()
        with self._answering(connection):
            connection.sendall(
                f"GET {self.path}{path} HTTP/1.1\r\nHost: {self.name}\r\nUpgrade: websocket\r\n"
                f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
                f"{self.headers}\r\n".encode()
            )
            answer = b""
            # Byte by byte: what follows the handshake stays in the kernel.
            while not answer.endswith(b"\r\n\r\n"):
                part = _part(connection, 1, until)
                if not part or len(answer) > HEAD_MAX_BYTES:
                    raise _refused(answer)
                answer += part
            if b" 101 " not in answer.split(b"\r\n", 1)[0]:
                raise _refused(answer + _part(connection, READ_BYTES, until))
        connection.settimeout(CONNECT_WITHIN_S)
        return connection

    def subscribe(self, **fields: object) -> socket.socket:
        """A WebSocket connection with one subscription, which is confirmed. Raises ConduitError."""
        return self.subscribed(**fields)[0]

    def subscribed(self, **fields: object) -> tuple[socket.socket, dict[str, Any]]:
        """The same, and what the server has confirmed."""
        connection = self.websocket()
        until = time.monotonic() + CONNECT_WITHIN_S
        with self._answering(connection):
            connection.sendall(text_frame(json.dumps({"type": "subscribe", **fields}).encode()))
            while True:
                kind, text = _frame(connection, until)
                if kind == 1 and text.startswith(b'{"type":"subscribed"'):
                    connection.settimeout(CONNECT_WITHIN_S)
                    return connection, json.loads(text)
                if kind == 8 or text.startswith(b'{"type":"error"'):
                    raise _refused(text)

    @contextmanager
    def _answering(self, connection: socket.socket) -> Iterator[None]:
        try:
            yield
        except ConduitError:
            connection.close()
            raise
        except OSError as error:
            connection.close()
            raise ConduitError(
                f"{self.host}:{self.port} has taken a connection, and does not answer: {error}",
                code="connection_failed",
            ) from error

    def request(self, path: str, body: bytes) -> bytes:
        """A POST with a JSON body."""
        return (
            b"POST %b HTTP/1.1\r\nHost: %b\r\nContent-Type: application/json\r\n%b"
            b"Content-Length: %d\r\n\r\n%b"
            % (
                (self.path + path).encode(),
                self.name.encode(),
                self.headers.encode(),
                len(body),
                body,
            )
        )


def _frame(connection: socket.socket, until: float) -> tuple[int, bytes]:
    """The next frame of a server: its kind, and what is in it. Nothing behind it is read."""
    kind, size = _exactly(connection, 2, until)
    if size == 126:
        size = int.from_bytes(_exactly(connection, 2, until), "big")
    elif size == 127:
        size = int.from_bytes(_exactly(connection, 8, until), "big")
    return kind & 0x0F, _exactly(connection, size, until)


def _exactly(connection: socket.socket, size: int, until: float) -> bytes:
    data = b""
    while len(data) < size:
        part = _part(connection, min(size - len(data), READ_BYTES), until)
        if not part:
            raise _refused(data)
        data += part
    return data


def _part(connection: socket.socket, size: int, until: float) -> bytes:
    """Raises TimeoutError then, however slowly something comes."""
    if (left_s := until - time.monotonic()) <= 0:
        raise TimeoutError("timed out")
    connection.settimeout(left_s)
    return connection.recv(size)


def _refused(said: bytes) -> ConduitError:
    """What the server has answered, as an error."""
    found = REFUSAL.search(said)
    start = said.find(b"{")
    try:
        told: dict[str, Any] = json.loads(said[start:]) if start >= 0 else {}
    except ValueError:
        told = {}
    detail = told.get("detail") or told.get("message") or f"no WebSocket: {said[:200]!r}"
    return ConduitError(detail, code=found[1].decode() if found else "connection_failed")


def text_frame(payload: bytes) -> bytes:
    """A client's text frame. The masking key is zero: the server's work is the same."""
    size = len(payload)
    if size < 126:
        return b"\x81%c\0\0\0\0%b" % (0x80 | size, payload)
    if size < 1 << 16:
        return b"\x81\xfe%b\0\0\0\0%b" % (size.to_bytes(2, "big"), payload)
    return b"\x81\xff%b\0\0\0\0%b" % (size.to_bytes(8, "big"), payload)


def acks_for(data: bytes) -> tuple[bytes, bytes]:
    """One ack frame for each message id in what was read, and what to put before the next read."""
    ids = MESSAGE_ID.findall(data)
    start = data.rfind(ids[-1]) + 36 if ids else 0
    return b"".join([_ACK % identity for identity in ids]), data[max(start, len(data) - 64) :]


def blocking(connection: socket.socket) -> None:
    """Have it wait in the kernel, for SEND_WITHIN_S when it sends: a socket with a timeout of Python's polls
    before each call."""
    connection.settimeout(None)
    limit = struct.pack("ll", SEND_WITHIN_S, 0)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)


def read_now(connection: socket.socket, size: int = READ_BYTES) -> bytes | None:
    """What is there; None if that is nothing, b"" if the connection has ended. It is `blocking`."""
    try:
        if not isinstance(connection, ssl.SSLSocket):
            return connection.recv(size, socket.MSG_DONTWAIT)
        connection.setblocking(False)
        try:
            return connection.recv(size)
        finally:
            connection.setblocking(True)
    except (BlockingIOError, ssl.SSLWantReadError):
        return None
    except (ConnectionError, ssl.SSLError):
        return b""


def has_more(connection: socket.socket) -> bool:
    """Whether TLS holds more that was read already, of which the kernel does not tell."""
    return isinstance(connection, ssl.SSLSocket) and connection.pending() > 0
