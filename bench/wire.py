"""Clients that cost as little as Python allows: plain sockets, frames as bytes, answers found by regex.

A load that parsed every frame would measure itself. Every payload carries a number `n`, and a
`Sequence` compares what arrives with what was due, message by message, in C.
"""

from __future__ import annotations

import functools
import http.client
import json
import re
import selectors
import socket
from collections.abc import Callable, Mapping
from typing import Any

from conduit.load import checks
from conduit.load.checks import Checks
from conduit.load.wire import MESSAGE_ID as MESSAGE_ID
from conduit.load.wire import PING as PING
from conduit.load.wire import PONG as PONG
from conduit.load.wire import READ_BYTES as READ_BYTES
from conduit.load.wire import Target
from conduit.load.wire import acks_for as acks_for
from conduit.load.wire import text_frame as text_frame

PAYLOAD = b'{"n":%d,"order_id":"abc-123","amount":99.95}'
NUMBER = re.compile(rb'"n":(\d+),"order_id"')


class Caller:
    """Who this process is to Conduit: nobody, or whoever has the key."""

    def __init__(self) -> None:
        self.key = ""

    @property
    def line(self) -> str:
        """The header that says it, with its end."""
        return f"Authorization: Bearer {self.key}\r\n" if self.key else ""


CALLER = Caller()


def target(port: int) -> Target:
    """A server on this machine, as `CALLER`."""
    return _target(port, CALLER.line)


_target = functools.cache(lambda port, line: Target(port, headers=line))


def request(path: str, body: bytes) -> bytes:
    """A POST with a JSON body."""
    return target(0).request(path, body)


def after_last(data: bytes, found: list[bytes]) -> bytes:
    """What to put before the next read, as the next number may be cut in two; at most 64 bytes."""
    start = data.rfind(b'"order_id"') + 1 if found else 0
    return data[max(start, len(data) - 64) :]


def connect(port: int) -> socket.socket:
    """A TCP connection without Nagle's delay."""
    return target(port).connect()


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


def binary_frame(payload: bytes) -> bytes:
    """The same as a binary frame, as NATS wants it."""
    return b"\x82" + text_frame(payload)[1:]


def websocket(port: int, path: str = "/ws") -> socket.socket:
    """An open WebSocket connection; nothing has arrived on it beyond the handshake."""
    return target(port).websocket(path)


def subscribe(port: int, **fields: object) -> socket.socket:
    """A WebSocket connection to Conduit with one subscription, which is confirmed."""
    return target(port).subscribe(**fields)


class Sequence(checks.Sequence):
    """As its base, fed with what was read."""

    def __init__(self, first: int = 0) -> None:
        super().__init__(first)
        self._rest = b""

    def feed(self, data: bytes) -> int:
        """Take what was read; returns how many messages ended in it."""
        if self._rest:
            data = self._rest + data
        found = NUMBER.findall(data)
        self._rest = after_last(data, found)
        self.add(found)
        return len(found)


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
        numbers = checks.numbers_from(self._first).between(self._first, self._first + due)
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
