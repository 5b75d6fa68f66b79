"""What goes on while faults strike: publishers and subscribers of every kind, and the history they write."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import aiohttp

from tests.crash.checker import Report, check
from tests.crash.history import Dead, History, Stored, Stream, value_of
from tests.crash.publishers import (
    TOPICS,
    BatchPublisher,
    CarelessPublisher,
    HttpPublisher,
    Publisher,
    WsPublisher,
)
from tests.crash.subscribers import (
    Bookkeeper,
    Clerk,
    Follower,
    RestlessWorker,
    Subscriber,
    Undertaker,
    Worker,
)
from tests.support.http import Api, accepted

STRICT_TOPIC = "crash.strict"
ALL_TOPICS = (*TOPICS, STRICT_TOPIC)
DRAIN_WITHIN_S = 60.0
# A delivery that died is not owed from that moment on; its dead letter is there once it is stored: within
# 0.2 s, or one try later.
BURIED_WITHIN_S = 2.0
STREAMS = [
    Stream("workers", ALL_TOPICS, shared=True),
    Stream("clerk", ("crash.a",)),
    Stream("undertaker", ("crash.a",), doomed=("13", "37")),
    Stream("bookkeeper", ("crash.b",)),
    Stream("strict", (STRICT_TOPIC,), strict=True),
    Stream("follower", ("crash.a",), durable=False),
    Stream("wide-follower", ALL_TOPICS, durable=False),
]
# A short wait, so that time-outs happen in a run; attempts enough that only the doomed die of them.
SETTINGS = {"ack_wait_ms": 500, "max_attempts": 50, "max_in_flight": 64}
SPECIAL = {
    "undertaker": {**SETTINGS, "max_attempts": 3},
    "strict": {**SETTINGS, "order": "strict"},
}


class Load:
    """The clients of one server, and what they saw."""

    streams = STREAMS
    topics = ALL_TOPICS
    history: History

    def __init__(self, url: str, random: Random) -> None:
        self.url = url
        self.random = random
        self.api = Api(url)
        self.history = self.begun()

    def begun(self) -> History:
        """The history in which nothing has happened yet."""
        return History(list(self.streams))

    def judged(self) -> Report:
        """What the checker says of it."""
        return check(self.history)

    async def go(self, disturb: Callable[[], Awaitable[None]]) -> Report:
        """Load, `disturb` under it, drain, collect, check."""
        epochs = await asyncio.to_thread(self._prepare)
        publishers, subscribers = self._publishers(), self._subscribers(epochs)
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
            asyncio.TaskGroup() as group,
        ):
            for subscriber in subscribers:
                group.create_task(subscriber.run(session))
            async with asyncio.TaskGroup() as publishing:
                for publisher in publishers:
                    publishing.create_task(publisher.run(session))
                await disturb()
                for publisher in publishers:
                    publisher.stop.set()
            owed = await self._drain(subscribers)
            await asyncio.sleep(BURIED_WITHIN_S)
            for subscriber in subscribers:
                subscriber.stop.set()
        await asyncio.to_thread(self._collect, epochs)
        report = self.judged()
        if owed:
            report.break_promise("not_drained", owed)
        return report

    # Before ---------------------------------------------------------------------------------------

    def _prepare(self) -> dict[str, str]:
        """Topics and subscriptions; the epoch of each topic."""
        epochs = {topic: self.api.create_topic(topic)["epoch"] for topic in self.topics}
        for stream in self.streams:
            if stream.durable:
                self._create(stream)
        return epochs

    def _create(self, stream: Stream) -> None:
        pattern = stream.topics[0] if len(stream.topics) == 1 else "crash.>"
        settings = SPECIAL.get(stream.name, SETTINGS)
        body = {"name": stream.name, "topic": pattern, **settings}
        accepted(self.api.post("/api/subscriptions", body), 201)

    def _publishers(self) -> list[Publisher]:
        def make(kind: Any, name: str, **more: Any) -> Publisher:
            publisher: Publisher = kind(
                name, self.url, self.history, Random(self.random.random()), **more
            )
            return publisher

        return [
            make(HttpPublisher, "h1"),
            make(HttpPublisher, "h2"),
            make(HttpPublisher, "s1", topic=STRICT_TOPIC),
            make(BatchPublisher, "b1"),
            make(CarelessPublisher, "c1"),
            make(WsPublisher, "w1"),
        ]

    def _subscribers(self, epochs: dict[str, str]) -> list[Subscriber]:
        streams = {stream.name: stream for stream in STREAMS}

        def make(kind: Any, name: str, **more: Any) -> Subscriber:
            stream = streams[name]
            pattern = stream.topics[0] if len(stream.topics) == 1 else "crash.>"
            subscriber: Subscriber = kind(
                stream, pattern, self.url, self.history, Random(self.random.random()), **more
            )
            return subscriber

        return [
            make(Worker, "workers"),
            make(Worker, "workers"),
            make(RestlessWorker, "workers"),
            make(Clerk, "clerk"),
            make(Undertaker, "undertaker"),
            make(Bookkeeper, "bookkeeper"),
            make(Subscriber, "strict"),
            make(Follower, "follower", epochs=epochs),
            make(Follower, "wide-follower", epochs=epochs),
        ]

    # After ----------------------------------------------------------------------------------------

    async def _drain(self, subscribers: list[Subscriber]) -> object:
        """Wait until nothing is owed to anyone; what still is after `DRAIN_WITHIN_S`."""
        deadline = time.monotonic() + DRAIN_WITHIN_S
        while True:
            owed = await asyncio.to_thread(self._owed)
            last = await asyncio.to_thread(self._last_seqs)
            behind = {
                (each.stream.name, topic): last[topic] - seq
                for each in subscribers
                if not each.stream.durable
                for topic, seq in each.position.items()
                if last[topic] > seq
            }
            if not owed and not behind:
                return None
            if time.monotonic() > deadline:
                return owed, behind
            await asyncio.sleep(0.1)

    def _owed(self) -> dict[str, int]:
        """What the server owes, by subscription."""
        views = [self.api.subscription(each.name) for each in self.streams if each.durable]
        owed = {
            view["name"]: view["in_flight_count"]
            + view["pending_retry_count"]
            + sum(topic["lag"] for topic in view["topics"])
            for view in views
        }
        return {name: count for name, count in owed.items() if count}

    def _last_seqs(self) -> dict[str, int]:
        return {topic: self.api.topic(topic)["last_seq"] for topic in self.topics}

    def _collect(self, epochs: dict[str, str]) -> None:
        for topic, epoch in epochs.items():
            assert self.api.topic(topic)["epoch"] == epoch, "the numbering must be the same"
            for entry in self._walk(f"/api/topics/{topic}/messages", "messages", "from_seq", 1000):
                value = value_of(entry["payload"])
                self.history.stored.append(Stored(topic, entry["seq"], value, entry["message_id"]))
        for dead in self._walk("/api/dlq", "dead_letters", "cursor", 500):
            self.history.dead.append(
                Dead(dead["subscription"] or "", dead["topic"], dead["seq"], dead["attempts"])
            )

    def _walk(self, path: str, field: str, parameter: str, limit: int) -> list[dict[str, Any]]:
        """All pages of a list."""
        entries: list[dict[str, Any]] = []
        following: object = None
        while True:
            page = accepted(self.api.get(path, limit=limit, **{parameter: following}))
            entries += page[field]
            following = page["next"]
            if following is None:
                return entries
