"""Clients that cost as little as Python allows: plain sockets, frames as bytes, answers found by regex.

A load that parsed every frame would measure itself. Every payload carries a number `n`, and a
`Sequence` compares what arrives with what was due, message by message, in C.
"""

from __future__ import annotations

import base64
import functools
import http.client
import json
import os
import re
import selectors
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

from bench.harness import Checks

PAYLOAD = b'{"n":%d,"order_id":"abc-123","amount":99.95}'
NUMBER = re.compile(rb'"n":(\d+),"order_id"')
MESSAGE_ID = re.compile(rb'"message_id":"([0-9a-f-]{36})"')
# An ack as a frame: its length never differs.
_ACK_TEXT = b'{"type":"ack","message_id":"%b"}'
_ACK = b"\x81%c\0\0\0\0%b" % (0x80 | len(_ACK_TEXT % (b"0" * 36)), _ACK_TEXT)
# From 128 KiB on, malloc makes a mapping for each read, which costs several times the read.
READ_BYTES = 1 << 16
# The server's, in which nothing is; no text has these bytes.
PING = b"\x89\0"
PONG = b"\x8a\x80\0\0\0\0"


class Caller:
    """Who this process is to Conduit: nobody, or whoever has the key."""

    def __init__(self) -> None:
        self.key = ""

    @property
    def line(self) -> str:
        """The header that says it, with its end."""
        return f"Authorization: Bearer {self.key}\r\n" if self.key else ""


CALLER = Caller()


def request(path: str, body: bytes) -> bytes:
    """A POST with a JSON body."""
    return (
        b"POST %b HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n%b"
        b"Content-Length: %d\r\n\r\n%b" % (path.encode(), CALLER.line.encode(), len(body), body)
    )


def acks_for(data: bytes) -> tuple[bytes, bytes]:
    """One ack frame for each message id in what was read, and what to put before the next read."""
    ids = MESSAGE_ID.findall(data)
    start = data.rfind(ids[-1]) + 36 if ids else 0
    return b"".join([_ACK % identity for identity in ids]), data[max(start, len(data) - 64) :]


def after_last(data: bytes, found: list[bytes]) -> bytes:
    """What to put before the next read, as the next number may be cut in two; at most 64 bytes."""
    start = data.rfind(b'"order_id"') + 1 if found else 0
    return data[max(start, len(data) - 64) :]


def connect(port: int) -> socket.socket:
    """A TCP connection without Nagle's delay."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def call(
    port: int, method: str, path: str, body: object = None, more: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """One request for what is not measured, with `more` headers; a body of bytes goes as it is. Raises
    RuntimeError unless the answer is a 2xx."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        content = body if body is None or isinstance(body, bytes) else json.dumps(body)
        headers = {"Content-Type": "application/json"}
        if CALLER.key:
            headers["Authorization"] = f"Bearer {CALLER.key}"
        connection.request(method, path, content, headers | dict(more or {}))
        answer = connection.getresponse()
        text = answer.read()
    finally:
        connection.close()
    if not 200 <= answer.status < 300:
        raise RuntimeError(f"{method} {path}: {answer.status} {text[:300]!r}")
    return json.loads(text) if text else {}


def text_frame(payload: bytes) -> bytes:
    """A client's text frame. The masking key is zero: the server's work is the same."""
    size = len(payload)
    if size < 126:
        return b"\x81%c\0\0\0\0%b" % (0x80 | size, payload)
    if size < 1 << 16:
        return b"\x81\xfe%b\0\0\0\0%b" % (size.to_bytes(2, "big"), payload)
    return b"\x81\xff%b\0\0\0\0%b" % (size.to_bytes(8, "big"), payload)


def binary_frame(payload: bytes) -> bytes:
    """The same as a binary frame, as NATS wants it."""
    return b"\x82" + text_frame(payload)[1:]


def websocket(port: int, path: str = "/ws") -> socket.socket:
    """An open WebSocket connection; nothing has arrived on it beyond the handshake."""
    connection = connect(port)
    key = base64.b64encode(os.urandom(16)).decode()
    connection.sendall(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{CALLER.line}\r\n".encode()
    )
    answer = b""
    # Byte by byte at the end: what follows the handshake stays in the kernel.
    while not answer.endswith(b"\r\n\r\n"):
        part = connection.recv(1)
        if not part:
            raise RuntimeError(f"no WebSocket: {answer!r}")
        answer += part
    if b" 101 " not in answer.split(b"\r\n", 1)[0]:
        raise RuntimeError(f"no WebSocket: {answer!r}")
    return connection


def subscribe(port: int, **fields: object) -> socket.socket:
    """A WebSocket connection to Conduit with one subscription, which is confirmed."""
    connection = websocket(port)
    connection.sendall(text_frame(json.dumps({"type": "subscribe", **fields}).encode()))
    seen = connection.recv(4096, socket.MSG_PEEK)
    while b'"subscribed"' not in seen:
        if not seen or b'"error"' in seen:
            raise RuntimeError(f"not subscribed: {seen!r}")
        time.sleep(0.001)
        seen = connection.recv(4096, socket.MSG_PEEK)
    return connection


class Numbers:
    """The decimal texts of first, first + 1 … as bytes, made once."""

    def __init__(self, first: int = 0) -> None:
        self._first = first
        self._texts: list[bytes] = []

    def between(self, start: int, stop: int) -> list[bytes]:
        """Those of start … stop - 1."""
        first = self._first
        if stop - first > len(self._texts):
            more = range(first + len(self._texts), stop + 10_000)
            self._texts.extend(b"%d" % number for number in more)
        return self._texts[start - first : stop - first]


# By the first number: all that count from there share the texts.
_numbers_from = functools.cache(Numbers)


class Sequence:
    """Checks that one subscriber sees first, first + 1, … once each and in order."""

    def __init__(self, first: int = 0) -> None:
        self._first = first
        self._numbers = _numbers_from(first)
        self._next = first
        self._rest = b""
        self.seen = 0
        self.duplicates = 0
        self.disordered = 0
        self._missing: set[int] = set()

    def feed(self, data: bytes) -> int:
        """Take what was read; returns how many messages ended in it."""
        if self._rest:
            data = self._rest + data
        found = NUMBER.findall(data)
        self._rest = after_last(data, found)
        self.add(found)
        return len(found)

    def add(self, found: list[bytes]) -> None:
        """Compare numbers that were found elsewhere; not together with `feed`."""
        count = len(found)
        self.seen += count
        if found == self._numbers.between(self._next, self._next + count):
            self._next += count
            return
        for text in found:
            number = int(text)
            if number == self._next:
                self._next += 1
            elif number > self._next:
                self._missing.update(range(self._next, number))
                self._next = number + 1
            elif number in self._missing:
                self._missing.discard(number)
                self.disordered += 1
            else:
                self.duplicates += 1

    def checks(self, due: int) -> Checks:
        """The result when first … first + due - 1 were due."""
        lost = len(self._missing) + max(0, self._first + due - self._next)
        return Checks(due, self.seen, lost, self.duplicates, self.disordered)


class Marks:
    """Checks that several subscribers together see first, first + 1 …; twice is a duplicate."""

    def __init__(self, first: int = 0) -> None:
        self._first = first
        self._seen: set[bytes] = set()
        self.seen = 0

    def add(self, found: list[bytes]) -> None:
        """Note the numbers that were found in what was read."""
        self.seen += len(found)
        self._seen.update(found)

    def checks(self, due: int) -> Checks:
        """The result when first … first + due - 1 were due; order is not among what is checked."""
        numbers = _numbers_from(self._first).between(self._first, self._first + due)
        lost = due - len(self._seen & set(numbers))
        return Checks(due, self.seen, lost, self.seen - len(self._seen), 0)


class Poll:
    """Reads from many sockets; each has a function that takes what was read."""

    def __init__(self) -> None:
        self._selector = selectors.EpollSelector()
        self.count = 0

    def add(self, connection: socket.socket, take: Callable[[bytes], None]) -> None:
        """Read from it from now on."""
        self._selector.register(connection, selectors.EVENT_READ, (connection, take))
        self.count += 1

    def once(self, timeout_s: float) -> None:
        """Read what is there, waiting at most so long. Raises RuntimeError if a connection ends."""
        for key, _ in self._selector.select(timeout_s):
            connection, take = key.data
            data = connection.recv(READ_BYTES)
            if not data:
                raise RuntimeError("a connection was closed by the server")
            take(data)
