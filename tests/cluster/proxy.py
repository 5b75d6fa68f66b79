"""A TCP proxy in front of PostgreSQL that keeps answers back, or takes no new connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeAlias

Way: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter, asyncio.Event | None]


class Proxy:
    """Passes on what clients send at once. `answers` is cleared to keep back what the server sends."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self.port = 0
        self.answers = asyncio.Event()
        self.answers.set()
        self._links: set[asyncio.Task[None]] = set()

    async def accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A client has connected; it ends when one side does."""
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        there: asyncio.StreamWriter | None = None
        try:
            back, there = await asyncio.open_connection("127.0.0.1", self._server_port)
            await self._linked((reader, there, None), (back, writer, self.answers))
        except OSError:
            # The server is away.
            pass
        finally:
            self._links.discard(task)
            for each in (writer, there):
                if each is not None:
                    each.transport.abort()

    async def _linked(self, *ways: Way) -> None:
        tasks = [asyncio.get_running_loop().create_task(self._passed(*way)) for way in ways]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in tasks:
                each.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @staticmethod
    async def _passed(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: asyncio.Event | None
    ) -> None:
        while data := await reader.read(1 << 16):
            if gate is not None:
                await gate.wait()
            writer.write(data)
            await writer.drain()

    async def close(self) -> None:
        """End all connections."""
        for task in self._links:
            task.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)


@asynccontextmanager
async def proxied(server_port: int) -> AsyncIterator[Proxy]:
    """One that listens on a free port."""
    proxy = Proxy(server_port)
    listener = await asyncio.start_server(proxy.accepted, "127.0.0.1", 0)
    proxy.port = listener.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        listener.close()
        await proxy.close()
