"""A client that does what it should, on the server that the fuzzer works on: it must notice nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect

from tests.support.wait import DEADLINE_S

PAUSE_S = 0.02


class Neighbour:
    """Publishes numbers on one socket, and takes them from another, in their order; in a `with` block."""

    def __init__(self, url: str, key: str, topic: str) -> None:
        self._url = url
        self._key = key
        self._topic = topic
        self._stopping = asyncio.Event()
        self._sent_at: dict[int, float] = {}
        self.latencies_s: list[float] = []
        """From the publish to its delivery."""
        self.count = 0

    async def __aenter__(self) -> Self:
        self._stack = contextlib.AsyncExitStack()
        self._publisher = await self._stack.enter_async_context(self._connect())
        self._subscriber = await self._stack.enter_async_context(self._connect())
        await self._ask(self._publisher, type="auth", token=self._key)
        await self._ask(self._subscriber, type="auth", token=self._key)
        await self._ask(self._subscriber, type="subscribe", topic=self._topic, subscription="calm")
        self._work = asyncio.gather(self._publish(), self._receive())
        return self

    async def __aexit__(self, *_: object) -> None:
        """All that was published has come, once and in order, and nothing else."""
        self._stopping.set()
        async with asyncio.timeout(DEADLINE_S):
            await self._work
            await self._stack.aclose()

    def _connect(self) -> connect:
        return connect(self._url, compression=None, proxy=None)

    async def _ask(self, socket: ClientConnection, **frame: Any) -> dict[str, Any]:
        await socket.send(json.dumps({**frame, "ref": "r"}))
        answer: dict[str, Any] = json.loads(await socket.recv())
        assert answer["type"] != "error", answer
        return answer

    async def _publish(self) -> None:
        while not self._stopping.is_set():
            number = self.count
            self._sent_at[number] = time.monotonic()
            answer = await self._ask(
                self._publisher, type="publish", topic=self._topic, payload=number
            )
            assert answer["type"] == "published", answer
            self.count += 1
            await asyncio.sleep(PAUSE_S)

    async def _receive(self) -> None:
        expected = 0
        while not self._stopping.is_set() or expected < self.count:
            try:
                async with asyncio.timeout(1.0):
                    text = await self._subscriber.recv()
            except TimeoutError:
                continue
            frame = json.loads(text)
            if frame["type"] == "acked":
                continue
            assert (frame["type"], frame.get("payload")) == ("message", expected), frame
            self.latencies_s.append(time.monotonic() - self._sent_at.pop(expected))
            ack = {"type": "ack", "message_id": frame["message_id"], "ref": "r"}
            await self._subscriber.send(json.dumps(ack))
            expected += 1
