"""A TCP proxy that stalls, is slow, or resets: what a network does."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

READ_BYTES = 65_536


class Proxy:
    """Passes on what comes from either side, until it is told otherwise."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self.address = ""
        # Whether each direction passes: from who has connected, and back.
        self._passes = (asyncio.Event(), asyncio.Event())
        self.heal()
        self.max_bytes_per_s: float | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def stall(self, *, there: bool = True, back: bool = True) -> None:
        """Pass nothing on, in one direction or in both; connections stay, and new ones are made."""
        for is_stalled, passes in zip((there, back), self._passes, strict=True):
            if is_stalled:
                passes.clear()

    def heal(self) -> None:
        """Pass on what has come meanwhile, and all that comes."""
        for passes in self._passes:
            passes.set()

    def reset(self) -> None:
        """Reset all connections: no side gets what is on its way."""
        for writer in tuple(self._writers):
            # One that has ended has no socket any more.
            with suppress(OSError):
                writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
            writer.transport.abort()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        sides = [(reader, writer)]
        try:
            raw = socket.socket()
            # Else megabytes would wait here, which are on no network.
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, READ_BYTES)
            raw.setblocking(False)
            try:
                await asyncio.get_running_loop().sock_connect(raw, self._target)
            except OSError:
                raw.close()
                raise
            sides.append(await asyncio.open_connection(sock=raw, limit=READ_BYTES))
            self._writers.update(each for _, each in sides)
            there = self._pass_on(sides[0][0], sides[1][1], self._passes[0])
            back = self._pass_on(sides[1][0], sides[0][1], self._passes[1])
            await asyncio.gather(there, back)
        except OSError:
            pass
        finally:
            for _, each in sides:
                each.transport.abort()
                self._writers.discard(each)
            self._tasks.discard(task)

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passes: asyncio.Event
    ) -> None:
        while data := await reader.read(READ_BYTES):
            await passes.wait()
            if self.max_bytes_per_s is not None:
                await asyncio.sleep(len(data) / self.max_bytes_per_s)
            writer.write(data)
            await writer.drain()
        writer.write_eof()

    async def close(self) -> None:
        """End all connections."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def proxy_to(address: str) -> AsyncIterator[Proxy]:
    """One in front of this address."""
    host, _, port = address.rpartition(":")
    proxy = Proxy(host, int(port))
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, READ_BYTES)
    listener.bind(("127.0.0.1", 0))
    server = await asyncio.start_server(proxy.accept, sock=listener, limit=READ_BYTES)
    async with server:
        proxy.address = f"127.0.0.1:{listener.getsockname()[1]}"
        yield proxy
        server.close()
        await proxy.close()
