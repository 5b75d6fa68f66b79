"""A broker on the memory store with a clock that is moved by hand, and peers that read their frames."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from conduit.broker.attach.connection import Connection
from conduit.broker.broker import Broker, BrokerOptions
from conduit.broker.commits import Commits
from conduit.broker.deliver.sequencer import HOLE_S
from conduit.broker.deliver.settings import DURABLE
from conduit.broker.stamps import Stamps
from conduit.broker.stats import Stats
from conduit.broker.store_time import StoreTime
from conduit.broker.traces import Traces
from conduit.broker.waiting import result_of
from conduit.core.message import SubscriptionSettings
from conduit.core.timeline import Reading
from conduit.names import DEFAULT_TENANT
from conduit.protocol.frames import PublishRequest, Subscribe
from conduit.protocol.records import Receipt
from conduit.storage.memory import MemoryStore

# Turns of the loop that a fact may take to come true.
TURNS_MAX_COUNT = 2_000


class ManualClock:
    """A machine's clocks, which stand still until they are moved. The wall clock is `ahead_s` of UTC."""

    def __init__(self) -> None:
        self.seconds = 1_700_000_000.0
        self.ahead_s = 0.0
        self.boot_id = "boot"

    def now(self) -> float:
        return self.seconds

    def wall_ms(self) -> int:
        return int((self.seconds + self.ahead_s) * 1000)

    def reading(self) -> Reading:
        return Reading(self.wall_ms(), self.boot_id, int(self.seconds * 1000))


def made_commits(clock: ManualClock) -> Commits:
    """Commits without a broker."""
    store = MemoryStore()
    return Commits(clock, Stamps(store, StoreTime(store, clock)), Stats(clock.now()))


class Peer:
    """A connection whose frames are kept, decoded; `writable` and `heard_until` are set by the test."""

    def __init__(self) -> None:
        self.writable = True
        self.heard_until = math.inf
        self.node_name: str | None = None
        self.frames: list[dict[str, Any]] = []
        self.closed: tuple[int, str] | None = None
        self.growing_count = self.went_on_count = 0

    def write(self, data: bytes) -> None:
        while data:
            assert data[0] == 0x81
            length, head = data[1], 2
            if length == 126:
                length, head = int.from_bytes(data[2:4], "big"), 4
            elif length == 127:
                length, head = int.from_bytes(data[2:10], "big"), 10
            self.frames.append(json.loads(data[head : head + length]))
            data = data[head + length :]

    def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)

    def on_growing(self) -> None:
        """More is kept for it."""
        self.growing_count += 1

    def go_on(self) -> None:
        """The look-ups of acks are over."""
        self.went_on_count += 1

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The frames of one type."""
        return [frame for frame in self.frames if frame["type"] == kind]

    @property
    def seqs(self) -> list[int]:
        """The numbers of the messages, in the order in which they came."""
        return [frame["seq"] for frame in self.of("message")]

    @property
    def attempts(self) -> list[tuple[int, int]]:
        """(seq, attempt) of the messages."""
        return [(frame["seq"], frame["attempt"]) for frame in self.of("message")]


class Bench:
    """What a test of the broker works with."""

    def __init__(self, broker: Broker, clock: ManualClock) -> None:
        self.broker = broker
        self.clock = clock

    async def until(self, fact: Callable[[], bool]) -> None:
        """Let the loop turn until `fact` is true, within a bound."""
        for _ in range(TURNS_MAX_COUNT):
            if fact():
                return
            await asyncio.sleep(0)
        raise AssertionError("it did not come true")

    async def rest(self) -> None:
        """Let everything that is under way come to an end."""
        for _ in range(20):
            await asyncio.sleep(0)

    async def advance(self, seconds: float) -> None:
        """Move the clock and have the deadlines looked at."""
        deadlines = self.broker._engine.deadlines
        deadlines.rng.seed(0)
        self.clock.seconds += seconds
        for _ in range(3):
            # The first one judges by the time of the sweep before.
            deadlines.sweep(self.clock.seconds)
            await self.rest()

    @staticmethod
    def request(topic: str, payload: object = 1, **fields: Any) -> PublishRequest:
        return PublishRequest(topic, msgspec.Raw(json.dumps(payload).encode()), **fields)

    async def publish(self, topic: str, payload: object = 1, **fields: Any) -> Receipt:
        request = self.request(topic, payload, **fields)
        receipt = await result_of(
            lambda answer: self.broker.publish(DEFAULT_TENANT, request, answer)
        )
        await self.rest()
        return receipt

    async def publish_many(self, topic: str, count: int) -> list[Receipt]:
        requests = [PublishRequest(topic, msgspec.Raw(b"%d" % n)) for n in range(count)]
        receipts = await result_of(
            lambda answer: self.broker.publish_batch(DEFAULT_TENANT, requests, answer)
        )
        await self.rest()
        return receipts

    async def fill_holes(self) -> None:
        """What others have stored and nobody has told is waited for no longer."""
        for held in self.broker.sequencer._held.values():
            held.since -= HOLE_S
        self.broker.sequencer._look()
        await self.rest()

    def forget_tail(self, topic: str, last_seq: int) -> None:
        """Have everything up to `last_seq` read from the log from now on."""
        found = self.broker.topics.get(DEFAULT_TENANT, topic)
        feed = self.broker._engine.feeds.find(found.topic_id)
        if feed is not None:
            feed.skip_to(last_seq)

    @staticmethod
    def durable_settings() -> SubscriptionSettings:
        return DURABLE

    def connect(self) -> tuple[Connection, Peer]:
        peer = Peer()
        return self.broker.connect(DEFAULT_TENANT, peer), peer

    async def subscribe(self, topic: str, **fields: Any) -> tuple[Connection, Peer]:
        connection, peer = self.connect()
        await connection.subscribe(Subscribe(topic, **fields))
        await self.rest()
        return connection, peer

    async def tidy(self) -> None:
        """Have some cursors looked at that had nothing to do lately."""
        self.broker.router.tidy()
        await self.broker._engine.turn.finished()

    async def flush(self) -> None:
        """Have all progress stored, and idle subscriptions unloaded."""
        await self.broker._engine.progress.stored()
        await self.rest()


@asynccontextmanager
async def running_broker(
    store: Any = None,
    clock: ManualClock | None = None,
    traces: Traces | None = None,
    **options: Any,
) -> AsyncIterator[Bench]:
    clock = clock or ManualClock()
    broker = Broker(store or MemoryStore(), clock, BrokerOptions(**options), traces)
    await broker.start()
    try:
        yield Bench(broker, clock)
    finally:
        await broker.stop()
