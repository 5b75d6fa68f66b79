"""How fast does a subscriber read a long log from its beginning, and does that hurt those at its end?

The log is filled first. Then one subscriber reads all of it, either without acks, or as a durable
subscription with an ack frame for each message; in both cases every message is checked, and the time
runs from the subscribing to the last one. JetStream reads with a pull consumer without acks, Redis
with XREAD, from memory.

The second part is about other subscribers. On another topic ten of them get 500 messages a second: the
open loop of `latency`, with processes of its own, in which latency counts from the time at which a
publish was due. Windows alone and windows beside the catch-up take turns; beside it means that a
subscriber is reading the log during the whole of the window, again from the beginning whenever it is
through. The figures are medians over the windows, and `…_change_percent` compares them.

All share the machine's cores, of which the server keeps one busy while somebody catches up. So that the
queue for the cores is not what is measured, the processes of the live ones ask for the shortest time
slices, which lets them run as soon as they wake, and the one that catches up runs at nice 10. A window
does not count if its publishes left late nevertheless (`late_p99_ms`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import gc
import os
import statistics
import time
from collections.abc import Callable

from bench import consumers, jetstream, lanes, loads, open_loop, wire
from bench.durable import DIALECTS
from bench.harness import Case, Outcome
from bench.lanes import Dialect
from bench.loads import Load
from bench.systems import Busy, Conduit, Nats, Redis, Server, directory, running
from conduit.load import publishing, receiving
from conduit.load.checks import Checks
from conduit.load.plan import Plan
from conduit.load.publishing import Sent
from conduit.load.receiving import Received
from conduit.load.verdict import LATE_MAX_MS

LOG = "log"
BATCH = 100
FILL_WINDOW = 4_000
LIVE_PER_S = 500
READER_NICE = 10
STALLED_S = 20.0

PLAIN, ACKED = "none", "one frame per message"

# What the processes tell each other: each is written by one of them.
CONSUMED, STOP = range(2)


def cases(short: bool) -> list[Case]:
    """Catching up alone, Conduit and its peers; then Conduit beside live subscribers."""
    count, seconds, pairs = (100_000, 2.0, 2) if short else (1_000_000, 10.0, 3)
    work: dict[str, int | float | str] = {
        "messages": count,
        "payload_bytes": lanes.PAYLOAD_BYTES,
        "subscribers": 1,
    }
    live: dict[str, int | float | str] = {
        "live_subscribers": open_loop.SUBSCRIBERS,
        "live_messages_per_s": LIVE_PER_S,
        "live_payload_bytes": open_loop.PAYLOAD_BYTES,
        "windows": pairs,
        "window_s": seconds,
        "loop": "open, single publishes",
    }
    alone = [
        Case(
            "catchup",
            system,
            store,
            work | {"acks": acks},
            functools.partial(_alone, system, count, acks),
        )
        for system, store, acks in (
            ("conduit", "sqlite", PLAIN),
            ("jetstream", "file, not synced", PLAIN),
            ("redis", "memory", PLAIN),
            ("conduit", "sqlite", ACKED),
        )
    ]
    beside = [
        Case(
            "catchup",
            "conduit",
            "sqlite",
            work | {"acks": acks} | live,
            functools.partial(_beside, count, acks, pairs, seconds),
        )
        for acks in (PLAIN, ACKED)
    ]
    return [*alone, *beside]


# Alone --------------------------------------------------------------------------------------------


def _alone(system: str, count: int, acks: str) -> Outcome:
    with directory() as path:
        server: Server
        if system == "conduit":
            server = Conduit(path, "sqlite")
        else:
            server = Nats(path) if system == "jetstream" else Redis(path)
        with running(server):
            _fill(system, server.port, count)
            with Load(catch_up, system, server.port, count, acks) as load:
                load.wait_ready()
                busy = Busy(server)
                load.go()
                took_s, checks = load.result()
                cpu_s = busy.cpu_s()
            problems = (
                consumers.unacked(system, server.port, LOG, _name(0)) if acks == ACKED else []
            )
    figures = {"messages_per_s": count / took_s, "server_us_per_message": cpu_s / count * 1e6}
    return Outcome(figures, checks, cpu_s / took_s, load.cores, problems)


def _fill(system: str, port: int, count: int) -> None:
    """Publish `count` messages in order, and wait for all answers."""
    if system == "conduit":
        wire.call(port, "POST", "/api/topics", {"name": LOG})
    elif system == "jetstream":
        jetstream.create_stream(port, LOG)
    dialect: Dialect = DIALECTS[system]
    lane = lanes.Lane(dialect, LOG, 0, dialect.connect(port, 0))
    unanswered = 0
    while lane.sent < count or unanswered:
        while lane.sent < count and unanswered <= FILL_WINDOW - BATCH:
            lane.send(BATCH)
            unanswered += BATCH
        unanswered = lane.take()
    lane.connection.close()


def _name(number: int) -> str:
    return f"reader-{number}"


def catch_up(
    ready: Callable[[], None], system: str, port: int, count: int, acks: str
) -> tuple[float, Checks]:
    """The load: read the log once; the seconds this took, and the checks."""
    if acks == ACKED:
        consumers.create(system, port, LOG, _name(0))
    tally = wire.Sequence(lanes.FIRST)
    gc.disable()
    ready()
    began = time.monotonic()
    name = _name(0) if acks == ACKED else None
    with contextlib.closing(_Reading(system, port, name, tally)) as reading:
        while tally.seen < count and reading.goes_on():
            pass
    return reading.last_at - began, tally.checks(count)


class _Reading:
    """One subscriber that reads the log."""

    def __init__(self, system: str, port: int, name: str | None, tally: wire.Sequence) -> None:
        self._tally = tally
        self._poll = wire.Poll()
        self._consumer = consumers.consumer(system, port, LOG, name, tally)
        self._poll.add(self._consumer.connection, self._consumer.take)
        self.last_at = time.monotonic()
        """When the last messages came."""

    def goes_on(self) -> bool:
        """Read what is there; False when nothing has come for STALLED_S."""
        seen = self._tally.seen
        self._poll.once(0.05)
        now = time.monotonic()
        if self._tally.seen > seen:
            self.last_at = now
        return now - self.last_at < STALLED_S

    def close(self) -> None:
        """Leave."""
        self._consumer.connection.close()


# Beside live subscribers --------------------------------------------------------------------------


@dataclasses.dataclass
class _Window:
    """What one window of the live ones showed."""

    p50_ms: float
    p99_ms: float
    late_p99_ms: float
    checks: Checks
    caught_up_per_s: float = 0.0
    cores: float = 0.0
    """Of the server."""
    load_cores: float = 0.0


def _beside(count: int, acks: str, pairs: int, seconds: float) -> Outcome:
    with directory() as path, running(Conduit(path, "sqlite")) as server:
        _fill("conduit", server.port, count)
        wire.call(server.port, "POST", "/api/topics", {"name": open_loop.TOPIC})
        first = 0
        alone, during = [], []
        for _ in range(pairs):
            alone.append(_live(server, seconds))
            window, first = _live_during(server, seconds, count, acks, first)
            during.append(window)
    figures: dict[str, float] = {}
    for part in ("p50_ms", "p99_ms"):
        before, beside = (
            statistics.median([getattr(window, part) for window in windows])
            for windows in (alone, during)
        )
        figures[f"live_alone_{part}"] = before
        figures[f"live_during_{part}"] = beside
        figures[f"live_{part[:3]}_change_percent"] = (beside / before - 1) * 100
    figures["messages_per_s"] = statistics.median([window.caught_up_per_s for window in during])
    late_ms = max(window.late_p99_ms for window in alone + during)
    figures["late_p99_ms"] = late_ms
    problems = []
    if late_ms > LATE_MAX_MS:
        problems.append(
            f"1 % of the live publishes of a window left more than {late_ms:.1f} ms late"
        )
    return Outcome(
        figures,
        sum((window.checks for window in alone + during), Checks()),
        statistics.fmean([window.cores for window in during]),
        max(window.load_cores for window in during),
        problems,
        throughput=False,
    )


def _live(server: Server, seconds: float) -> _Window:
    """One window of the live ones."""
    plan = open_loop.plan_for("conduit", LIVE_PER_S, seconds, (server.port, server.port))
    with open_loop.loaded(plan, receive, publish) as run:
        busy = Busy(server)
        sent = run.sent()
        cores = busy.cores()
        received = run.received()
    checks = received.checks
    checks.lost += plan.count - sent.answered
    return _Window(
        received.latencies.percentile_ms(0.5),
        received.latencies.percentile_ms(0.99),
        sent.late.percentile_ms(0.99),
        checks,
        cores=cores,
        load_cores=max(sent.cores, received.cores),
    )


def receive(ready: Callable[[], None], plan: Plan, board: loads.Counters) -> Received:
    """The load: the live subscribers."""
    loads.run_promptly()
    return receiving.receive(ready, plan, board)


def publish(ready: Callable[[], None], plan: Plan, board: loads.Counters) -> Sent:
    """The load: who publishes to them."""
    loads.run_promptly()
    return publishing.publish(ready, plan, board)


def _live_during(
    server: Server, seconds: float, count: int, acks: str, first: int
) -> tuple[_Window, int]:
    """The same while subscribers catch up, and the number of the next of them."""
    board = loads.counters(2)
    with Load(catch_up_again, server.port, count, acks, first, board) as load:
        load.wait_ready()
        began = time.monotonic()
        load.go()
        while not board[CONSUMED]:
            time.sleep(0.01)
        window = _live(server, seconds)
        caught_up, took_s = board[CONSUMED], time.monotonic() - began
        board[STOP] = 1
        checks, following = load.result()
    window.checks += checks
    window.caught_up_per_s = caught_up / took_s
    window.load_cores = max(window.load_cores, load.cores)
    return window, following


def catch_up_again(
    ready: Callable[[], None],
    port: int,
    count: int,
    acks: str,
    first: int,
    board: loads.Counters,
) -> tuple[Checks, int]:
    """The load: read the log again and again until it is stopped, each time as another subscriber.

    Returns the checks, also of the one that was stopped, and the number of the next.
    """
    os.nice(READER_NICE)
    gc.disable()
    ready()
    checks, before, number = Checks(), 0, first
    while not board[STOP]:
        tally = wire.Sequence(lanes.FIRST)
        name = _name(number) if acks == ACKED else None
        if name is not None:
            consumers.create("conduit", port, LOG, name)
        with contextlib.closing(_Reading("conduit", port, name, tally)) as reading:
            while tally.seen < count and not board[STOP] and reading.goes_on():
                board[CONSUMED] = before + tally.seen
        before += tally.seen
        checks += tally.checks(tally.seen if board[STOP] else count)
        number += 1
    return checks, number
