"""A connection to Redis of which nothing hangs: every call has a deadline, and after any failure it is cut.

redis-py has the protocol, TLS and the handshake. Its client, pool and pub/sub are not used: they connect
again by themselves, and nobody would know that announcements were missed meanwhile.
"""

from __future__ import annotations

import asyncio
from typing import Any

import redis.asyncio.connection as driver
from redis.exceptions import RedisError, ResponseError

from conduit.cluster.registry.trouble import translated
from conduit.cluster.registry.wire import Command
from conduit.core.histogram import Histogram

# Of a call with its answers, and of connecting.
CALL_TIMEOUT_S = 0.5
# A host far away, with TLS, takes several round trips.
CONNECT_TIMEOUT_S = 2.0


# A ValueError is redis-py's for what is no protocol of Redis.
FAILURES = (RedisError, OSError, ValueError)


class Connection:
    """One connection, for one task at a time."""

    def __init__(self, url: str, latency: Histogram) -> None:
        arguments: dict[str, Any] = dict(driver.parse_url(url))
        kind = arguments.pop("connection_class", driver.Connection)
        if kind is driver.SSLConnection:
            # Before redis-py 6 names were not looked at.
            is_open = arguments.get("ssl_cert_reqs") == "none"
            arguments.setdefault("ssl_check_hostname", not is_open)
        self._driver: driver.AbstractConnection = kind(
            **arguments,
            protocol=2,
            redis_connect_func=self._begin,
            socket_timeout=None,
            socket_connect_timeout=CONNECT_TIMEOUT_S,
        )
        self._latency = latency
        self._transport: asyncio.WriteTransport | None = None

    async def open(self) -> None:
        """Connect, and log in. Raises RegistryUnavailable."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                if isinstance(self._driver, driver.SSLConnection):
                    # Reads files, and all certificates of the system: 40 ms.
                    await asyncio.to_thread(self._driver.ssl_context.get)
                await self._driver.send_command("PING")
                await self._driver.read_response()
        except FAILURES as error:
            await self.close()
            raise translated(error) from None
        except BaseException:
            await self.close()
            raise

    async def _begin(self, connected: driver.AbstractConnection) -> None:
        """The socket is there, and nobody has logged in yet."""
        writer = connected._writer
        self._transport = None if writer is None else writer.transport
        await connected.on_connect()

    async def call(self, *commands: Command) -> list[Any]:
        """The answers to these, sent together; where Redis refuses one, its error is the answer. Raises
        RegistryUnavailable, and is closed then: nobody knows what became of them."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                await self._driver.send_packed_command(self._driver.pack_commands(commands))
                return [await self._answer() for _ in commands]
        except FAILURES as error:
            await self.close()
            raise translated(error) from None
        except BaseException:
            await self.close()
            raise
        finally:
            self._latency.add(loop.time() - began)

    async def _answer(self) -> object:
        try:
            return await self._driver.read_response()
        except ResponseError as error:
            return error

    async def subscribe(self, *channels: str) -> None:
        """From now on `message` is what to call. Raises RegistryUnavailable."""
        for answer in await self.call(*(("SUBSCRIBE", channel) for channel in channels)):
            if isinstance(answer, ResponseError):
                await self.close()
                raise translated(answer)

    async def message(self) -> tuple[bytes, bytes]:
        """The next message, with its channel. Waits for ever: whoever sends himself messages sees that none
        comes. Raises RegistryUnavailable."""
        try:
            while True:
                answer = await self._driver.read_response()
                match answer:
                    case [b"message", bytes(channel), bytes(data)]:
                        return channel, data
        except FAILURES as error:
            raise translated(error) from None

    async def close(self) -> None:
        """Cut it, without a goodbye that could hang. Idempotent."""
        await self._driver.disconnect(nowait=True)
        if self._transport is not None:
            # What was not sent yet, or a goodbye of TLS, would keep the socket of a Redis that is stopped.
            self._transport.abort()
            self._transport = None
