"""Kill a server on SQLite again and again under load, then check what it promised.

    python -m tests.crash.run --kills 50 [--seed N] [--history FILE]

Prints one JSON line: the counts, and what was violated, if anything. Exit code 0 or 1. The machine
stays up, so what SIGKILL proves is that nothing waits in the process; that a commit survives a loss
of power rests on SQLite's synchronous=FULL and is not tested here.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import secrets
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import apsw

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
from tests.support.server import RunningServer, running_server

STRICT_TOPIC = "crash.strict"
ALL_TOPICS = (*TOPICS, STRICT_TOPIC)
DATABASE = "crash.db"
DRAIN_WITHIN_S = 60.0
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


class Run:
    """One run: a server, its clients, and the history that they write."""

    def __init__(self, server: RunningServer, random: Random) -> None:
        self.server = server
        self.random = random
        self.api = Api(server.url)
        self.history = History(STREAMS)

    async def go(self, kills: int) -> Report:
        """Load, kill `kills` times, drain, collect, check."""
        epochs = {topic: self.api.create_topic(topic)["epoch"] for topic in ALL_TOPICS}
        for stream in STREAMS:
            if stream.durable:
                self._create(stream)
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
                await self._kill(kills)
                for publisher in publishers:
                    publisher.stop.set()
            await self._drain(subscribers)
            for subscriber in subscribers:
                subscriber.stop.set()
        self._collect(epochs)
        return check(self.history)

    # Before ---------------------------------------------------------------------------------------

    def _create(self, stream: Stream) -> None:
        pattern = stream.topics[0] if len(stream.topics) == 1 else "crash.>"
        settings = SPECIAL.get(stream.name, SETTINGS)
        body = {"name": stream.name, "topic": pattern, **settings}
        accepted(self.api.post("/api/subscriptions", body), 201)

    def _publishers(self) -> list[Publisher]:
        def make(kind: Any, name: str, **more: Any) -> Publisher:
            publisher: Publisher = kind(
                name, self.server.url, self.history, Random(self.random.random()), **more
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
                stream, pattern, self.server.url, self.history, Random(self.random.random()), **more
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

    # During ---------------------------------------------------------------------------------------

    async def _kill(self, kills: int) -> None:
        """SIGKILL at random moments: mostly under load, sometimes right after the start."""
        for _ in range(kills):
            await asyncio.sleep(self.random.choice((0.05, 0.3, 0.8, 1.2)) * self.random.random())
            self.server.kill()
            await asyncio.sleep(self.random.choice((0, 0, 0.2)))
            await asyncio.to_thread(self.server.start)
        await asyncio.sleep(1.0)

    async def _drain(self, subscribers: list[Subscriber]) -> None:
        """Wait until nothing is owed to anyone. What is still owed then is found by the checker."""
        deadline = time.monotonic() + DRAIN_WITHIN_S
        while time.monotonic() < deadline:
            owed = await asyncio.to_thread(self._owed)
            last = await asyncio.to_thread(self._last_seqs)
            behind = any(
                last[topic] > seq
                for each in subscribers
                if not each.stream.durable
                for topic, seq in each.position.items()
            )
            if not owed and not behind:
                return
            await asyncio.sleep(0.1)

    def _owed(self) -> int:
        views = [self.api.subscription(each.name) for each in STREAMS if each.durable]
        return sum(
            view["in_flight_count"]
            + view["pending_retry_count"]
            + sum(topic["lag"] for topic in view["topics"])
            for view in views
        )

    def _last_seqs(self) -> dict[str, int]:
        return {topic: self.api.topic(topic)["last_seq"] for topic in ALL_TOPICS}

    # After ----------------------------------------------------------------------------------------

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


def crash(kills: int, seed: int, history_path: Path | None = None) -> dict[str, Any]:
    """One run; returns the summary. `violations` is empty if all promises held."""
    began = time.monotonic()
    with running_server(
        DATABASE_URL=f"sqlite:///{DATABASE}", CONDUIT_LOG_LEVEL="warning"
    ) as server:
        run = Run(server, Random(seed))
        report = asyncio.run(run.go(kills))
        code, _ = server.terminate()
        database = apsw.Connection(str(server.directory / DATABASE))
        integrity = database.execute("PRAGMA integrity_check").get
        database.close()
        if code != 0 or integrity != "ok" or "Traceback" in server.log_text():
            report.break_promise("server", (code, integrity, server.log_tail()))
    if history_path is not None:
        _write(run.history, history_path)
    return {
        "kills": kills,
        "seed": seed,
        "seconds": round(time.monotonic() - began, 1),
        **report.counts,
        "integrity": integrity,
        "violations": dict(report.violations),
        "samples": dict(report.samples),
    }


def _write(history: History, path: Path) -> None:
    """The history as JSON lines, for a look at a failure."""
    with path.open("w") as lines:
        for record in (*history.published, *history.events, *history.stored, *history.dead):
            kind = type(record).__name__.lower()
            lines.write(json.dumps({"kind": kind, **dataclasses.asdict(record)}) + "\n")


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    parser.add_argument("--history", type=Path, help="write what happened to this file")
    options = parser.parse_args()
    summary = crash(options.kills, options.seed, options.history)
    print(json.dumps(summary))
    return 1 if summary["violations"] else 0


if __name__ == "__main__":
    sys.exit(main())
