"""Does anything that an operator or a client may ask hold up a publisher, where there is very much?

The server has 100,000 topics with a message each, 2,000 durable subscriptions, of which 100 are patterns
over everything, and 100,000 dead letters. A probe publishes 100 messages a second, each due at its time;
meanwhile every route and every frame is used in turn (bench/asking.py), and a subscriber of `>` comes and
goes each second, now with an ephemeral subscription and now with a durable one, now politely and now with
a broken connection. `probe_max_ms` is the longest that an answer took from when its request was due;
`quiet_max_ms` is the same before anything is asked: what the machine does by itself.

Which question held up the probe is printed to stderr: the slowest answer of the probe while each was
asked, and how long the question itself took.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import gc
import json
import socket
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

from bench import asking, filling_much, loads, wire
from bench.filling_much import Much
from bench.harness import Case, Outcome, percentile
from bench.loads import Load
from bench.systems import Busy, directory, running
from conduit.load.checks import Checks

RATE = 100
# The probe publishes over each in turn, so that one answer that is late delays no other.
CONNECTIONS = 64
PROBED_TOPIC = "probe"
QUIET_S = 5.0
# Promised: no answer of the probe takes longer, and no more memory is used.
PROBE_MAX_MS = 50.0
RESIDENT_MAX_MIB = 1_024
# Of the questions that held up the probe, so many are printed.
PRINTED_COUNT = 25
# What was sent so long before a question may have waited for it.
BEFORE_S = 0.05

FULL = Much(topics=100_000, subscriptions=2_000, patterns=100, letters=100_000)
SHORT = Much(topics=10_000, subscriptions=200, patterns=20, letters=10_000)


def cases(short: bool) -> list[Case]:
    """One case for each store."""
    much = SHORT if short else FULL
    work: dict[str, int | float | str] = {
        "topics": much.topics,
        "durable_subscriptions": much.subscriptions,
        "patterns_over_everything": much.patterns,
        "dead_letters": much.letters,
        "messages_per_s": RATE,
        "loop": "open, single publishes",
    }
    return [
        Case("control", "conduit", store, work, functools.partial(_run, store, much))
        for store in ("memory", "sqlite", "postgresql")
    ]


def _run(store: str, much: Much) -> Outcome:
    with directory() as path, contextlib.ExitStack() as stack:
        server = filling_much.server(path, store, much)
        stack.enter_context(running(server))
        filling_much.fill(server, store, much)
        wire.call(server.port, "POST", "/api/topics", {"name": PROBED_TOPIC})
        numbers = loads.counters(1)
        probe = stack.enter_context(Load(_probe, server.port, numbers))
        comer = stack.enter_context(Load(_come_and_go, server.port, numbers))
        probe.wait_ready()
        comer.wait_ready()
        busy = Busy(server)
        probe.go()
        time.sleep(QUIET_S)
        began = time.monotonic()
        comer.go()
        questions, failed = asking.ask_all(server.port, much)
        numbers[0] = 1
        answers: list[Answer] = probe.result()
        turns: int = comer.result()
        cores, resident = busy.cores(), server.resident_kib() / 1024
        stored = wire.call(server.port, "GET", f"/api/topics/{PROBED_TOPIC}")["last_seq"]
    _print_worst(questions, answers)
    checks = Checks(len(answers), len(answers), max(0, len(answers) - stored))
    return _outcome(answers, began, checks, cores, resident, [*failed, *_gone(turns)])


def _gone(turns: int) -> list[str]:
    return [] if turns else ["nobody came and went"]


class Answer(NamedTuple):
    """One publish of the probe: when it was due and sent, and how long after each it was answered."""

    due: float
    sent: float
    took_ms: float
    from_sent_ms: float


def _outcome(
    answers: list[Answer],
    began: float,
    checks: Checks,
    cores: float,
    resident: float,
    failed: list[str],
) -> Outcome:
    quiet = sorted(each.took_ms for each in answers if each.due < began)
    asked = sorted(each.took_ms for each in answers if each.due >= began)
    figures = {
        "probe_p50_ms": percentile(asked, 0.5),
        "probe_p99_ms": percentile(asked, 0.99),
        "probe_max_ms": asked[-1],
        "over_bound_percent": 100 * sum(ms > PROBE_MAX_MS for ms in asked) / len(asked),
        "quiet_max_ms": quiet[-1],
        "resident_mib": resident,
    }
    if resident > RESIDENT_MAX_MIB:
        failed.append(f"{resident:.0f} MiB are used, and {RESIDENT_MAX_MIB} are promised")
    return Outcome(figures, checks, cores, problems=failed, throughput=False)


def _print_worst(questions: list[asking.Asked], answers: list[Answer]) -> None:
    rows: dict[str, tuple[float, float]] = {}
    for question in questions:
        while_asked = [
            each.from_sent_ms
            for each in answers
            if question.began - BEFORE_S <= each.sent <= question.ended
        ]
        held_ms, took_ms = rows.get(question.name, (0.0, 0.0))
        rows[question.name] = (
            max([held_ms, *while_asked]),
            max(took_ms, (question.ended - question.began) * 1000),
        )
    worst = sorted(rows.items(), key=lambda row: row[1], reverse=True)
    for name, (held_ms, took_ms) in worst[:PRINTED_COUNT]:
        print(f"{held_ms:10.1f} ms {took_ms:10.1f} ms  {name}", file=sys.stderr)


# The loads ----------------------------------------------------------------------------------------


def _probe(ready: Callable[[], None], port: int, numbers: loads.Counters) -> list[Answer]:
    """Publish at fixed times until the number is not 0; returns every answer."""
    loads.run_promptly()
    poll, waiting = (
        wire.Poll(),
        [collections.deque[tuple[float, float]]() for _ in range(CONNECTIONS)],
    )
    connections = [wire.connect(port) for _ in waiting]
    answers: list[Answer] = []
    for connection, sent_there in zip(connections, waiting, strict=True):
        poll.add(connection, functools.partial(_take, sent_there, answers))
    body = json.dumps({"topic": PROBED_TOPIC, "payload": 1}).encode()
    request = wire.request("/api/publish", body)
    gc.disable()
    ready()
    began, count = time.monotonic(), 0
    while not numbers[0] or any(waiting):
        due = began + count / RATE
        if time.monotonic() < due or numbers[0]:
            poll.once(max(0.0, due - time.monotonic()) if not numbers[0] else 1.0)
            continue
        waiting[count % CONNECTIONS].append((due, time.monotonic()))
        connections[count % CONNECTIONS].sendall(request)
        count += 1
    return sorted(answers)


def _take(
    waiting: collections.deque[tuple[float, float]], answers: list[Answer], data: bytes
) -> None:
    """Answers of one connection, which come in the order of its requests."""
    now = time.monotonic()
    if data.count(b"HTTP/1.1 200") != data.count(b"HTTP/1.1"):
        raise RuntimeError(f"the probe's publish failed: {data[:300]!r}")
    for _ in range(data.count(b"HTTP/1.1 200")):
        due, sent = waiting.popleft()
        answers.append(Answer(due, sent, (now - due) * 1000, (now - sent) * 1000))


def _come_and_go(ready: Callable[[], None], port: int, numbers: loads.Counters) -> int:
    """Follow everything for half a second in each second, until the number is not 0; how often."""
    ready()
    turn = 0
    while not numbers[0]:
        began = time.monotonic()
        name = {"subscription": filling_much.PATTERN_NAME % 1} if turn % 4 >= 2 else {}
        pattern = filling_much.pattern(1) if name else ">"
        connection = wire.subscribe(port, topic=pattern, **name)
        connection.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            while time.monotonic() < began + 0.5 and connection.recv(wire.READ_BYTES):
                pass
        if turn % 2:
            # A connection that broke, and not one that was closed.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        connection.close()
        turn += 1
        time.sleep(max(0.0, began + 1 - time.monotonic()))
    return turn
