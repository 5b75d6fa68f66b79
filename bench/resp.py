"""Redis's protocol, as far as the benchmarks need it."""

from __future__ import annotations

import contextlib
import re
from typing import BinaryIO

from bench import wire

# Entries of a stream that are read at once.
_RANGE_COUNT = 10_000
_ENTRY = re.compile(rb'\r\n(\d+-\d+)\r\n\*2\r\n\$1\r\np\r\n\$\d+\r\n\{"n":(\d+)')


class RedisError(Exception):
    """The server answered with an error."""


def command(*words: bytes | str | int) -> bytes:
    """One command as bytes."""
    encoded = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    parts = [b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded]
    return b"*%d\r\n%b" % (len(parts), b"".join(parts))


class RedisClient:
    """One connection. `call` is for what is not measured; loads send and read on `connection`."""

    def __init__(self, port: int) -> None:
        self.connection = wire.connect(port)
        self._file: BinaryIO = self.connection.makefile("rb")

    def call(self, *words: bytes | str | int) -> object:
        """One command and its answer: bytes, int, None or a list. Raises RedisError."""
        self.connection.sendall(command(*words))
        return self.read()

    def read(self) -> object:
        """The next answer; do not mix with reading `connection` directly."""
        line = self._file.readline()
        if not line.endswith(b"\r\n"):
            raise RedisError(f"the connection ended: {line!r}")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise RedisError(rest.decode())
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self._bulk(int(rest))
        if kind == b"*":
            return None if rest == b"-1" else [self.read() for _ in range(int(rest))]
        raise RedisError(f"not an answer: {line!r}")

    def _bulk(self, size: int) -> bytes:
        data = self._file.read(size + 2)
        if len(data) < size + 2:
            raise RedisError(f"the connection ended: {data!r}")
        return data[:-2]

    def close(self) -> None:
        """End the connection."""
        self._file.close()
        self.connection.close()


def read_log(port: int, name: str) -> list[tuple[bytes, bytes]]:
    """Id and payload's number of all entries of a stream, in order. Raises RedisError."""
    with contextlib.closing(RedisClient(port)) as client:
        count = client.call("XLEN", name)
        assert isinstance(count, int)
        connection = client.connection
        log: list[tuple[bytes, bytes]] = []
        data, start = b"", b"-"
        while len(log) < count:
            connection.sendall(command("XRANGE", name, start, "+", "COUNT", _RANGE_COUNT))
            due = min(len(log) + _RANGE_COUNT, count)
            while len(log) < due:
                part = connection.recv(wire.READ_BYTES)
                if not part:
                    raise RedisError("the connection ended")
                data += part
                end = data.rfind(b"}\r\n") + 3
                if end > 2:
                    log += _ENTRY.findall(data, 0, end)
                    # The end of this line is the beginning of the next entry.
                    data = data[end - 2 :]
            start = b"(" + log[-1][0]
    return log
