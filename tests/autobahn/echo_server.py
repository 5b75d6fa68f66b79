"""echo_server.py PORT: sends every message back. What Autobahn's fuzzing client is run against."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from time import monotonic

import httptools
import uvloop

from conduit.protocol.codec import text_frame
from conduit.server.handshake import accept, check_upgrade
from conduit.server.intake import Intake
from conduit.server.websocket import WebSocket

# The largest message of the sections that are run has 64 KiB.
MAX_MESSAGE_BYTES = 327_680
CHECK_INTERVAL_S = 1.0
BINARY = b"\x82"

connections: set[WebSocket] = set()


class Echo(WebSocket):
    """A WebSocket that reads no faster than its peer takes the echoes."""

    def on_open(self) -> None:
        connections.add(self)

    def on_text(self, text: bytes) -> None:
        self.write(text_frame(text))

    def on_binary(self, data: bytes) -> None:
        # Frames of text and of bytes differ in the first byte only.
        self.write(BINARY + text_frame(data)[1:])

    def on_writable(self, writable: bool) -> None:
        if writable:
            self.resume_reading()
        else:
            self.pause_reading()

    def on_closed(self) -> None:
        connections.discard(self)


class Upgrade(asyncio.Protocol):
    """Reads a good upgrade request, and hands over to a new WebSocket."""

    # One for all connections, as in the server.
    intake = Intake(monotonic, lambda: False)

    def __init__(self, new_websocket: Callable[[], WebSocket]) -> None:
        self.new_websocket = new_websocket
        self.headers: dict[str, str] = {}
        self.parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode().lower()] = value.decode()

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            key, rest = check_upgrade(self.headers), data[upgrade.args[0] :]
            accept(self.transport, key, rest, self.new_websocket(), MAX_MESSAGE_BYTES, self.intake)


async def main(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Upgrade(Echo), "127.0.0.1", port)
    print(f"echoing on 127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    while True:
        await asyncio.sleep(CHECK_INTERVAL_S)
        for connection in list(connections):
            connection.check(loop.time())


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
