"""Servers that say what is not so, for what the scripts have to notice."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

Payload = dict[str, Any]
Lie = Callable[["Server", int, Payload], tuple[int, int]]
"""Stores the publish of this number, from 0, or does not; its status and the number in its receipt."""
READ_BYTES = 1 << 16
NUMBER = re.compile(rb'"n":(\d)')


class Server(ThreadingHTTPServer):
    """Answers publishes as `lie` says, all else as the log is. `ready_status` is that of /health/ready."""

    daemon_threads = True

    def __init__(self, lie: Lie, ready_status: int = 404) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.lie = lie
        self.ready_status = ready_status
        self.log: dict[int, tuple[str, Payload]] = {}
        # Messages that only name publishes without a receipt.
        self.told_count = 0
        self._asked_count = 0
        self._turn = threading.Lock()

    @property
    def next_seq(self) -> int:
        """The number of the next message."""
        return max(self.log, default=0) + 1

    def store(self, payload: Payload, seq: int | None = None, name: str | None = None) -> int:
        """As the next message, or under this number, with an id of its own, or this one; its number."""
        seq = seq or self.next_seq
        self.log[seq] = (name or f"id-{seq}", payload)
        return seq

    def published(self, payload: Payload) -> tuple[int, int]:
        """What the publisher is told."""
        with self._turn:
            if "n" not in payload:
                self.told_count += 1
                return 200, self.store(payload)
            self._asked_count += 1
            return self.lie(self, self._asked_count - 1, payload)

    def page(self, first: int, limit: int) -> Payload:
        """Of the log, upwards."""
        numbers = sorted(seq for seq in self.log if seq >= first)
        messages = [
            {"seq": seq, "message_id": self.log[seq][0], "payload": self.log[seq][1]}
            for seq in numbers[:limit]
        ]
        return {"messages": messages, "next": numbers[limit] if len(numbers) > limit else None}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server
    # An answer has to leave in one piece.
    wbufsize: ClassVar = -1

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path != "/api/publish":
            return self._answer(201, {})
        status, seq = self.server.published(body["payload"])
        return self._answer(status, {"seq": seq})

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/health":
            return self._answer(200, {})
        if url.path == "/health/ready":
            return self._answer(self.server.ready_status, {})
        query = parse_qs(url.query)
        return self._answer(
            200, self.server.page(int(query["from_seq"][0]), int(query["limit"][0]))
        )

    def do_DELETE(self) -> None:
        self._answer(200, {})

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()


@contextlib.contextmanager
def answering(server: Server) -> Iterator[str]:
    """The URL of `server`, which answers there."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    with server:
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class Mistaking:
    """A proxy in front of `port`: to the first subscriber, one message is said to be another."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._is_mistaken = False

    @contextlib.contextmanager
    def running(self) -> Iterator[str]:
        """Its URL."""
        loop = asyncio.new_event_loop()
        listener = loop.run_until_complete(asyncio.start_server(self._accepted, "127.0.0.1", 0))
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            listener.close()
            loop.run_until_complete(_end_all())
            loop.close()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            first = await reader.read(READ_BYTES)
            to_server.write(first)
            change = self._mistake if b"GET /ws " in first else bytes
            await asyncio.gather(_pass_on(reader, to_server), _pass_on(from_server, writer, change))
        finally:
            for each in (writer, to_server):
                each.close()
                with contextlib.suppress(OSError):
                    await each.wait_closed()

    def _mistake(self, data: bytes) -> bytes:
        if self._is_mistaken or not (found := NUMBER.search(data)):
            return data
        self._is_mistaken = True
        other = str((int(found[1]) + 1) % 10).encode()
        return data[: found.start(1)] + other + data[found.end(1) :]


async def _pass_on(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    change: Callable[[bytes], bytes] = bytes,
) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(READ_BYTES):
            writer.write(change(data))
            await writer.drain()
    writer.close()


async def _end_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
