"""What does one tenant notice of another that is at all its limits?

One process has a broker, and the load in the same event loop, without sockets: what is measured is how work
is shared there. The neighbour publishes at fixed times, and each answer counts from when its publish was due.
It has one subscriber. The other tenant publishes as often as the loop turns, alone and in batches, also
when it is refused. Its messages go to many subscribers, some of which begin at the start of the log again and
again, and one nacks whatever it gets. With `other` `none` there is nobody else.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import gc
import itertools
import math
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import uvloop

from bench import loads
from bench.harness import Case, Outcome, percentile
from bench.systems import directory
from conduit.broker.attach.connection import Connection
from conduit.broker.broker import Broker, BrokerOptions
from conduit.broker.clock import SystemClock
from conduit.broker.publish.admission import size_of
from conduit.core.message import Retention
from conduit.errors import ConduitError
from conduit.limits import TenantLimits
from conduit.load.checks import Checks
from conduit.protocol.frames import Nack, PublishRequest, Subscribe
from conduit.protocol.records import Receipt
from conduit.storage.base import Store
from conduit.storage.memory import MemoryStore
from conduit.storage.sqlite import SqliteStore

NEIGHBOUR, OTHER, TOPIC = "neighbour", "other", "t"
RATE = 200
# Of the other tenant: about a tenth of what one core does.
LIMITS = TenantLimits(
    publishes_per_s=500,
    publish_bytes_per_s=1 << 20,
    deliveries_per_s=10_000,
    stored_bytes=64 << 20,
    dead_letters=1_000,
    pending_retries=1_000,
    topics=10,
    subscriptions=10,
)
SUBSCRIBERS, READERS = 500, 20
PAYLOAD = msgspec.Raw(b'"' + b"x" * 200 + b'"')
BATCH = 100
READ_AGAIN_S = 0.5
# Between a publish that was refused and the next one.
REFUSED_S = 0.001
# After the last publish, for its answer and delivery.
DRAIN_S = 5.0


def cases(short: bool) -> list[Case]:
    """Each store, alone and beside the other."""
    seconds = 6.0 if short else 30.0
    return [
        Case(
            "neighbours",
            "conduit",
            store,
            {"other": other, "publishes_per_s": RATE, "loop": f"open, {seconds:g} s"},
            functools.partial(_run, store, other, seconds),
        )
        for store in ("memory", "sqlite")
        for other in ("none", "at its limits")
    ]


@dataclasses.dataclass
class Seen:
    """What both saw. Times in milliseconds, from when a publish was due."""

    answered_ms: list[float]
    delivered_ms: list[float]
    late_ms: list[float]
    others_stored: int = 0
    others_refused: int = 0
    others_delivered: int = 0


def _run(store: str, other: str, seconds: float) -> Outcome:
    with directory() as path:
        seen, cores = loads.run(_share, str(path), store, other != "none", seconds)
    answered, delivered = sorted(seen.answered_ms), sorted(seen.delivered_ms)
    count = len(seen.late_ms)
    figures = {
        "publish_p50_ms": percentile(answered, 0.5),
        "publish_p99_ms": percentile(answered, 0.99),
        "delivery_p99_ms": percentile(delivered, 0.99),
        "late_p99_ms": percentile(sorted(seen.late_ms), 0.99),
    }
    if other != "none":
        figures |= {
            "others_stored_per_s": seen.others_stored / seconds,
            "others_refused_per_s": seen.others_refused / seconds,
            "others_delivered_per_s": seen.others_delivered / seconds,
        }
    checks = Checks(count, len(delivered), count - len(delivered))
    return Outcome(figures, checks, cores, throughput=False)


def _share(ready: Callable[[], None], path: str, store: str, is_busy: bool, seconds: float) -> Seen:
    """The load, and what it loads."""
    loads.run_promptly()
    return uvloop.run(_shared(ready, _made(Path(path), store), is_busy, seconds))


def _made(path: Path, store: str) -> Store:
    return MemoryStore() if store == "memory" else SqliteStore(path / "conduit.db")


async def _shared(ready: Callable[[], None], store: Store, is_busy: bool, seconds: float) -> Seen:
    broker = Broker(store, SystemClock(), BrokerOptions())
    await broker.start()
    try:
        broker.allowances.set_limits(OTHER, LIMITS)
        for tenant in (NEIGHBOUR, OTHER):
            await broker.topics.create(tenant, TOPIC, Retention(max_messages=10_000))
        neighbour = _Neighbour(broker)
        await neighbour.connection.subscribe(Subscribe(TOPIC, ack="auto"))
        other = _Other(broker)
        if is_busy:
            await other.subscribe()
        ready()
        # As in the server, which collects by itself, in small parts.
        gc.disable()
        if is_busy:
            other.begin(seconds)
        await neighbour.run(seconds)
        seen = neighbour.seen
        stats = broker.stats_of(OTHER).counts
        seen.others_stored, seen.others_delivered = stats.published_count, stats.delivered_count
        seen.others_refused = other.refused_count
        return seen
    finally:
        await broker.stop()


class _Peer:
    """A connection that takes what comes, as fast as it comes."""

    writable = True
    heard_until = math.inf
    node_name = None

    def write(self, data: bytes) -> None:
        """See `Peer`."""

    def close(self, code: int, reason: str) -> None:
        """See `Peer`."""

    def on_growing(self) -> None:
        """See `Peer`."""

    def go_on(self) -> None:
        """See `Peer`."""


class _Neighbour(_Peer):
    """Publishes at fixed times, and is its own subscriber."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.connection = broker.connect(NEIGHBOUR, self)
        self.seen = Seen([], [], [])
        self._due: list[float] = []
        self._count = 0
        self._is_over = asyncio.Event()

    async def run(self, seconds: float) -> None:
        """Until all is answered and delivered, or it takes too long."""
        loop = asyncio.get_running_loop()
        began = time.monotonic() + 0.1
        count = int(seconds * RATE)
        for number in range(count):
            due = began + number / RATE
            loop.call_later(due - time.monotonic(), self._publish, due)
        until = began + seconds + DRAIN_S
        self._count = count
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._is_over.wait(), until - time.monotonic())

    def _publish(self, due: float) -> None:
        self.seen.late_ms.append((time.monotonic() - due) * 1000)
        self._due.append(due)
        request = PublishRequest(TOPIC, PAYLOAD)
        self._broker.publish(NEIGHBOUR, request, functools.partial(self._answered, due))

    def _answered(self, due: float, answer: Receipt | ConduitError) -> None:
        if isinstance(answer, Receipt):
            self.seen.answered_ms.append((time.monotonic() - due) * 1000)

    def write(self, data: bytes) -> None:
        """Messages come in the order of their publishes."""
        now = time.monotonic()
        for _ in range(data.count(b'"type":"message"')):
            due = self._due[len(self.seen.delivered_ms)]
            self.seen.delivered_ms.append((now - due) * 1000)
        if 0 < self._count == len(self.seen.delivered_ms):
            self._is_over.set()


class _Nacking(_Peer):
    """Gives back whatever it gets."""

    def __init__(self, broker: Broker) -> None:
        self.connection = broker.connect(OTHER, self)

    def write(self, data: bytes) -> None:
        """Nacks come in a later turn of the loop, as over a socket."""
        loop = asyncio.get_running_loop()
        for part in data.split(b'"message_id":"')[1:]:
            loop.call_soon(self._nack, part[:36].decode())

    def _nack(self, message_id: str) -> None:
        self.connection.verbs.nack(Nack(message_id, delay_ms=100))


class _Other:
    """Does as much as it may, and tries more."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._meter = broker.allowances.meter(OTHER)
        self._until = 0.0
        self._numbers = itertools.count()
        self.refused_count = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def subscribe(self) -> None:
        """Its many subscribers, and the one that nacks."""
        for _ in range(SUBSCRIBERS):
            await self._broker.connect(OTHER, _Peer()).subscribe(Subscribe(TOPIC, ack="auto"))
        subscription = Subscribe(TOPIC, subscription="nacks", max_attempts=3)
        await _Nacking(self._broker).connection.subscribe(subscription)

    def begin(self, seconds: float) -> None:
        """Until so many seconds are over."""
        self._until = time.monotonic() + seconds
        loop = asyncio.get_running_loop()
        loop.call_soon(self._publish)
        for number in range(READERS):
            loop.call_later(number * READ_AGAIN_S / READERS, self._read_again, None)

    def _publish(self) -> None:
        if time.monotonic() >= self._until:
            return
        loop = asyncio.get_running_loop()
        request = PublishRequest(TOPIC, PAYLOAD)
        count = BATCH if next(self._numbers) % 10 == 0 else 1
        try:
            self._meter.admit_publish(count, count * size_of(request), self._broker.clock.now())
        except ConduitError:
            self.refused_count += 1
            loop.call_later(REFUSED_S, self._publish)
            return
        if count > 1:
            self._broker.publish_batch(OTHER, [request] * count, lambda _: None)
        else:
            self._broker.publish(OTHER, request, lambda _: None)
        loop.call_soon(self._publish)

    def _read_again(self, before: Connection | None) -> None:
        if before is not None:
            before.close()
        if time.monotonic() >= self._until:
            return
        loop = asyncio.get_running_loop()
        connection = self._broker.connect(OTHER, _Peer())
        task = loop.create_task(
            connection.subscribe(Subscribe(TOPIC, ack="auto", start="earliest"))
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        loop.call_later(READ_AGAIN_S, self._read_again, connection)
