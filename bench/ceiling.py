"""What is the highest rate of publishes at which none fails and the 99th percentile stays below 250 ms?

Rates go up step by step, each for two minutes on a server of its own; the step at which a publish fails, or
1 % of them take 250 ms and more, is the last. The ceiling is the step before it: `holds` is 1. Where none
fails, it is higher than the last.

An open loop over 64 connections: each publish has a time at which it is due, and latency counts from then to
when its receipt was read, however late those before it are. The load is one process, which sends requests
behind each other on a connection without waiting; at rates that leave it no time to sleep it looks for
receipts every 5 ms, which is then the most of the latencies: at 25,000/s two wait on each connection. In the
end the last number of the log is compared with the receipts: it counts as many messages as were acknowledged,
and not more than were sent. The messages are not read; `conduit bench pub` does that.

Conduit's first version, written in Go, was measured in this way with k6, which takes a new request only when
it has a connection free, on a Linux container of which no more is known than that. Its own figures:

| store | rate | p50 | p95 | p99 below 250 ms | throughput |
|---|---|---|---|---|---|
| PostgreSQL + Redis | 3,000/s | 12.3 ms | 68.3 ms | yes | 2,994/s |
| PostgreSQL + Redis | 4,500/s | 18.5 ms | 128.2 ms | yes | 4,444/s |
| PostgreSQL + Redis | 5,000/s | 58.8 ms | 266.2 ms | no | 4,736/s |
| PostgreSQL + Redis | 6,000/s | 83.1 ms | 344.3 ms | no | 4,996/s |
| memory | 20,000/s | 0.55 ms | 1.51 ms | yes | 19,993/s |
| memory | 25,000/s | 0.61 ms | 4.24 ms | yes | 24,965/s |
| memory | 30,000/s | 12.68 ms | 56.4 ms | – | 28,635/s |
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Iterator
from pathlib import Path

from bench import wire
from bench.harness import Case, Moot, Outcome
from bench.loads import Load
from bench.nodes import nodes
from bench.systems import Busy, Server, conduit, directory, running
from conduit.load import publishing
from conduit.load.checks import Checks
from conduit.load.plan import LEAD_S, Plan
from conduit.load.publishing import Sent
from conduit.load.system import Conduit
from conduit.load.wire import Target

TOPIC = "bench"
CONNECTIONS = 64
PAYLOAD_BYTES = 128
P99_MAX_MS = 250.0
WARM_UP_S = 2.0
# A receipt that has not come by then counts as a failure.
DRAIN_S = 30.0
# Sends that leave later than this would be seen in what is measured.
LATE_MAX_MS = 25.0
REDIS = "postgresql + redis"
LADDERS: dict[str, tuple[int, ...]] = {
    "memory": (*range(10_000, 50_000, 5_000), 70_000, 100_000),
    "sqlite": (*range(5_000, 35_000, 5_000), 50_000, 70_000),
    "postgresql": (6_000, 12_000, 16_000, 20_000, 25_000, 30_000, 40_000, 50_000),
    REDIS: (6_000, 12_000, 16_000, 20_000, 25_000, 30_000, 40_000, 50_000),
}


@dataclasses.dataclass
class Ladder:
    """The steps of one store, from the lowest; `is_over` once one did not hold."""

    store: str
    is_over: bool = False

    def step(self, rate: int, seconds: float) -> Outcome:
        """One of them. Raises Moot if one before it did not hold."""
        if rate == LADDERS[self.store][0]:
            # Of another round.
            self.is_over = False
        if self.is_over:
            raise Moot
        # Also if it breaks.
        self.is_over = True
        with directory() as path, _server(path, self.store) as server:
            outcome = _measured(server, rate, seconds)
        self.is_over = not outcome.figures["holds"]
        return outcome


def cases(short: bool) -> list[Case]:
    """The steps of each store."""
    seconds = 3.0 if short else 120.0
    return [
        Case(
            "ceiling",
            "conduit",
            store,
            {
                "messages_per_s": rate,
                "seconds": seconds,
                "connections": CONNECTIONS,
                "payload_bytes": PAYLOAD_BYTES,
                "loop": "open, single publishes",
            },
            functools.partial(ladder.step, rate, seconds),
        )
        for store, rates in LADDERS.items()
        for ladder in [Ladder(store)]
        for rate in rates
    ]


@contextlib.contextmanager
def _server(path: Path, store: str) -> Iterator[Server]:
    if store == REDIS:
        with nodes(path, 1) as made:
            yield made.first
    else:
        with running(conduit(path, store)) as server:
            yield server


def _measured(server: Server, rate: int, seconds: float) -> Outcome:
    wire.call(server.port, "POST", "/api/topics", {"name": TOPIC})
    target = Target(server.port)
    plan = Plan(
        system=Conduit(target, target),
        topic=TOPIC,
        rate=rate,
        seconds=seconds,
        warm_up_s=WARM_UP_S,
        publishers=CONNECTIONS,
        subscribers=0,
        size_bytes=PAYLOAD_BYTES,
        is_timed=True,
        drain_s=DRAIN_S,
    )
    with Load(publishing.publish, plan, plan.board()) as load:
        load.wait_ready()
        busy = Busy(server)
        load.go()
        sent: Sent = load.result(LEAD_S + WARM_UP_S + seconds + DRAIN_S + 60.0)
        cores, cpu_s = busy.cores(), busy.cpu_s()
    stored = wire.call(server.port, "GET", f"/api/topics/{TOPIC}")["last_seq"]
    return outcome(sent, stored, cores, cpu_s)


def outcome(sent: Sent, stored: int, cores: float, cpu_s: float) -> Outcome:
    """What one step gave: `stored` is the number of the log's last message, `cpu_s` of the server."""
    refused = sum(sent.codes.values())
    acked = sent.answered - refused
    failed = sent.count - acked
    p99_ms = sent.stored.percentile_ms(0.99)
    late_ms = sent.late.percentile_ms(0.99)
    problems = [sent.broken] if sent.broken else []
    problems += (
        [f"1 % of the publishes left more than {late_ms:.0f} ms late"]
        if late_ms > LATE_MAX_MS
        else []
    )
    return Outcome(
        {
            "holds": float(failed == 0 and not sent.broken and p99_ms < P99_MAX_MS),
            "p50_ms": sent.stored.percentile_ms(0.5),
            "p95_ms": sent.stored.percentile_ms(0.95),
            "p99_ms": p99_ms,
            "failed_percent": 100 * failed / sent.count,
            "stored_per_s": sent.in_time / sent.seconds if sent.seconds else 0.0,
            "server_us_per_message": cpu_s / sent.count * 1e6,
        },
        # One whose receipt did not come may be stored or not.
        Checks(acked, stored, max(0, acked - stored), max(0, stored - sent.count), 0),
        cores,
        sent.cores,
        problems,
        # It waits actively for what is due: whether it was the limit shows in what left late.
        throughput=False,
    )
