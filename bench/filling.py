"""Fills a Conduit server before a question is asked: topics, subscriptions, messages.

Requests are pipelined on one connection, so that ten thousand of them take seconds, and each answer is
counted: what is not a 2xx ends the run.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from bench import wire

BATCH_COUNT = 1000
# Requests on the way. The batches and their answers must fit into the sockets' buffers, as the filler
# does not read while it sends; a single request is small.
BATCHES_UNANSWERED = 4
UNANSWERED = 32
_STATUS = re.compile(rb"HTTP/1\.1 (\d)\d\d ")


def topics(port: int, names: Iterable[str]) -> None:
    """Create these topics. Raises RuntimeError if one is refused."""
    post(port, "/api/topics", ({"name": name} for name in names), UNANSWERED)


def subscriptions(port: int, subscriptions: Iterable[dict[str, object]]) -> None:
    """Create durable subscriptions with these fields. Raises RuntimeError if one is refused."""
    post(port, "/api/subscriptions", subscriptions, UNANSWERED)


def all_subscriptions(port: int) -> list[dict[str, Any]]:
    """Every durable subscription as the REST API describes it."""
    found: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        page: dict[str, Any] = wire.call(port, "GET", f"/api/subscriptions?limit=500{cursor}")
        found += page["subscriptions"]
        cursor = page["next"] and f"&cursor={page['next']}"
    return found


def publishes(port: int, topic: str, count: int) -> None:
    """Publish `count` messages, one in each request: what a server does before it is measured."""
    bodies = ({"topic": topic, "payload": number} for number in range(count))
    post(port, "/api/publish", bodies, UNANSWERED)


def messages(port: int, topics: Sequence[str], count: int, *, has_keys: bool = False) -> None:
    """Publish `wire.PAYLOAD` with the numbers 0 … `count` - 1 in this order, in batches of 1,000.

    They go to the topics in turn. With `has_keys` each has an idempotency key: `key(number)`. Raises
    RuntimeError if one is refused.
    """
    batches = _batches([topic.encode() for topic in topics], count, has_keys)
    _pipeline(port, "/api/publish/batch", batches, BATCHES_UNANSWERED)


def key(number: int) -> str:
    """The idempotency key of the message with this number."""
    return f"key-{number}"


def _batches(topics: Sequence[bytes], count: int, has_keys: bool) -> Iterator[bytes]:
    turns = itertools.cycle([b'{"topic":"%b","payload":%b}' % (t, wire.PAYLOAD) for t in topics])
    for first in range(0, count, BATCH_COUNT):
        numbers = range(first, min(first + BATCH_COUNT, count))
        several = [message % number for number, message in zip(numbers, turns, strict=False)]
        if has_keys:
            several = [
                b'%b,"idempotency_key":"%b"}' % (each[:-1], key(number).encode())
                for each, number in zip(several, numbers, strict=True)
            ]
        yield b'{"messages":[%b]}' % b",".join(several)


def post(port: int, path: str, bodies: Iterable[object], unanswered: int) -> None:
    """POST each body as JSON, in order, with so many on the way. Raises RuntimeError for a failure."""
    _pipeline(port, path, (json.dumps(body).encode() for body in bodies), unanswered)


def _pipeline(port: int, path: str, bodies: Iterable[bytes], unanswered: int) -> None:
    connection = wire.connect(port)
    answers = _Answers()
    sent = 0
    try:
        for body in bodies:
            while sent - answers.count >= unanswered:
                answers.feed(connection.recv(wire.READ_BYTES))
            connection.sendall(wire.request(path, body))
            sent += 1
        while answers.count < sent:
            answers.feed(connection.recv(wire.READ_BYTES))
    finally:
        connection.close()


class _Answers:
    """Counts the answers on one connection."""

    def __init__(self) -> None:
        self.count = 0
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Take what was read. Raises RuntimeError for an answer that is not a 2xx, or the end."""
        if not data:
            raise RuntimeError("the server closed the connection")
        data = self._rest + data
        end = 0
        for found in _STATUS.finditer(data):
            end = found.end()
            self.count += 1
            if found[1] != b"2":
                raise RuntimeError(f"a request failed: {data[found.start() :][:600]!r}")
        # A status line may be cut in two; one that was counted must not be seen again.
        self._rest = data[max(end, len(data) - 12) :]
