"""Scripted servers: they say what a real one says too rarely to wait for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from tests.support.wait import DEADLINE_S

Frame = dict[str, Any]


class Peer:
    """The server's end of one connection, for a script."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.epoch = "e"

    async def expect(self, type: str) -> Frame:
        """The next frame, which must be of this type. Extensions come when it takes long enough, which
        it may on a busy machine; they are passed over unless they are asked for."""
        while True:
            frame: Frame = json.loads(await self.socket.recv())
            if frame["type"] != "extend" or type == "extend":
                assert frame["type"] == type, frame
                return frame

    async def send(self, type: str, **fields: object) -> None:
        """Send one frame."""
        await self.socket.send(json.dumps({"type": type, **fields}))

    async def subscribed(self, **fields: object) -> Frame:
        """Expect `subscribe` and confirm it; returns the frame. Deliveries are of its epoch."""
        self.epoch = str(fields.get("epoch", self.epoch))
        frame = await self.expect("subscribe")
        await self.send("subscribed", topic=frame["topic"], ref=frame["ref"], **fields)
        return frame

    async def deliver(self, *seqs: int, topic: str = "t", attempt: int = 1, **more: object) -> None:
        """Send deliveries; the id of message n is `m<n>`."""
        for seq in seqs:
            await self.send(
                "message",
                message_id=f"m{seq}",
                topic=topic,
                payload={"n": seq},
                published_at="2026-01-01T00:00:00.000Z",
                seq=seq,
                attempt=attempt,
                **{"epoch": self.epoch, **more},
            )

    async def close(self, code: int) -> None:
        """Close the connection."""
        await self.socket.close(code)

    async def left(self, *, acks: bool = False) -> int | None:
        """Wait until the client closes; returns its code, or None if the connection was lost. Nothing
        may come before that, but for extensions, and acks if they are expected."""
        try:
            while True:
                await self.expect("ack" if acks else "close")
        except ConnectionClosed as end:
            return None if end.rcvd is None else end.rcvd.code


Script = Callable[[Peer], Awaitable[object]]


@asynccontextmanager
async def peers(*scripts: Script) -> AsyncIterator[str]:
    """The URL of a server whose connections follow the scripts, one each, in this order.

    A script that fails, or a connection without a script, fails the test.
    """
    left = list(scripts)
    failures: list[BaseException] = []
    done = asyncio.Event()

    async def handle(socket: ServerConnection) -> None:
        try:
            if not left:
                raise AssertionError("a connection too many")
            await left.pop(0)(Peer(socket))
        except (AssertionError, ConnectionClosed) as failure:
            failures.append(failure)
        finally:
            running.discard(socket)
            if not left and not running:
                done.set()

    running: set[ServerConnection] = set()

    async def begin(socket: ServerConnection) -> None:
        running.add(socket)
        await handle(socket)

    async with asyncio.timeout(DEADLINE_S), serve(begin, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
        await done.wait()
    if failures:
        raise failures[0]


# HTTP -----------------------------------------------------------------------------------------------


class Head:
    """The first line of a request, and its headers, with names in lower case."""

    def __init__(self, text: str) -> None:
        first, *lines = text.strip().split("\r\n")
        self.first = first.removesuffix(" HTTP/1.1")
        self.headers = {name.lower(): value for name, value in (one.split(": ") for one in lines)}


DROP = b""
"""In place of an answer: the connection is closed."""


def answer(status: int, body: object, **headers: str) -> bytes:
    """One HTTP answer; a `str` body goes out as it is."""
    text = body if isinstance(body, str) else json.dumps(body)
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(text)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", text]).encode()


def problem(status: int, code: str, **headers: str) -> bytes:
    """One answer of a Conduit that refuses."""
    body = {"type": "about:blank", "title": "", "status": status, "code": code, "detail": code}
    return answer(status, body | {"error": code, "request_id": "r1"}, **headers)


@asynccontextmanager
async def http_peer(
    *answers: bytes, heads: list[Head] | None = None
) -> AsyncIterator[tuple[str, list[Frame]]]:
    """The URL of a server that gives these answers in order, and the list of the bodies it got. `heads` gets
    what stood before them."""
    left, bodies = list(answers), []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while left:
                head = Head((await reader.readuntil(b"\r\n\r\n")).decode())
                if heads is not None:
                    heads.append(head)
                length = int(head.headers.get("content-length", 0))
                bodies.append(json.loads(await reader.readexactly(length) or b"null"))
                reply = left.pop(0)
                if reply is DROP:
                    return
                writer.write(reply)
                await writer.drain()
        except asyncio.IncompleteReadError:
            return
        finally:
            writer.close()

    async with asyncio.timeout(DEADLINE_S):
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", bodies
    assert not left, f"{len(left)} answers were not asked for"
