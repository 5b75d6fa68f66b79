import asyncio
import socket

import pytest

from tests.support.loops import new_loop
from tests.tenancy.kit import fact


async def left_open(listening: socket.socket) -> list[asyncio.BaseTransport]:
    """Three connections, both sides of which are open."""
    made: list[asyncio.BaseTransport] = []

    class Protocol(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            made.append(transport)

    loop = asyncio.get_running_loop()
    await loop.create_server(Protocol, sock=listening)
    for _ in range(3):
        await loop.create_connection(Protocol, *listening.getsockname())
    await fact(lambda: len(made) == 6)
    return made


def test_a_loop_whose_transports_are_open_ends_and_says_so():
    loop = new_loop()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        made = loop.run_until_complete(left_open(listening))
        with pytest.raises(ResourceWarning, match="unclosed resource"):
            loop.close()
    assert loop.is_closed()
    assert len(made) == 6
