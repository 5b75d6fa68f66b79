"""Publishers, subscribers and operators at work, and what each of them was told."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any

from tests.support.access import Signed
from tests.support.wait import until
from tests.support.ws import NoFrame, WsClient

SUBSCRIPTION = "billing"
PATTERN = "orders.>"
REASON = "no funds"
# Nothing is removed from these.
WHOLE = ("orders.eu", "orders.us")
# Retention, a purge and deletions take from these, each from one.
KEPT, PURGED, MADE_ANEW = CHANGING = ("orders.kept", "orders.purged", "orders.made-anew")
KEPT_MESSAGES = 40
BATCH_MAX = 5
PAUSE_S = 0.02
# What shows that work is done.
ENOUGH = 30

Payload = dict[str, Any]


def payload(number: int) -> Payload:
    """The message of this number; no other is like it."""
    return {"n": number, "text": f"{number} " * (number % 200)}


@dataclass
class Known:
    """What clients of a tenant know. Messages are known by their numbers, which no two have in common."""

    acked: dict[int, tuple[str, int, str]] = field(default_factory=dict)
    """Of each message that was acknowledged: its topic, seq and epoch."""
    receipts: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Of those that were published with an idempotency key (`idempotency_key`)."""
    settled: set[int] = field(default_factory=set)
    """What the subscription is told to be settled, dead letters apart."""
    dead: dict[int, tuple[str, int]] = field(default_factory=dict)
    """Of each message that was rejected: its topic and seq."""

    def now(self) -> Known:
        """As it is at this moment, while others go on."""
        return Known(dict(self.acked), dict(self.receipts), set(self.settled), dict(self.dead))

    def count(self) -> tuple[int, int, int]:
        """How much it is."""
        return len(self.acked), len(self.settled), len(self.dead)


def idempotency_key(number: int) -> str:
    return f"order-{number}"


class Load:
    """The clients of one tenant; `topics` are what they publish to, with what is done to them besides."""

    def __init__(self, api: Signed, topics: tuple[str, ...]) -> None:
        self.api = api
        self.topics = topics
        self.known = Known()
        self._numbers = count(1)
        self._done = threading.Event()
        self._changes = dict.fromkeys(CHANGING, 0)
        for topic in topics:
            self._create(topic)
        with api.socket() as socket:
            _attach(socket)

    def _create(self, topic: str) -> None:
        self.api.create_topic(topic, **({"max_messages": KEPT_MESSAGES} if topic == KEPT else {}))

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """All at work. What one of them finds wrong is raised at the end."""
        self._done.clear()
        work = [self._consume, *(partial(self._publish, topic) for topic in self.topics)]
        if MADE_ANEW in self.topics:
            work.append(self._change)
        with ThreadPoolExecutor(len(work)) as threads:
            futures = [threads.submit(each) for each in work]
            try:
                yield
            finally:
                self._done.set()
        for future in futures:
            future.result()

    def advance(self) -> None:
        """Wait until more of everything was done."""
        before, changes = self.known.now().count(), dict(self._changes)
        until(lambda: self.known.count()[0] > before[0] + ENOUGH * len(self.topics))
        until(lambda: self.known.count()[1] > before[1] + ENOUGH)
        until(lambda: self.known.count()[2] > before[2])
        if MADE_ANEW in self.topics:
            until(lambda: all(self._changes[t] > changes[t] for t in (PURGED, MADE_ANEW)))

    # What they do ---------------------------------------------------------------------------------

    def _publish(self, topic: str) -> None:
        """Batches, and single messages with an idempotency key."""
        while not self._done.wait(PAUSE_S):
            numbers = [next(self._numbers) for _ in range(BATCH_MAX)]
            batch = [{"topic": topic, "payload": payload(number)} for number in numbers]
            answer = self.api.post("/api/publish/batch", {"messages": batch})
            if answer.status == 200:
                for number, receipt in zip(numbers, answer.json["results"], strict=True):
                    self.known.acked[number] = (topic, receipt["seq"], receipt["epoch"])
            else:
                self._refused(topic, answer.status)
            if topic in WHOLE:
                number = next(self._numbers)
                key = idempotency_key(number)
                receipt = self.api.publish(topic, payload(number), idempotency_key=key)
                self.known.receipts[number] = receipt
                self.known.acked[number] = (topic, receipt["seq"], receipt["epoch"])

    def _refused(self, topic: str, status: int) -> None:
        assert (topic, status) == (MADE_ANEW, 404), f"publishing to {topic} was answered {status}"

    def _change(self) -> None:
        """Purge one topic and make one anew, again and again; retention comes by itself."""
        while not self._done.wait(5 * PAUSE_S):
            assert self.api.post(f"/api/topics/{PURGED}/purge", {}).status == 200
            self._changes[PURGED] += 1
            assert self.api.delete(f"/api/topics/{MADE_ANEW}").status == 204
            self._create(MADE_ANEW)
            self._changes[MADE_ANEW] += 1

    def _consume(self) -> None:
        """Ack, reject, or leave a message alone, by its number."""
        with self.api.socket() as socket:
            _attach(socket)
            while not self._done.is_set():
                with contextlib.suppress(NoFrame):
                    self._note(socket, socket.receive(None, PAUSE_S))
            while True:
                # What is answered still.
                try:
                    self._note(socket, socket.receive("acked", 10 * PAUSE_S))
                except NoFrame:
                    return

    def _note(self, socket: WsClient, frame: dict[str, Any]) -> None:
        if frame["type"] == "acked":
            verb, number, topic, seq = frame["ref"].split()
            if verb == "ack":
                self.known.settled.add(int(number))
            else:
                self.known.dead[int(number)] = (topic, int(seq))
        elif frame["type"] == "message":
            number = frame["payload"]["n"]
            if verb := verb_of(number):
                more = {"reason": REASON} if verb == "reject" else {}
                ref = f"{verb} {number} {frame['topic']} {frame['seq']}"
                socket.send({"type": verb, "message_id": frame["message_id"], "ref": ref, **more})


def verb_of(number: int) -> str | None:
    """What the subscriber does with the message of this number; None: nothing, so that it stays in flight."""
    if number % 10 == 3:
        return None
    return "reject" if number % 25 == 7 else "ack"


def _attach(socket: WsClient) -> None:
    socket.subscribe(PATTERN, subscription=SUBSCRIPTION, max_in_flight=10_000, ack_wait_ms=600_000)
