"""Publishers and subscribers of a cluster: those of tests/crash, which go to any node, and note where and
when."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import aiohttp

from tests.chaos.history import Attempt, ClusterHistory, Left
from tests.crash import publishers, subscribers
from tests.crash.history import Connected, Delivered, Settled, Verdict, value_of

# Of a node that is stopped or cut off, an answer is not waited for much longer than a healthy one takes.
REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=4.0)
CONNECT_TIMEOUT_S = 4.0
RETRY_S = 0.05
# Of what was acked, what is asked for again at another node, to see that it gives the same answer.
REPEAT_SHARE = 0.05
# After so long without any frame a subscriber leaves its node: some before one that is stopped goes on.
SILENT_S = (4.0, 15.0)
HEARTBEAT_S = 1.0
_HEARTBEAT = '{"type":"heartbeat"}'
# What a subscriber may be told while the cluster cannot go on with what it asks.
NOT_NOW = {"store_unavailable", "outcome_unknown", "overloaded", "shutting_down"}
# That a verb was not done, because it came too late, or because the owner was lost meanwhile.
NOT_DONE = {"stale_attempt", "unknown_delivery", "unavailable"}


@dataclass
class Places:
    """The nodes, by name, as clients reach them."""

    urls: dict[str, str]
    random: Random

    def other(self, than: str = "") -> tuple[str, str]:
        """Name and URL of any node, but of that one if there are others."""
        names = [name for name in self.urls if name != than] or list(self.urls)
        name = self.random.choice(names)
        return name, self.urls[name]


class Anywhere(publishers.Publisher):
    """A publisher that asks another node each time, and whose messages go to these topics."""

    places: Places
    topics: tuple[str, ...]
    history: ClusterHistory
    node = ""
    pause_s = 0.05

    def at(self, places: Places, topics: tuple[str, ...], pause_s: float) -> Anywhere:
        """The same, ready."""
        self.places, self.topics, self.pause_s = places, topics, pause_s
        return self

    def where(self) -> str:
        """The URL of the node to ask next."""
        self.node, url = self.places.other(self.node)
        return url

    def message(self, topic: str | None = None, *, keyed: bool = True) -> dict[str, Any]:
        """The next message."""
        return super().message(topic or self.random.choice(self.topics), keyed=keyed)

    async def pace(self) -> None:
        """A pause, so that the machine is busy and not swamped."""
        await asyncio.sleep(self.random.uniform(0.5, 1.5) * self.pause_s)

    def tried(self, code: str) -> None:
        """Note how the last try has ended."""
        self.history.attempts.append(Attempt(self.node, self.sent_at, time.monotonic(), code))

    async def post(
        self, session: aiohttp.ClientSession, path: str, body: dict[str, Any]
    ) -> dict[str, Any]:
        """Ask one node after the other until the answer is 200."""
        while True:
            url, self.sent_at = self.where() + path, time.monotonic()
            try:
                async with session.post(url, json=body, timeout=REQUEST_TIMEOUT) as answer:
                    if answer.status == 200:
                        result: dict[str, Any] = await answer.json()
                        self.tried("ok")
                        return result
                    self.tried(await self.refusal(answer))
            except publishers.LOST:
                self.tried("lost")
            await asyncio.sleep(RETRY_S)


class HttpPublisher(Anywhere):
    """One message at a time, each at another node; some are asked for again elsewhere although they were
    acked."""

    async def run(self, session: aiohttp.ClientSession) -> None:
        """Publish until stopped."""
        while not self.stop.is_set():
            message = self.message()
            self.record(message, await self.post(session, "/api/publish", message))
            if self.random.random() < REPEAT_SHARE:
                self.record(message, await self.post(session, "/api/publish", message))
            await self.pace()


class BatchPublisher(Anywhere, publishers.BatchPublisher):
    """Batches over several topics, repeated whole at another node if the answer is lost."""


class CarelessPublisher(Anywhere, publishers.CarelessPublisher):
    """No idempotency key: what is lost stays unknown."""


class WsPublisher(Anywhere, publishers.WsPublisher):
    """A window of frames; what was not answered goes on the next connection, which is at another node."""

    def _answered(
        self, waiting: OrderedDict[str, dict[str, Any]], frame: dict[str, Any]
    ) -> dict[str, Any] | None:
        if frame["type"] == "error" and frame["code"] == "shutting_down":
            raise ConnectionAbortedError("the node goes")
        self.sent_at = time.monotonic()
        if frame["type"] in ("published", "error"):
            self.tried("ok" if frame["type"] == "published" else frame["code"])
        return super()._answered(waiting, frame)


class Member(subscribers.Subscriber):
    """A subscriber that settles what it gets after a while, and reads on meanwhile, so that it notes when a
    frame came.

    `home` is the node that it goes to first; it changes when a connection is lost.
    """

    places: Places
    history: ClusterHistory
    nack_share = 0.02
    slow_share = 0.05
    slow_s = 2.5
    leave_share = 0.0005
    home = ""

    def at(self, places: Places, home: str) -> Member:
        """The same, ready."""
        self.places, self.home, self.node = places, home, ""
        self._due: list[tuple[float, int, Verdict, dict[str, Any]]] = []
        self._order = itertools.count()
        self._heard_at = self._beat_at = 0.0
        return self

    def where(self) -> str:
        """The URL of the node to connect to next."""
        if self.node:
            self.home, _ = self.places.other(self.node)
        self.node = self.home
        return self.places.urls[self.node]

    def wants_to_leave(self) -> bool:
        """Now and then, and when the node says nothing any more."""
        is_silent = time.monotonic() - self._heard_at > self._patience_s
        return is_silent or self.random.random() < self.leave_share

    async def run(self, session: aiohttp.ClientSession) -> None:
        """Receive until stopped."""
        while not self.stop.is_set():
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    ws = await session.ws_connect(f"{self.where()}/ws", max_msg_size=0)
                async with ws:
                    await self._attend(ws)
            except subscribers.LOST:
                pass
            await asyncio.sleep(RETRY_S)

    async def _attend(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self._due.clear()
        self._patience_s = self.random.choice(SILENT_S)
        self._heard_at = self._beat_at = time.monotonic()
        try:
            await super()._attend(ws)
        finally:
            left = Left(self.stream.name, self._connection, time.monotonic())
            self.history.left.append(left)

    def connected(self, connection: int) -> Connected:
        """What to note of a new connection."""
        return Connected(self.stream.name, connection, self.node, time.monotonic())

    async def _frame(self, ws: aiohttp.ClientWebSocketResponse, frame: dict[str, Any]) -> None:
        self._heard_at = now = time.monotonic()
        if frame["type"] == "acked":
            settled = self._asked.pop(frame["ref"])
            self.history.events += [replace(each, at=now) for each in settled]
        elif frame["type"] == "error" and frame["code"] in NOT_NOW:
            self.history.turned_away[frame["code"]] += 1
            raise ConnectionAbortedError("the cluster cannot go on with this now")
        elif frame["type"] == "error" and frame["code"] in NOT_DONE:
            self._asked.pop(frame.get("ref", ""), None)
        elif frame["type"] not in ("heartbeat_ack", "closing"):
            await super()._frame(ws, frame)
        await self._beat(ws, now)

    async def _beat(self, ws: aiohttp.ClientWebSocketResponse, now: float) -> None:
        if now - self._beat_at > HEARTBEAT_S:
            self._beat_at = now
            await ws.send_str(_HEARTBEAT)

    async def _message(self, ws: aiohttp.ClientWebSocketResponse, frame: dict[str, Any]) -> None:
        topic, seq, attempt = frame["topic"], frame["seq"], frame["attempt"]
        value, now = value_of(frame["payload"]), self._heard_at
        place = (self.stream.name, self._connection, topic, seq, attempt)
        self.history.events.append(Delivered(*place, value, frame["message_id"], now))
        self.position[topic] = max(self.position[topic], seq)
        verdict = await self.decide(frame, value)
        heapq.heappush(self._due, (now + self.wait_s(), next(self._order), verdict, frame))
        await self._flush(ws)

    async def decide(self, frame: dict[str, Any], value: str) -> Verdict:
        """Mostly ack; the doomed are nacked until they die."""
        if value.endswith(self.stream.doomed or ("\0",)):
            return "reject" if value.endswith(self.stream.doomed[0]) else "nack"
        return "nack" if self.random.random() < self.nack_share else "ack"

    def wait_s(self) -> float:
        """How long a message is worked on."""
        is_slow = self.random.random() < self.slow_share
        return self.random.uniform(0.2, self.slow_s) if is_slow else 0.0

    async def _flush(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        """Settle what is due."""
        now, acked = time.monotonic(), []
        while self._due and self._due[0][0] <= now:
            _, _, verdict, frame = heapq.heappop(self._due)
            if verdict == "ack":
                acked.append(frame)
            else:
                await self._settle(ws, verdict, [frame], {"message_id": frame["message_id"]})
        if acked:
            await self._settle(ws, "ack", acked, self.ack_fields(acked))
        await self._beat(ws, now)

    def settled(self, frames: list[dict[str, Any]], verdict: Verdict) -> list[Settled]:
        """What to note of what is settled now."""
        now = time.monotonic()
        return [replace(each, at=now) for each in super().settled(frames, verdict)]


class Follower(Member):
    """Ephemeral: resumes after the last message of each topic that it has seen, with the epochs of its
    topics."""

    ref_share = 0.0
    nack_share = 0.0
    slow_share = 0.0
    leave_share = 0.0002

    def of(self, epochs: dict[str, str]) -> Follower:
        """The same, ready."""
        self.epochs = epochs
        return self

    subscribe_frame = subscribers.Follower.subscribe_frame
