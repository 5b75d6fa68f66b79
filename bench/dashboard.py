"""How long do the dashboard's pages wait for their answers, when there is very much and it goes on?

The store is filled by SQL before the server starts, as a server would have left it: topics, durable
subscriptions with nobody attached, of which some are on patterns over everything, dead letters, and messages,
nearly all of them in ten topics. While a thousand messages are published in a second, each in a request of
its own, every call that the pages make is asked again and again, one after the other, with topics and places
at random. Figures are the 95th percentile of each page's slowest call. More than 300 ms makes the line
invalid. Before that, without any other load, the server is asked for what an open Overview asks for, at its
pace, and left alone for as long, in turn: `overview_percent` of a core is what that costs, the mean of the
differences, with its standard error. It may be below nothing, where a server at rest is less even than that.
"""

from __future__ import annotations

import base64
import functools
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import apsw

from bench import filling_much, wire
from bench.filling_much import Much
from bench.harness import Case, Outcome, percentile
from bench.loads import Counters, Load, counters
from bench.systems import Busy, ConduitOnPostgres, Server, directory, running
from conduit.load.checks import Checks

P95_MAX_MS = 300.0
PUBLISHES_PER_S = 1_000
# Topics that have nearly all messages.
LARGE = 10
OVERVIEW_MAX_CORES = 0.01
# More than this, and the figure says nothing.
OVERVIEW_ERROR_MAX_CORES = 0.004
CALLS_EACH = 40
IS_OVER = 0
# It is at rest once it takes so little for so long.
CALM_CORES, CALM_S, CALM_TRIES = 0.1, 5.0, 120
# What an open Overview asks for in so many seconds, at its quickest pace: see dashboard/src/services.
OVERVIEW = (
    (2, "/api/stats"),
    (5, "/api/stats/history?interval_s=5&limit=3"),
    (5, "/health"),
    (5, "/api/nodes?limit=500"),
    (10, "/api/stats/attention"),
    (10, "/api/stats/topics?limit=10"),
    (10, "/api/dlq?limit=1&redriven=false"),
)
_SQLITE = """
INSERT INTO messages (topic_id, seq, message_id, published_at_ms, bytes, payload)
WITH RECURSIVE n (g) AS (SELECT 2 UNION ALL SELECT g + 1 FROM n WHERE g < {each})
SELECT topic_id, g, randomblob(16), CAST(unixepoch('subsec') * 1000 AS INTEGER), 44,
       CAST('{{"n":' || g || '}}' AS BLOB)
FROM topics, n WHERE topic_id <= {large};
UPDATE topics SET last_seq = {each}, stored_bytes = 44 * {each} WHERE topic_id <= {large};
"""
_POSTGRES = """
INSERT INTO conduit.messages_1
SELECT 1, topic_id, g, gen_random_uuid(), extract(epoch FROM now()) * 1000, 44, NULL, NULL,
       convert_to('{{"n":' || g || '}}', 'UTF8')
FROM (SELECT topic_id FROM conduit.topics ORDER BY topic_id LIMIT {large}) AS chosen,
     generate_series(2, {each}) AS g;
UPDATE conduit.topics SET last_seq = {each}, stored_bytes = 44 * {each}
WHERE topic_id IN (SELECT topic_id FROM conduit.topics ORDER BY topic_id LIMIT {large});
"""


class Watch(NamedTuple):
    """So many times, for so long with an open Overview and for as long without one."""

    pairs: int
    window_s: int


# The server looks for what needs attention every 30 s while somebody asks every 10 s: twice in a window.
LONG_WATCH, SHORT_WATCH = Watch(4, 60), Watch(1, 20)


def cases(short: bool) -> list[Case]:
    """One for each store; a tenth of everything if short, and a hundredth of the messages."""
    much = Much(1_000, 10_000, 40, 5_000) if short else Much(10_000, 100_000, 40, 50_000)
    counts = {"sqlite": 1_000_000, "postgresql": 10_000_000}
    return [
        Case(
            "dashboard",
            "conduit",
            store,
            {
                "topics": much.topics,
                "durable_subscriptions": much.subscriptions,
                "on_patterns": much.patterns,
                "dead_letters": much.letters,
                "messages": count,
                "publishes_per_s": PUBLISHES_PER_S,
                "calls_each": CALLS_EACH,
            },
            functools.partial(_run, store, much, count, SHORT_WATCH if short else LONG_WATCH),
        )
        for store, every in counts.items()
        for count in [every // 100 if short else every]
    ]


def _run(store: str, much: Much, count: int, watch: Watch) -> Outcome:
    with directory() as path:
        server = filled(path, store, much, count // LARGE)
        with running(server):
            filling_much.fill(server, store, much)
            calm(server)
            costs = _overview_cores(server, watch)
            signs = counters(1)
            with Load(publish, server.port, signs) as load:
                load.wait_ready()
                busy = Busy(server)
                load.go()
                took_ms = _asked(server.port, much)
                cores = busy.cores()
                signs[IS_OVER] = 1
                checks, rate = load.result()
    p95_ms = {call: percentile(sorted(each), 0.95) for call, each in took_ms.items()}
    mean, error = statistics.mean(costs), 0.0
    if len(costs) > 1:
        error = statistics.stdev(costs) / len(costs) ** 0.5
    figures = {
        "published_per_s": rate,
        "overview_percent": mean * 100,
        "overview_error_percent": error * 100,
    }
    for (page, _), p95 in p95_ms.items():
        figures[f"{page}_p95_ms"] = max(p95, figures.get(f"{page}_p95_ms", 0.0))
    outcome = Outcome(figures, checks, cores, load.cores, throughput=False)
    outcome.problems += [
        f"{name}: p95 is {p95:.0f} ms, the slowest {max(took_ms[page, name]):.0f} ms"
        for (page, name), p95 in p95_ms.items()
        if p95 > P95_MAX_MS
    ]
    if mean > OVERVIEW_MAX_CORES or error > OVERVIEW_ERROR_MAX_CORES:
        outcome.problems.append(f"an open Overview costs {mean:.2%} of a core, ± {error:.2%}")
    return outcome


def filled(path: Path, store: str, much: Much, each: int) -> Server:
    """A server that is not started; all of it is in its store, so many messages in each large topic."""
    server = filling_much.server(path, store, much)
    if isinstance(server, ConduitOnPostgres):
        server.cluster.sql(_POSTGRES.format(each=each, large=LARGE))
        # Else it does so while the server is watched.
        server.cluster.sql("VACUUM (ANALYZE)")
        server.cluster.sql("CHECKPOINT")
    else:
        connection = apsw.Connection(str(path / "conduit.db"))
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(f"BEGIN; {_SQLITE.format(each=each, large=LARGE)} COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
    return server


def calm(server: Server) -> None:
    """Wait until it has counted what each subscription lacks, which it does after its start."""
    for _ in range(CALM_TRIES):
        busy = Busy(server)
        time.sleep(CALM_S)
        if busy.cores() < CALM_CORES:
            return
    raise RuntimeError("the server does not come to rest")


def _overview_cores(server: Server, watch: Watch) -> list[float]:
    """What an open Overview costs, by each pair. Every second one begins without it: what only grows or only
    fades meanwhile is in none of their sum."""
    costs = []
    for pair in range(watch.pairs):
        order = ((), OVERVIEW) if pair % 2 else (OVERVIEW, ())
        cores = {bool(asked): _watched(server, asked, watch.window_s) for asked in order}
        costs.append(cores[True] - cores[False])
    return costs


def _watched(server: Server, asked: Sequence[tuple[int, str]], look_s: int) -> float:
    """The cores that it takes while this is asked, each every so many seconds."""
    busy, began = Busy(server), time.monotonic()
    for second in range(look_s):
        for every_s, path in asked:
            if second % every_s == 0:
                wire.call(server.port, "GET", path)
        time.sleep(max(0.0, began + second + 1 - time.monotonic()))
    return busy.cores()


def publish(ready: Callable[[], None], port: int, signs: Counters) -> tuple[Checks, float]:
    """The load: so many messages in a second, some at a time, until it is told that it is over."""
    topics = [filling_much.topic(number) for number in range(LARGE)]
    bodies = [b'{"topic":"%b","payload":{"n":1}}' % topic.encode() for topic in topics]
    together = b"".join(wire.request("/api/publish", body) for body in bodies)
    connection, sent, answered = wire.connect(port), 0, 0
    ready()
    began = time.monotonic()
    while not signs[IS_OVER]:
        connection.sendall(together)
        sent += len(bodies)
        while answered < sent:
            data = connection.recv(wire.READ_BYTES)
            if not data:
                raise RuntimeError("the server closed the connection")
            # An answer that is cut in two between these bytes would be missing: each is sent whole.
            answered += data.count(b"HTTP/1.1 200 ")
        time.sleep(max(0.0, began + sent / PUBLISHES_PER_S - time.monotonic()))
    connection.close()
    return Checks(expected=sent, seen=answered), sent / (time.monotonic() - began)


def _asked(port: int, much: Much) -> dict[tuple[str, str], list[float]]:
    """(page, call) → how long each answer took, in milliseconds."""
    dice = random.Random(1)
    took_ms: dict[tuple[str, str], list[float]] = {}
    for _ in range(CALLS_EACH):
        for page, name, path in _calls(dice, much):
            began = time.perf_counter()
            wire.call(port, "GET", path)
            took_ms.setdefault((page, name), []).append((time.perf_counter() - began) * 1000)
    return took_ms


def _calls(dice: random.Random, much: Much) -> Iterator[tuple[str, str, str]]:
    """(page, name, path) of all calls, once each, of topics and places at random."""
    topic = filling_much.topic(dice.randrange(much.topics))
    large = filling_much.topic(dice.randrange(LARGE))
    some = ",".join(filling_much.topic(dice.randrange(much.topics)) for _ in range(30))
    subscription = filling_much.LITERAL_NAME % dice.randrange(much.literals)
    after = {
        kind: base64.urlsafe_b64encode(f"{kind}:{key}".encode()).decode().rstrip("=")
        for kind, key in (("topics", topic), ("subscriptions", subscription))
    }
    for _, path in OVERVIEW:
        yield "overview", path, path
    for page, path in (
        ("overview", "/api/stats/history?interval_s=1&limit=300"),
        ("overview", "/api/stats/history?interval_s=60&limit=1440"),
        ("topics", "/api/topics?limit=100"),
        ("topics", "/api/topics?limit=100&q=t99"),
        ("topics", "/api/topics?limit=100&q=nothing"),
        ("topic", f"/api/topics/{large}/messages?limit=50&order=desc"),
        ("messages", f"/api/topics/{large}/messages?limit=100&order=desc"),
        ("subscriptions", "/api/subscriptions?limit=100"),
        ("subscriptions", "/api/subscriptions?limit=100&q=literal-99"),
        ("subscriptions", f"/api/subscriptions/{filling_much.PATTERN_NAME % 1}"),
        ("subscriptions", f"/api/subscriptions/{filling_much.PATTERN_NAME % 1}/topics?limit=100"),
        ("dead_letters", "/api/dlq?limit=100"),
        ("dead_letters", "/api/dlq/groups"),
        ("nodes", "/api/nodes?limit=500"),
    ):
        yield page, path.replace(large, "{large}"), path
    for page, name, path in (
        ("topics", "/api/topics?cursor=", f"/api/topics?limit=100&cursor={after['topics']}"),
        ("topics", "/api/stats/topics?names=", f"/api/stats/topics?names={some}"),
        ("topic", "/api/topics/{name}", f"/api/topics/{topic}"),
        ("topic", "/api/subscriptions?topic=", f"/api/subscriptions?limit=100&topic={topic}"),
        (
            "messages",
            "/api/topics/{large}/messages?from_seq=",
            f"/api/topics/{large}/messages?limit=100&from_seq={dice.randrange(1, 1_000)}",
        ),
        (
            "subscriptions",
            "/api/subscriptions?cursor=",
            f"/api/subscriptions?limit=100&cursor={after['subscriptions']}",
        ),
        ("subscriptions", "/api/subscriptions/{name}", f"/api/subscriptions/{subscription}"),
    ):
        yield page, name, path
