"""A front on a real socket, over a real broker in memory, and a client that sends any bytes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import msgspec
import uvicorn
from starlette.types import ASGIApp
from uvicorn.server import ServerState

from conduit.broker.broker import Broker, BrokerOptions
from conduit.broker.clock import SystemClock
from conduit.core.message import Message, NewMessage, Retention, TopicRecord
from conduit.server.context import Context, Limits
from conduit.server.front import make_front
from conduit.storage.memory import MemoryStore
from tests.support.wait import DEADLINE_S

TOPIC = "demo"
STREAM_PART = b"x" * 500_000
STREAM_COUNT = 100
DATE = (b"date", b"Sun, 22 Nov 2026 10:00:00 GMT")


class GatedStore(MemoryStore):
    """A store whose commits, new topics and look-ups wait while the gate is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()
        self.appending = asyncio.Event()
        self.appended_count = 0

    async def append(self, batch: Sequence[NewMessage]) -> list[int]:
        self.appended_count += len(batch)
        self.appending.set()
        await self.gate.wait()
        return await super().append(batch)

    async def topic_create(self, *args: Any) -> TopicRecord:
        await self.gate.wait()
        return await super().topic_create(*args)

    async def find(self, tenant: str, message_id: str) -> tuple[int, Message] | None:
        await self.gate.wait()
        return await super().find(tenant, message_id)


class Answer(msgspec.Struct):
    """Header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """One TCP connection to a port."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, *parts: bytes) -> None:
        """Each part is a write of its own, and the loop turns after it."""
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()
            await asyncio.sleep(0)

    async def answer(self, *, has_body: bool = True) -> Answer:
        """The next answer; to HEAD there is none with a body."""
        async with asyncio.timeout(DEADLINE_S):
            head = await self.reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode().split("\r\n")[:-2]
            headers = {}
            for line in lines:
                name, value = line.split(": ", 1)
                assert name not in headers, f"{name} twice"
                headers[name] = value
            length = int(headers.get("content-length", "0")) if has_body else 0
            body = await self.reader.readexactly(length)
            return Answer(int(first.split()[1]), headers, body)

    async def rest(self) -> bytes:
        """What comes before the server closes."""
        async with asyncio.timeout(DEADLINE_S):
            return await self.reader.read()


class Port:
    """What serves, with all its parts at hand. `make_app` makes the application behind the front; without it
    that is one which says what it was asked."""

    def __init__(
        self, limits: Limits, make_app: Callable[[Context], ASGIApp] | None = None
    ) -> None:
        self.store = GatedStore()
        self.broker = Broker(self.store, SystemClock(), BrokerOptions())
        self.context = Context(
            self.broker,
            limits,
            default_retention=Retention(),
            cors_origin="https://app.example",
        )
        self.context.ready = True
        # What is handled in one turn does not depend on how fast the machine is.
        self.context.intake.now = lambda: 0.0
        self.state = ServerState()
        self.state.default_headers = [DATE]
        # Holds back the answers of `/slow`.
        self.slow = asyncio.Event()
        self.slow_begun = asyncio.Event()
        # What `/stream` has handed to its server, and whether `/listen` heard of the client's end.
        self.streamed_count = 0
        self.heard_end = asyncio.Event()
        self._clients: list[Client] = []
        self._serve = self._app if make_app is None else make_app(self.context)

    async def open(self, port: int = 0) -> None:
        """Serve, with the topic TOPIC; at a free port, or at this one."""
        await self.broker.start()
        await self.broker.topics.create("default", TOPIC)
        config = uvicorn.Config(
            self._serve,
            http=make_front(self.context),
            interface="asgi3",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            # The front keeps this time; uvicorn's own timer would close at once.
            timeout_keep_alive=0,
        )
        config.load()
        front = partial(
            config.http_protocol_class, config=config, server_state=self.state, app_state={}
        )
        self._server = await asyncio.get_running_loop().create_server(front, "127.0.0.1", port)

    async def close(self) -> None:
        """Close every connection, then the server."""
        self.store.gate.set()
        self.slow.set()
        self._server.close()
        for client in self._clients:
            client.writer.close()
        await self.until(lambda: not self.context.connection_count)
        await self._server.wait_closed()
        await self.broker.stop()

    async def connect(self) -> Client:
        """A new connection."""
        self._clients.append(Client(*await asyncio.open_connection(*self.address)))
        return self._clients[-1]

    async def until(self, fact: Any) -> None:
        """Turn the loop until something is true."""
        async with asyncio.timeout(DEADLINE_S):
            while not fact():  # noqa: ASYNC110 - the facts are private to the server: no event tells them
                await asyncio.sleep(0)

    def sweep(self, *times: float) -> None:
        """Let the server's sweep come at these times, in seconds."""
        for now in times:
            for connection in tuple(self.context.connections):
                connection.sweep(now)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        host, number = self._server.sockets[0].getsockname()
        return host, number

    @property
    def last_seq(self) -> int:
        """How many messages are stored in TOPIC."""
        return self.broker.topics.get("default", TOPIC).last_seq

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        """Says what it was asked, with a body of `x` as long as the query string says."""
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            if not message.get("more_body", False):
                break
        if scope["path"] == "/listen":
            self.slow_begun.set()
            assert (await receive())["type"] == "http.disconnect"
            self.heard_end.set()
            return
        if scope["path"] == "/stream":
            await self._stream(send)
            return
        if scope["path"] == "/slow":
            self.slow_begun.set()
            await self.slow.wait()
        heard = {
            "method": scope["method"],
            "path": scope["path"],
            "query": scope["query_string"].decode(),
            "headers": [
                [name.decode(), value.decode("latin-1")] for name, value in scope["headers"]
            ],
            "body": body.decode(),
        }
        said = b"x" * int(heard["query"]) if scope["path"] == "/big" else json.dumps(heard).encode()
        length = (b"content-length", b"%d" % len(said))
        await send({"type": "http.response.start", "status": 201, "headers": [length]})
        await send({"type": "http.response.body", "body": said})

    async def _stream(self, send: Any) -> None:
        length = (b"content-length", b"%d" % (STREAM_COUNT * len(STREAM_PART)))
        await send({"type": "http.response.start", "status": 201, "headers": [length]})
        for number in range(1, STREAM_COUNT + 1):
            more = number < STREAM_COUNT
            await send({"type": "http.response.body", "body": STREAM_PART, "more_body": more})
            self.streamed_count = number


@asynccontextmanager
async def open_port(
    make_app: Callable[[Context], ASGIApp] | None = None, **limits: Any
) -> AsyncIterator[Port]:
    """A port with these limits."""
    port = Port(Limits(**limits), make_app)
    await port.open()
    try:
        yield port
    finally:
        await port.close()


async def assert_refused(client: Client, status: int, code: str) -> None:
    """The next answer is this problem, and the last one."""
    answer = await client.answer()
    assert (answer.status, answer.json["code"]) == (status, code)
    assert answer.headers["connection"] == "close"
    assert await client.rest() == b""


def request(method: str, path: str, body: bytes | None = None, *headers: str) -> bytes:
    """A request with Host and Content-Length; each of `headers` is a whole line."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


def publish(payload: Any, *headers: str, topic: str = TOPIC, **fields: Any) -> bytes:
    """A request to publish."""
    body = json.dumps({"topic": topic, "payload": payload, **fields}).encode()
    return request("POST", "/api/publish", body, *headers)


def chunked(body: bytes, size: int = 5, trailer: bytes = b"") -> bytes:
    """A body in chunks of `size` bytes."""
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    encoded = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    return encoded + b"0\r\n" + trailer + b"\r\n"
