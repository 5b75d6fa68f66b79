"""Subscribers of every kind, which record all that they see and all that they decide."""

from __future__ import annotations

import asyncio
import itertools
import json
from dataclasses import replace
from random import Random
from typing import Any

import aiohttp

from tests.crash.history import (
    Connected,
    Delivered,
    Fault,
    History,
    Settled,
    Stream,
    Verdict,
    value_of,
)

RETRY_S = 0.05
IDLE_S = 0.05
_connections = itertools.count(1)
LOST = (aiohttp.ClientError, ConnectionError, TimeoutError)


class Subscriber:
    """One client that connects again and again. A base whose `decide` says what to do."""

    batch_count = 1
    """How many acks go into one frame."""
    ref_share = 0.5
    """The share of settling frames that ask for a confirmation."""

    def __init__(
        self, stream: Stream, pattern: str, url: str, history: History, random: Random
    ) -> None:
        self.stream = stream
        self.pattern = pattern
        self.url = url
        self.history = history
        self.random = random
        self.stop = asyncio.Event()
        self.position: dict[str, int] = dict.fromkeys(stream.topics, 0)
        self._connection = 0
        self._refs = itertools.count(1)
        self._asked: dict[str, list[Settled]] = {}
        self._to_ack: list[dict[str, Any]] = []

    async def run(self, session: aiohttp.ClientSession) -> None:
        """Receive until stopped."""
        while not self.stop.is_set():
            try:
                async with session.ws_connect(f"{self.where()}/ws", max_msg_size=0) as ws:
                    await self._attend(ws)
            except LOST:
                pass
            await asyncio.sleep(RETRY_S)

    def where(self) -> str:
        """The URL of the server to ask next."""
        return self.url

    # What kinds of subscribers differ in ----------------------------------------------------------

    def subscribe_frame(self) -> dict[str, Any]:
        """The frame that begins, or resumes, the stream."""
        return {"type": "subscribe", "topic": self.pattern, "subscription": self.stream.name}

    async def decide(self, frame: dict[str, Any], value: str) -> Verdict:
        """What becomes of a delivery. May take its time."""
        return "ack"

    def wants_to_leave(self) -> bool:
        """Whether to break the connection off now."""
        return False

    def connected(self, connection: int) -> Connected:
        """What to note of a new connection."""
        return Connected(self.stream.name, connection)

    def settled(self, frames: list[dict[str, Any]], verdict: Verdict) -> list[Settled]:
        """What to note of deliveries that are settled."""
        place = (self.stream.name, self._connection)
        return [
            Settled(*place, each["topic"], each["seq"], each["attempt"], verdict) for each in frames
        ]

    # One connection -------------------------------------------------------------------------------

    async def _attend(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self._connection = next(_connections)
        self._asked.clear()
        self._to_ack.clear()
        self.history.events.append(self.connected(self._connection))
        await ws.send_str(json.dumps(self.subscribe_frame()))
        while not self.stop.is_set() and not self.wants_to_leave():
            try:
                message = await ws.receive(timeout=IDLE_S)
            except TimeoutError:
                await self._flush(ws)
                continue
            if message.type is not aiohttp.WSMsgType.TEXT:
                return
            await self._frame(ws, json.loads(message.data))
        if self.stop.is_set():
            await self._flush(ws)

    async def _frame(self, ws: aiohttp.ClientWebSocketResponse, frame: dict[str, Any]) -> None:
        kind = frame["type"]
        if kind == "message":
            await self._message(ws, frame)
        elif kind == "acked":
            self.history.events += self._asked.pop(frame["ref"])
        elif kind == "gap" or (kind == "subscribed" and frame.get("recovered") is False):
            self.history.events.append(Fault(self.stream.name, json.dumps(frame)))
        elif kind == "error" and frame["code"] in ("store_unavailable", "outcome_unknown"):
            self.history.turned_away[frame["code"]] += 1
            raise ConnectionAbortedError("the server cannot go on with this now")
        elif kind == "error" and frame["code"] != "unknown_delivery":
            # A late ack is refused with unknown_delivery; all else is not expected.
            self.history.events.append(Fault(self.stream.name, json.dumps(frame)))

    async def _message(self, ws: aiohttp.ClientWebSocketResponse, frame: dict[str, Any]) -> None:
        topic, seq, attempt = frame["topic"], frame["seq"], frame["attempt"]
        value = value_of(frame["payload"])
        self.history.events.append(
            Delivered(
                self.stream.name, self._connection, topic, seq, attempt, value, frame["message_id"]
            )
        )
        self.position[topic] = max(self.position[topic], seq)
        verdict = await self.decide(frame, value)
        if verdict == "ack":
            self._to_ack.append(frame)
            if len(self._to_ack) >= self.batch_count:
                await self._flush(ws)
        else:
            await self._settle(ws, verdict, [frame], {"message_id": frame["message_id"]})

    async def _flush(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        """Send the acks that were collected."""
        frames, self._to_ack = self._to_ack, []
        if frames:
            await self._settle(ws, "ack", frames, self.ack_fields(frames))

    def ack_fields(self, frames: list[dict[str, Any]]) -> dict[str, Any]:
        """How to name these deliveries in an ack."""
        if len(frames) == 1:
            return {"message_id": frames[0]["message_id"]}
        return {"message_ids": [frame["message_id"] for frame in frames]}

    async def _settle(
        self,
        ws: aiohttp.ClientWebSocketResponse,
        verdict: Verdict,
        frames: list[dict[str, Any]],
        fields: dict[str, Any],
    ) -> None:
        settled = self.settled(frames, verdict)
        self.history.events += settled
        frame = {"type": verdict, **fields}
        if self.random.random() < self.ref_share:
            frame["ref"] = str(next(self._refs))
            self._asked[frame["ref"]] = [replace(each, confirmed=True) for each in settled]
        if verdict == "nack":
            frame["delay_ms"] = self.random.choice((0, 20, 200))
        await ws.send_str(json.dumps(frame))


class Worker(Subscriber):
    """Competes with others; sometimes nacks, sometimes is slow, sometimes breaks the connection."""

    nack_share = 0.03
    slow_share = 0.01
    leave_share = 0.0

    async def decide(self, frame: dict[str, Any], value: str) -> Verdict:
        """Mostly ack."""
        if self.random.random() < self.slow_share:
            await asyncio.sleep(self.random.uniform(0.05, 0.4))
        return "nack" if self.random.random() < self.nack_share else "ack"

    def wants_to_leave(self) -> bool:
        """Now and then."""
        return self.random.random() < self.leave_share


class RestlessWorker(Worker):
    """Breaks its connection off now and then, with deliveries in flight."""

    leave_share = 0.003
    batch_count = 7


class Clerk(Subscriber):
    """Acks in lists."""

    batch_count = 10


class Undertaker(Clerk):
    """Never acks the doomed: nacks some until they die and rejects the others."""

    async def decide(self, frame: dict[str, Any], value: str) -> Verdict:
        """Doomed values end in what the stream says."""
        if value.endswith(self.stream.doomed):
            return "reject" if value.endswith(self.stream.doomed[0]) else "nack"
        return "ack"


class Bookkeeper(Subscriber):
    """Acks cumulatively: a topic and a seq, for everything up to it."""

    batch_count = 15

    def ack_fields(self, frames: list[dict[str, Any]]) -> dict[str, Any]:
        """The highest of the collected."""
        return {"topic": frames[0]["topic"], "seq": max(frame["seq"] for frame in frames)}


class Follower(Subscriber):
    """Ephemeral: keeps its own position and resumes after it. `epochs` are those of its topics."""

    batch_count = 25

    def __init__(self, *given: Any, epochs: dict[str, str]) -> None:
        super().__init__(*given)
        self.epochs = epochs

    def subscribe_frame(self) -> dict[str, Any]:
        """Resume after the last message that was seen on every topic."""
        positions = {
            topic: {"seq": seq + 1, "epoch": self.epochs[topic]}
            for topic, seq in self.position.items()
        }
        literal = len(positions) == 1
        start = next(iter(positions.values())) if literal else {"positions": positions}
        return {"type": "subscribe", "topic": self.pattern, "start": start}
