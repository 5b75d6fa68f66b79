"""What may be between a node and Redis: it loses announcements, stops, and delivers late."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

READ_BYTES = 65_536
# How a message begins that was published; its channel follows.
_MESSAGE = b"*3\r\n$7\r\nmessage\r\n"


class RedisProxy:
    """Listens on `port`. `loses` says of the channel of each message whether its subscriber never gets it.

    While it is stopped nothing passes, and new connections get no answer. What a client has sent by then
    reaches Redis afterwards, also if the client has closed its connection meanwhile.
    """

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self.port = 0
        self.loses: Callable[[bytes], bool] = lambda _channel: False
        self.lost_count = 0
        self._runs = asyncio.Event()
        self._runs.set()
        self._listener: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    async def start(self) -> None:
        """Listen, on a free port the first time."""
        self._listener = await asyncio.start_server(self._accepted, "127.0.0.1", self.port)
        self.port = self._listener.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Nothing passes any more."""
        self._runs.clear()

    def resume(self) -> None:
        """All that waits passes."""
        self._runs.set()

    def cut(self) -> None:
        """Reset all connections."""
        for writer in self._writers:
            writer.transport.abort()

    async def close(self) -> None:
        """End all."""
        if self._listener is not None:
            self._listener.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            await self._runs.wait()
            above, to_server = await asyncio.open_connection("127.0.0.1", self._server_port)
            self._writers.add(to_server)
            try:
                await asyncio.gather(
                    self._commands(reader, to_server), self._answers(above, writer)
                )
            finally:
                self._writers.discard(to_server)
                to_server.transport.abort()
        except (OSError, EOFError, RuntimeError, asyncio.CancelledError):
            # The other side has closed; a RuntimeError is uvloop's word for it. Of a task that is cancelled
            # asyncio's streams would complain.
            pass
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            writer.transport.abort()

    async def _commands(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(READ_BYTES):
            await self._runs.wait()
            writer.write(data)
            await writer.drain()
        # Redis has to read what came late before it sees the end.
        writer.write_eof()

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            frame = await _frame(reader)
            await self._runs.wait()
            if frame.startswith(_MESSAGE) and self.loses(frame.split(b"\r\n", 5)[4]):
                self.lost_count += 1
            else:
                writer.write(frame)
                await writer.drain()


async def _frame(reader: asyncio.StreamReader) -> bytes:
    """One answer, as it came (the protocol RESP 2). Raises IncompleteReadError at the end."""
    line = await reader.readuntil(b"\r\n")
    kind, size = line[:1], line[1:-2]
    if kind == b"$" and size != b"-1":
        return line + await reader.readexactly(int(size) + 2)
    if kind == b"*" and size != b"-1":
        return line + b"".join([await _frame(reader) for _ in range(int(size))])
    return line
