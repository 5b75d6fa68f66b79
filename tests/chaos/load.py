"""What goes on while faults strike: publishers and subscribers of all kinds, spread over the nodes."""

from __future__ import annotations

import asyncio
import time
from random import Random
from typing import Any

from tests.chaos import witness
from tests.chaos.checker import check
from tests.chaos.clients import (
    Anywhere,
    BatchPublisher,
    CarelessPublisher,
    Follower,
    HttpPublisher,
    Member,
    Places,
    WsPublisher,
)
from tests.chaos.history import ClusterHistory
from tests.chaos.world import World
from tests.crash import load
from tests.crash.checker import Report
from tests.crash.history import Stream
from tests.crash.publishers import Publisher
from tests.crash.subscribers import Subscriber
from tests.support.http import accepted

TOPICS = tuple(f"chaos.t{number}" for number in range(10))
# Of these only one in so many seconds: nothing that follows tells of what was missed.
QUIET = ("chaos.quiet",)
QUIET_PAUSE_S = 1.5
PAUSE_S = 0.08
# Longer than the slowest handler; so what is in flight stays there while owners change.
SETTINGS = {"ack_wait_ms": 20_000, "max_attempts": 50, "max_in_flight": 32, "max_lost": None}
SPECIAL = {
    "undertaker": {**SETTINGS, "max_attempts": 3},
    "strict": {**SETTINGS, "order": "strict", "max_in_flight": 8},
}
STREAMS = [
    Stream("workers", (*TOPICS, *QUIET), shared=True),
    Stream("couple", TOPICS[:1], shared=True),
    Stream("crew", TOPICS[1:2], shared=True),
    Stream("clerk", TOPICS[2:3]),
    Stream("strict", TOPICS[3:4], strict=True),
    Stream("undertaker", TOPICS[4:5], shared=True, doomed=("13", "37")),
    Stream("one-follower", TOPICS[:1], durable=False),
    Stream("quiet-follower-1", QUIET, durable=False),
    Stream("quiet-follower-2", QUIET, durable=False),
    Stream("quiet-follower-3", QUIET, durable=False),
    Stream("wide-follower-1", (*TOPICS, *QUIET), durable=False),
    Stream("wide-follower-2", (*TOPICS, *QUIET), durable=False),
    Stream("wide-follower-3", (*TOPICS, *QUIET), durable=False),
]
# How many subscribers a durable stream has, each at another node at first.
MEMBERS = {"workers": 6, "couple": 2, "crew": 4, "undertaker": 2}


class ClusterLoad(load.Load):
    """The clients of a cluster, and what they saw."""

    streams = STREAMS
    topics = (*TOPICS, *QUIET)
    history: ClusterHistory

    def __init__(self, world: World, random: Random) -> None:
        super().__init__(world.url(world.names[0]), random)
        self.world = world
        self.places = Places(
            {name: world.url(name) for name in world.names}, Random(random.random())
        )

    def begun(self) -> ClusterHistory:
        """The history in which nothing has happened yet."""
        return ClusterHistory(list(self.streams))

    def judged(self) -> Report:
        """What the checker says of it."""
        return check(self.history)

    def _prepare(self) -> dict[str, str]:
        witness.install(self.world)
        return super()._prepare()

    def _collect(self, epochs: dict[str, str]) -> None:
        super()._collect(epochs)
        witness.tell(self.world, self.history)

    def _create(self, stream: Stream) -> None:
        settings = SPECIAL.get(stream.name, SETTINGS)
        body = {"name": stream.name, "topic": _pattern(stream), **settings}
        accepted(self.api.post("/api/subscriptions", body), 201)

    def _publishers(self) -> list[Publisher]:
        def make(
            kind: Any, name: str, pause_s: float = PAUSE_S, topics: tuple[str, ...] = TOPICS
        ) -> Anywhere:
            publisher: Anywhere = kind(name, "", self.history, Random(self.random.random()))
            return publisher.at(self.places, topics, pause_s)

        return [
            make(HttpPublisher, "h1"),
            make(HttpPublisher, "h2"),
            make(HttpPublisher, "h3"),
            make(HttpPublisher, "q1", QUIET_PAUSE_S, QUIET),
            make(BatchPublisher, "b1", 3 * PAUSE_S),
            make(CarelessPublisher, "c1", 2 * PAUSE_S),
            make(WsPublisher, "w1"),
            make(WsPublisher, "w2"),
        ]

    def _subscribers(self, epochs: dict[str, str]) -> list[Subscriber]:
        names, made = self.world.names, list[Subscriber]()
        for stream in self.streams:
            for _ in range(MEMBERS.get(stream.name, 1)):
                home = names[len(made) % len(names)]
                given = (stream, _pattern(stream), "", self.history, Random(self.random.random()))
                if stream.durable:
                    made.append(Member(*given).at(self.places, home))
                else:
                    follower = Follower(*given)
                    follower.at(self.places, home)
                    made.append(follower.of({topic: epochs[topic] for topic in stream.topics}))
        return made


def _pattern(stream: Stream) -> str:
    return stream.topics[0] if len(stream.topics) == 1 else "chaos.>"


async def acked_since(history: ClusterHistory, since: float, within_s: float) -> float:
    """Until a publish is acked that was sent after that moment; when. Raises TimeoutError."""
    start = len(history.published)
    async with asyncio.timeout(within_s):
        while True:
            for publish in history.published[start:]:
                if publish.outcome == "ok" and publish.sent_at > since:
                    return publish.at
            start = len(history.published)
            await asyncio.sleep(0.005)


def now() -> float:
    """Of the clock of all histories."""
    return time.monotonic()
