"""Publishers that never give up on an unknown outcome, and one that cannot ask again."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import aiohttp

from tests.crash.history import History, Outcome, Published, payload_for

TOPICS = ("crash.a", "crash.b")
BATCH_COUNT = 20
WINDOW_COUNT = 20
RETRY_S = 0.05
REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=10)
# What a client must treat as "perhaps": the request may have been carried out.
LOST = (aiohttp.ClientError, ConnectionError, TimeoutError)
# A refusal with this code is none: the server does not know either.
UNKNOWN = "outcome_unknown"
# What a WebSocket publisher may be told while the store or the server cannot go on.
NOT_NOW = ("store_unavailable", "overloaded", UNKNOWN)


class Publisher:
    """One publishing client. Runs until `stop` is set and every outcome is settled."""

    def __init__(self, name: str, url: str, history: History, random: Random) -> None:
        self.name = name
        self.url = url
        self.history = history
        self.random = random
        self.stop = asyncio.Event()
        self.sent_at = 0.0
        self._numbers = itertools.count()

    async def run(self, session: aiohttp.ClientSession) -> None:
        """Publish until stopped."""
        raise NotImplementedError

    def where(self) -> str:
        """The URL of the server to ask next."""
        return self.url

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
                self.sent_at,
                time.monotonic(),
            )
        )

    async def refusal(self, answer: aiohttp.ClientResponse) -> str:
        """The code of an answer that is not 200. Any but 503 is a fault of the server."""
        assert answer.status == 503, (answer.status, await answer.text())
        code: str = (await answer.json(content_type=None))["code"]
        self.history.refused[code] += 1
        return code

    async def pace(self) -> None:
        """A short pause, so that the machine is busy and not swamped."""
        await asyncio.sleep(self.random.uniform(0.001, 0.02))

    async def post(
        self, session: aiohttp.ClientSession, path: str, body: dict[str, Any]
    ) -> dict[str, Any]:
        """Ask until the answer is 200."""
        while True:
            self.sent_at = time.monotonic()
            try:
                async with session.post(
                    self.where() + path, json=body, timeout=REQUEST_TIMEOUT
                ) as answer:
                    if answer.status == 200:
                        result: dict[str, Any] = await answer.json()
                        return result
                    await self.refusal(answer)
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
            self.sent_at = time.monotonic()
            try:
                async with session.post(
                    f"{self.where()}/api/publish", json=message, timeout=REQUEST_TIMEOUT
                ) as answer:
                    if answer.status == 200:
                        self.record(message, await answer.json())
                    else:
                        is_known = await self.refusal(answer) != UNKNOWN
                        self._not_acked(message, "fail" if is_known else "info")
            except LOST:
                self._not_acked(message, "info")
                await asyncio.sleep(RETRY_S)
            await self.pace()

    def _not_acked(self, message: dict[str, Any], outcome: Outcome) -> None:
        value = message["payload"]["value"]
        self.history.published.append(Published(value, message["topic"], outcome))


class WsPublisher(Publisher):
    """A window of publish frames; what was not answered is sent again on the next connection, and what was
    refused on this one."""

    async def run(self, session: aiohttp.ClientSession) -> None:
        """Publish until stopped and everything is acked."""
        waiting: OrderedDict[str, dict[str, Any]] = OrderedDict()
        while waiting or not self.stop.is_set():
            try:
                async with session.ws_connect(f"{self.where()}/ws") as ws:
                    for message in list(waiting.values()):
                        await ws.send_str(_frame(message))
                    async for frame in _frames(ws):
                        refused = self._answered(waiting, frame)
                        if refused is not None:
                            await asyncio.sleep(RETRY_S)
                            await ws.send_str(_frame(refused))
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

    def _answered(
        self, waiting: OrderedDict[str, dict[str, Any]], frame: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Take an answer in; the message to send again if it was refused."""
        if frame["type"] == "error" and frame["code"] in NOT_NOW:
            self.history.refused[frame["code"]] += 1
            return waiting[frame["ref"]]
        if frame["type"] == "published":
            self.record(waiting.pop(frame["ref"]), frame)
        else:
            assert frame["type"] in ("heartbeat_ack", "closing"), frame
        return None


async def _frames(ws: aiohttp.ClientWebSocketResponse) -> AsyncIterator[dict[str, Any]]:
    """Frames until the connection ends; begins with a heartbeat's answer."""
    await ws.send_str('{"type":"heartbeat"}')
    async for message in ws:
        if message.type is aiohttp.WSMsgType.TEXT:
            yield json.loads(message.data)


def _frame(message: dict[str, Any]) -> str:
    return json.dumps({"type": "publish", **message, "ref": message["idempotency_key"]})
