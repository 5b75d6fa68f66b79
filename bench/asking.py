"""Uses every route of the API and every frame of the WebSocket once, one after the other, and notes when.

What is asked for is as large as the API lets it be: the longest pages, patterns over everything. A question
that fails is named, so that an answer in no time is not one that was refused.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from bench import wire
from bench.filling_much import LITERAL_NAME, PATTERN_NAME, Much, pattern, topic

WAIT_S = 180.0
PAUSE_S = 0.05


class Asked(NamedTuple):
    """One question, and when it was asked and answered."""

    name: str
    began: float
    ended: float


class _Asker:
    """Asks, and notes it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.asked: list[Asked] = []
        self.failed: list[str] = []

    @contextlib.contextmanager
    def noted(self, name: str) -> Iterator[None]:
        """What is done meanwhile is one question."""
        began = time.monotonic()
        try:
            yield
        except (OSError, RuntimeError, http.client.HTTPException) as error:
            self.failed.append(f"{name}: {error}"[:200])
        self.asked.append(Asked(name, began, time.monotonic()))
        # So that what it left behind, and the probe's next answer, are not the next one's.
        time.sleep(PAUSE_S)

    def __call__(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """One request; its answer, or an empty one if it failed."""
        text = b""
        with self.noted(
            f"{method} {path.split('/0')[0][:60]} {json.dumps(body)[:50] if body else ''}"
        ):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S)
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
            connection.close()
            if answer.status >= 400:
                raise RuntimeError(f"{answer.status} {text[:120]!r}")
        decoded: dict[str, Any] = {}
        with contextlib.suppress(ValueError):
            decoded = json.loads(text)
        return decoded


def ask_all(port: int, much: Much) -> tuple[list[Asked], list[str]]:
    """Every question, and which of them failed."""
    ask = _Asker(port)
    for part in (_topics, _messages, _subscriptions, _dead_letters, _node, _frames):
        part(ask, much)
    return ask.asked, ask.failed


def _topics(ask: _Asker, much: Much) -> None:
    page = ask("GET", "/api/topics?limit=500")
    ask("GET", f"/api/topics?limit=500&cursor={page.get('next')}")
    ask("GET", "/api/topics?limit=500&q=t9999")
    ask("GET", "/api/topics?limit=500&q=nothing-has-this")
    ask("POST", "/api/topics", {"name": "made"})
    ask("GET", "/api/topics/made")
    ask("PATCH", "/api/topics/made", {"retention": {"max_messages": 10}})
    ask("DELETE", "/api/topics/made")
    ask("DELETE", f"/api/topics/{topic(much.topics - 1)}")


def _messages(ask: _Asker, much: Much) -> None:
    name = topic(7)
    sent = ask("POST", "/api/publish", {"topic": name, "payload": 1})
    several = [{"topic": topic(number), "payload": 1} for number in range(1_000)]
    ask("POST", "/api/publish/batch", {"messages": several})
    new = [{"topic": f"new.t{number}", "payload": 1} for number in range(100)]
    ask("POST", "/api/publish/batch", {"messages": new})
    ask("GET", f"/api/topics/{name}/messages?limit=1000")
    ask("GET", "/api/topics/letters/messages?limit=1000&order=desc")
    ask("GET", "/api/topics/letters/messages?limit=1000&from_time=2020-01-01T00:00:00Z")
    ask("GET", f"/api/messages/{sent.get('message_id')}")


def _subscriptions(ask: _Asker, much: Much) -> None:
    path = "/api/subscriptions"
    page = ask("GET", f"{path}?limit=20")
    ask("GET", f"{path}?limit=500")
    ask("GET", f"{path}?limit=500&cursor={page.get('next')}")
    ask("GET", f"{path}?limit=500&q={PATTERN_NAME % 1}")
    ask("GET", f"{path}/{PATTERN_NAME % 2}")
    ask("GET", f"{path}/{PATTERN_NAME % 3}/topics?limit=500")
    ask("GET", f"{path}/{LITERAL_NAME % 3}")
    for number, start in enumerate(("new", "earliest", {"time": "2020-01-01T00:00:00Z"})):
        ask("POST", path, {"name": f"made-{number}", "topic": ">", "start": start})
    ask("POST", path, {"name": "made-4", "topic": "load.*.*"})
    made = f"{path}/made-1"
    ask("PATCH", made, {"max_in_flight": 100})
    ask("POST", f"{made}/seek", {"start": "earliest", "dry_run": True})
    ask("POST", f"{made}/seek", {"start": {"time": "2020-01-01T00:00:00Z"}, "dry_run": True})
    ask("POST", f"{made}/seek", {"start": "new"})
    ask("POST", f"{made}/pause")
    ask("POST", f"{made}/resume")
    # And once more, as it runs.
    with wire.subscribe(ask.port, topic=">", subscription="made-1"):
        for action in ("pause", "resume"):
            ask("POST", f"{made}/{action}")
        ask("PATCH", made, {"max_in_flight": 200, "ack_wait_ms": 20_000})
        ask("POST", f"{made}/seek", {"start": "earliest"})
        ask("DELETE", made)
    ask("DELETE", f"{path}/made-0")


def _dead_letters(ask: _Asker, much: Much) -> None:
    page = ask("GET", "/api/dlq?limit=500")
    ask("GET", f"/api/dlq?limit=500&cursor={page.get('next')}")
    ask("GET", "/api/dlq?limit=500&subscription=buries-1&reason=for+the+bench")
    ask("GET", "/api/dlq?limit=500&q=nothing-has-this")
    first, second = [letter["id"] for letter in page.get("dead_letters", [{"id": "0"}] * 2)[:2]]
    ask("GET", f"/api/dlq/{first}")
    ask("POST", f"/api/dlq/{first}/redrive")
    ask("DELETE", f"/api/dlq/{second}")
    ask("POST", "/api/dlq/redrive", {"dry_run": True})
    ask("POST", "/api/dlq/redrive", {"dry_run": True, "q": "order_id"})
    job = ask(
        "POST",
        "/api/dlq/redrive",
        {"subscription": "buries-0", "max_count": 200, "rate_per_s": 200},
    )
    ask("GET", f"/api/dlq/jobs/{job.get('id')}")
    ask("DELETE", f"/api/dlq/jobs/{job.get('id')}")


def _node(ask: _Asker, _much: Much) -> None:
    for path in ("/api/stats", "/api/stats/history", "/health", "/health/ready", "/metrics"):
        ask("GET", path)
    for path in ("/openapi.json", "/docs"):
        ask("GET", path)


def _frames(ask: _Asker, much: Much) -> None:
    port = ask.port
    starts: dict[str, object] = {
        "new": "new",
        "earliest": "earliest",
        "time": {"time": "2020-01-01T00:00:00Z"},
        "positions": {
            "positions": {topic(n): {"seq": 1} for n in range(0, min(much.topics, 3_000))}
        },
        "seq": {"seq": 1},
    }
    for ack in ("auto", "explicit"):
        for name, start in starts.items():
            _follow(ask, f"follow > from {name}, {ack}", ">", start=start, ack=ack)
    for number in (0, 1, 2):
        name = PATTERN_NAME % number
        _follow(ask, f"attach to {name}", pattern(number), subscription=name)
    with wire.subscribe(port, topic=topic(5), start="earliest") as connection:
        ids = wire.MESSAGE_ID.findall(_receive(connection, b'"type":"message"'))
        for kind in ("extend", "nack", "reject", "ack"):
            with ask.noted(f"frame {kind}"):
                _send(connection, {"type": kind, "message_id": ids[0].decode()})
        with ask.noted("frames ack by seq, publish, heartbeat, unsubscribe"):
            _send(connection, {"type": "ack", "topic": topic(5), "seq": 1})
            _send(connection, {"type": "publish", "topic": topic(5), "payload": 1})
            _send(connection, {"type": "heartbeat"})
            _send(connection, {"type": "unsubscribe", "topic": topic(5)})


def _follow(ask: _Asker, name: str, topic_or_pattern: str, **fields: object) -> None:
    """Subscribe, receive for a moment, break the connection."""
    connection = None
    with ask.noted(name):
        connection = wire.subscribe(ask.port, topic=topic_or_pattern, **fields)
    if connection is None:
        return
    with ask.noted(f"{name}: receive"):
        connection.settimeout(0.2)
        until = time.monotonic() + 1.0
        with contextlib.suppress(TimeoutError):
            while time.monotonic() < until:
                connection.recv(wire.READ_BYTES)
    with ask.noted(f"{name}: break"):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        connection.close()
        time.sleep(0.3)


def _receive(connection: socket.socket, wanted: bytes) -> bytes:
    data = b""
    while wanted not in data:
        data += connection.recv(wire.READ_BYTES)
    return data


def _send(connection: socket.socket, frame: dict[str, object]) -> None:
    """Send a frame, and wait for the answer to a heartbeat behind it."""
    connection.sendall(wire.text_frame(json.dumps(frame).encode()))
    if frame["type"] != "unsubscribe":
        connection.sendall(wire.text_frame(b'{"type":"heartbeat"}'))
        _receive(connection, b"heartbeat_ack")
