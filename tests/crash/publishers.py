"""Publishers that never give up on an unknown outcome, and one that cannot ask again."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import OrderedDict
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import aiohttp

from tests.crash.history import History, Published, payload_for

TOPICS = ("crash.a", "crash.b")
BATCH_COUNT = 20
WINDOW_COUNT = 20
RETRY_S = 0.05
REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=10)
# What a client must treat as "perhaps": the request may have been carried out.
LOST = (aiohttp.ClientError, ConnectionError, TimeoutError)


class Publisher:
    """One publishing client. Runs until `stop` is set and every outcome is settled."""

    def __init__(self, name: str, url: str, history: History, random: Random) -> None:
        self.name = name
        self.url = url
        self.history = history
        self.random = random
        self.stop = asyncio.Event()
        self._numbers = itertools.count()

    async def run(self, session: aiohttp.ClientSession) -> None:
        """Publish until stopped."""
        raise NotImplementedError

    def message(self, topic: str | None = None, *, keyed: bool = True) -> dict[str, Any]:
        """The next message of this publisher; its value is `name-number`."""
        value = f"{self.name}-{next(self._numbers)}"
        message: dict[str, Any] = {
            "topic": topic or self.random.choice(TOPICS),
            "payload": payload_for(value, self.random.choice((0, 20, 200, 5000))),
        }
        if keyed:
            message["idempotency_key"] = value
        return message

    def record(self, message: dict[str, Any], receipt: dict[str, Any]) -> None:
        """The server said that it has this message."""
        self.history.published.append(
            Published(
                message["payload"]["value"],
                message["topic"],
                "ok",
                receipt["seq"],
                receipt["message_id"],
            )
        )

    async def pace(self) -> None:
        """A short pause, so that the machine is busy and not swamped."""
        await asyncio.sleep(self.random.uniform(0.001, 0.02))

    async def post(
        self, session: aiohttp.ClientSession, path: str, body: dict[str, Any]
    ) -> dict[str, Any]:
        """Ask until there is an answer. Any but 200 and 503 is a fault of the server."""
        while True:
            try:
                async with session.post(
                    self.url + path, json=body, timeout=REQUEST_TIMEOUT
                ) as answer:
                    if answer.status == 200:
                        result: dict[str, Any] = await answer.json()
                        return result
                    assert answer.status == 503, (answer.status, await answer.text())
            except LOST:
                pass
            await asyncio.sleep(RETRY_S)


class HttpPublisher(Publisher):
    """One message at a time; a repeated request carries the same idempotency key."""

    def __init__(self, *given: Any, topic: str | None = None) -> None:
        super().__init__(*given)
        self.topic = topic

    async def run(self, session: aiohttp.ClientSession) -> None:
        """Publish until stopped."""
        while not self.stop.is_set():
            message = self.message(self.topic)
            self.record(message, await self.post(session, "/api/publish", message))
            await self.pace()


class BatchPublisher(Publisher):
    """Batches over several topics, all or nothing, repeated whole."""

    async def run(self, session: aiohttp.ClientSession) -> None:
        """Publish until stopped."""
        while not self.stop.is_set():
            messages = [self.message() for _ in range(BATCH_COUNT)]
            answer = await self.post(session, "/api/publish/batch", {"messages": messages})
            for message, receipt in zip(messages, answer["results"], strict=True):
                self.record(message, receipt)
            for _ in range(8):
                await self.pace()


class CarelessPublisher(Publisher):
    """No idempotency key, so a lost answer stays unknown: it must not be asked again."""

    async def run(self, session: aiohttp.ClientSession) -> None:
        """Publish until stopped."""
        while not self.stop.is_set():
            message = self.message(keyed=False)
            try:
                async with session.post(
                    f"{self.url}/api/publish", json=message, timeout=REQUEST_TIMEOUT
                ) as answer:
                    if answer.status == 200:
                        self.record(message, await answer.json())
                    else:
                        self._unsure(message, "fail")
            except LOST:
                self._unsure(message, "info")
                await asyncio.sleep(RETRY_S)
            await self.pace()

    def _unsure(self, message: dict[str, Any], outcome: Any) -> None:
        value = message["payload"]["value"]
        self.history.published.append(Published(value, message["topic"], outcome))


class WsPublisher(Publisher):
    """A window of publish frames; what was not answered is sent again on the next connection."""

    async def run(self, session: aiohttp.ClientSession) -> None:
        """Publish until stopped and everything is answered."""
        waiting: OrderedDict[str, dict[str, Any]] = OrderedDict()
        while waiting or not self.stop.is_set():
            try:
                async with session.ws_connect(f"{self.url}/ws") as ws:
                    for message in list(waiting.values()):
                        await ws.send_str(_frame(message))
                    async for frame in _frames(ws):
                        self._answered(waiting, frame)
                        if self.stop.is_set() and not waiting:
                            return
                        await self._fill(ws, waiting)
            except LOST:
                pass
            await asyncio.sleep(RETRY_S)

    async def _fill(
        self, ws: aiohttp.ClientWebSocketResponse, waiting: OrderedDict[str, dict[str, Any]]
    ) -> None:
        while len(waiting) < WINDOW_COUNT and not self.stop.is_set():
            message = self.message()
            waiting[message["idempotency_key"]] = message
            await ws.send_str(_frame(message))
        await self.pace()

    def _answered(self, waiting: OrderedDict[str, dict[str, Any]], frame: dict[str, Any]) -> None:
        if frame["type"] == "published":
            self.record(waiting.pop(frame["ref"]), frame)
        else:
            assert frame["type"] in ("heartbeat_ack", "closing"), frame


async def _frames(ws: aiohttp.ClientWebSocketResponse) -> AsyncIterator[dict[str, Any]]:
    """Frames until the connection ends; begins with a heartbeat's answer."""
    await ws.send_str('{"type":"heartbeat"}')
    async for message in ws:
        if message.type is aiohttp.WSMsgType.TEXT:
            yield json.loads(message.data)


def _frame(message: dict[str, Any]) -> str:
    return json.dumps({"type": "publish", **message, "ref": message["idempotency_key"]})
