"""NATS's text protocol, as far as the benchmarks need it: requests one at a time, and raw bytes."""

from __future__ import annotations

import json
import re
import socket
from typing import Any

from bench import wire

# Subject, sid, reply subject, bytes of headers, bytes in all. The reply is the last to be looked for, as two
# numbers without one are those of HMSG; a reply subject that is a number would be taken for headers.
MESSAGE = re.compile(rb"H?MSG (\S+) (\S+) (?:(\S+) )??(?:(\d+) )?(\d+)\r\n")


class NatsError(Exception):
    """The server answered with an error."""


class NatsClient:
    """One connection. `call` is for what is not measured; loads send and read on `connection`."""

    def __init__(self, port: int) -> None:
        self.connection = wire.connect(port)
        self._inbox = b"_INBOX.%d" % self.connection.getsockname()[1]
        self._data = b""
        self.connection.sendall(b'CONNECT {"verbose":false,"headers":true}\r\n')
        self.connection.sendall(b"SUB %b 1\r\nPING\r\n" % self._inbox)
        self._read_past(b"PONG\r\n")

    def call(self, subject: str, body: object = None) -> dict[str, Any]:
        """One request, such as of the JetStream API. Raises NatsError for an error in the answer."""
        content = b"" if body is None else json.dumps(body).encode()
        publish = b"PUB %b %b %d\r\n" % (subject.encode(), self._inbox, len(content))
        self.connection.sendall(publish + content + b"\r\n")
        while (found := MESSAGE.search(self._data)) is None:
            self._read()
        end = found.end() + int(found[5])
        while len(self._data) < end + 2:
            self._read()
        head = self._data[found.end() : found.end() + int(found[4] or 0)]
        answer, self._data = self._data[found.end() + len(head) : end], self._data[end + 2 :]
        if not answer:
            raise NatsError(f"{subject}: nobody answers: {head!r}")
        decoded: dict[str, Any] = json.loads(answer)
        if "error" in decoded:
            raise NatsError(f"{subject}: {decoded['error']}")
        return decoded

    def close(self) -> None:
        """End the connection."""
        self.connection.close()

    def _read_past(self, what: bytes) -> None:
        while what not in self._data:
            self._read()
        self._data = self._data.split(what, 1)[1]

    def _read(self) -> None:
        part = self.connection.recv(wire.READ_BYTES)
        if not part or b"-ERR" in part:
            raise NatsError(f"the connection ended: {part[:200]!r}")
        self._data += part


def follow(ws_port: int, subject: str) -> socket.socket:
    """A WebSocket connection to NATS with one subscription, which is confirmed."""
    connection = wire.websocket(ws_port, "/")
    hello = b'CONNECT {"verbose":false}\r\nSUB %b 1\r\nPING\r\n' % subject.encode()
    connection.sendall(wire.binary_frame(hello))
    seen = b""
    while b"PONG\r\n" not in seen:
        part = connection.recv(4096)
        if not part or b"-ERR" in part:
            raise NatsError(f"not subscribed: {seen + part!r}")
        seen += part
    return connection
