"""A TCP proxy between Conduit and PostgreSQL that resets a connection with an append in flight.

It reads the messages of the client (PostgreSQL's documentation, chapter 55: a type of one byte, a length
of four that counts itself, a body) far enough to know the statement that appends: `Parse` has its text,
`Bind` its name, and `Sync` ends the request. A client of ours has one request under way at a time, so
nothing else is lost with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections import Counter
from typing import Literal

Way = Literal["dropped", "late", "racing", "unanswered"]
"""What becomes of the append whose connection is reset.

dropped: PostgreSQL never gets it. late: it gets it after the client has reconnected and sent the next one.
racing: it gets it together with the client's fence. unanswered: it has answered, the client never knows.
"""
WAYS: tuple[Way, ...] = ("dropped", "late", "racing", "unanswered")

APPEND = b"UPDATE conduit.writers SET last_batch"
FENCE = b"UPDATE conduit.writers SET token"
HIT_WITHIN_S = 30.0
_PROTOCOL_3 = 196608


class Proxy:
    """Listens on `port`. `hits` counts the resets that hit an append, by what became of it, and `stored`
    those of them of which PostgreSQL said that it stored something.
    """

    def __init__(self, server_port: int) -> None:
        self.server_port = server_port
        self.port = 0
        self.hits: Counter[Way] = Counter()
        self.stored: Counter[Way] = Counter()
        self.armed: Way | None = None
        # Since the last `reset` began: the client lost its connection, sent a fence, sent an append.
        self.cut = asyncio.Event()
        self.fenced = asyncio.Event()
        self.appended = asyncio.Event()
        self._hit: asyncio.Future[float] | None = None
        self._links: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen on a free port."""
        self._listener = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """End all connections."""
        if self._listener is not None:
            self._listener.close()
        for task in self._links:
            task.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    async def reset(self, way: Way) -> float:
        """Reset the connection of the next append; when, on the loop's clock.

        Raises TimeoutError if none came, or if it did not end as `way` says.
        """
        self._hit = asyncio.get_running_loop().create_future()
        self.cut.clear()
        self.fenced.clear()
        self.appended.clear()
        self.armed = way
        return await asyncio.wait_for(self._hit, HIT_WITHIN_S)

    def hit(self, way: Way, at: float, is_stored: bool) -> None:
        """A reset hit an append, and what was to become of it came to pass."""
        assert self._hit is not None
        self.hits[way] += 1
        self.stored[way] += is_stored
        self._hit.set_result(at)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        try:
            # The end of one side is passed on as the end of the other.
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                upstream = await asyncio.open_connection("127.0.0.1", self.server_port)
                await _Link(self, (reader, writer), upstream).run()
        finally:
            writer.close()
            self._links.discard(task)


End = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Link:
    """One connection of the client's and the one that stands for it at the server."""

    def __init__(self, proxy: Proxy, client: End, server: End) -> None:
        self.proxy = proxy
        self.from_client, self.to_client = client
        self.from_server, self.to_server = server
        self.appends: set[bytes] = set()

    async def run(self) -> None:
        """Pass everything on until one side ends, or the connection is reset."""
        answers = asyncio.get_running_loop().create_task(self._answers())
        try:
            await self._begin()
            while True:
                kind, message = await _message(self.from_client)
                self._learn(kind, message)
                if kind == b"B" and self._statement(message) in self.appends:
                    if self.proxy.armed is not None:
                        await self._strike(message, answers)
                        return
                    self.proxy.appended.set()
                self.to_server.write(message)
                await self.to_server.drain()
        finally:
            answers.cancel()
            self.to_server.close()

    async def _begin(self) -> None:
        """The first messages have no type; after the one that names the protocol all have."""
        code = 0
        while code != _PROTOCOL_3:
            head = await self.from_client.readexactly(8)
            length, code = struct.unpack("!II", head)
            self.to_server.write(head + await self.from_client.readexactly(length - 8))

    async def _answers(self) -> None:
        with contextlib.suppress(OSError):
            while data := await self.from_server.read(1 << 16):
                self.to_client.write(data)
                await self.to_client.drain()
        self.to_client.close()

    def _learn(self, kind: bytes, message: bytes) -> None:
        if kind != b"P":
            return
        name, _, rest = message[5:].partition(b"\0")
        self.appends.discard(name)
        if APPEND in rest:
            self.appends.add(name)
        if FENCE in rest:
            self.proxy.fenced.set()

    @staticmethod
    def _statement(bind: bytes) -> bytes:
        """The name of the statement; that of the portal comes before it."""
        return bind[5:].split(b"\0", 2)[1]

    async def _strike(self, message: bytes, answers: asyncio.Task[None]) -> None:
        """Take the rest of the request in, reset the client, and deliver the request as it was said."""
        way, self.proxy.armed = self.proxy.armed, None
        assert way is not None
        answers.cancel()
        await asyncio.gather(answers, return_exceptions=True)
        kind, request = b"", message
        while kind != b"S":
            kind, message = await _message(self.from_client)
            request += message
        is_stored = way == "unanswered" and await self._deliver(request)
        at = asyncio.get_running_loop().time()
        _reset(self.to_client)
        self.proxy.cut.set()
        if way == "late":
            await self.proxy.appended.wait()
            is_stored = await self._deliver(request)
        elif way == "racing":
            await self.proxy.fenced.wait()
            is_stored = await self._deliver(request)
        _reset(self.to_server)
        self.proxy.hit(way, at, is_stored)

    async def _deliver(self, request: bytes) -> bool:
        """Let the server have it; whether it answered with rows besides the one that is always there."""
        self.to_server.write(request)
        row_count, kind = 0, b""
        while kind != b"Z":
            kind, _ = await _message(self.from_server)
            row_count += kind == b"D"
        return row_count > 1


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """The type of the next message, and all of it."""
    head = await reader.readexactly(5)
    return head[:1], head + await reader.readexactly(int.from_bytes(head[1:]) - 4)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST, not with FIN: the peer's next call fails, whatever is still in its buffers."""
    writer.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
    )
    writer.transport.abort()
