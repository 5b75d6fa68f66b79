"""What does a log of ten million messages on PostgreSQL cost those who start, look and catch up?

The log is written by SQL, as a server would have left it: ten topics, a thousand durable subscriptions, of
which a tenth is on all topics. Pages are asked at random, up and down, a connection for each. Then a
subscriber reads a topic from its beginning, and the segment that holds the whole log is dropped.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import random
import time
from collections.abc import Callable

from bench import wire
from bench.harness import Case, Outcome, percentile
from bench.loads import Load
from bench.systems import Busy, ConduitOnPostgres, directory, running
from conduit.load.checks import Checks
from conduit.storage.postgres import segments
from conduit.storage.postgres.database import Database

TOPICS = 10
SUBSCRIPTIONS = 1_000
PAGES = 500
_FILL = """
INSERT INTO conduit.topics (topic_id, tenant, name, epoch, created_at_ms, last_seq, stored_bytes, segment)
SELECT nextval('conduit.topic_ids'), 'default', 't' || g, 'e', 0, {each}, {each} * 80, 1
FROM generate_series(1, {topics}) AS g;
INSERT INTO conduit.extents SELECT topic_id, 1, 1 FROM conduit.topics;
INSERT INTO conduit.messages_1
SELECT 1, t.topic_id, g, gen_random_uuid(), g, 80, NULL, NULL,
       convert_to('{{"n":' || g || ',"order_id":"' || repeat('x', 60) || '"}}', 'UTF8')
FROM conduit.topics AS t, generate_series(1, {each}) AS g;
INSERT INTO conduit.subscriptions (tenant, name, pattern, created_at_ms, settings)
SELECT 'default', 's' || g, CASE WHEN g % 10 = 0 THEN '>' ELSE 't' || g % {topics} + 1 END, 0, '{{}}'
FROM generate_series(1, {subscriptions}) AS g;
INSERT INTO conduit.progress
SELECT s.subscription_id, t.topic_id, {each} - 100, {each} - 100, ''
FROM conduit.subscriptions AS s JOIN conduit.topics AS t ON s.pattern IN ('>', t.name);
"""
_DUE = """
UPDATE conduit.topics SET first_seq = last_seq + 1;
UPDATE conduit.segments SET began_at = now() - interval '2 days';
"""


def cases(short: bool) -> list[Case]:
    """One case; a million messages if short."""
    count = 1_000_000 if short else 10_000_000
    work: dict[str, int | float | str] = {
        "messages": count,
        "topics": TOPICS,
        "durable_subscriptions": SUBSCRIPTIONS,
        "pages": PAGES,
    }
    return [Case("scale", "conduit", "postgresql", work, functools.partial(_run, count))]


def _run(count: int) -> Outcome:
    each = count // TOPICS
    with directory() as path:
        server = ConduitOnPostgres(path)
        with running(server):
            sql = server.cluster.sql
            sql(_FILL.format(each=each, topics=TOPICS, subscriptions=SUBSCRIPTIONS))
            sql("CHECKPOINT")
            server.kill()
            ready_s = server.start()
            pages_ms = _pages(server.port, each)
            with Load(_catch_up, server.port, each) as load:
                load.wait_ready()
                busy = Busy(server)
                load.go()
                took_s, checks = load.result()
                cores = busy.cpu_s() / took_s
            server.kill()
            sql(_DUE)
            dropped_s = asyncio.run(_drop(server))
            server.start()
    figures = {
        "ready_s": ready_s,
        "page_p99_ms": percentile(pages_ms, 0.99),
        "page_max_ms": pages_ms[-1],
        "messages_per_s": each / took_s,
        "dropped_s": dropped_s,
    }
    return Outcome(figures, checks, cores, load.cores)


def _pages(port: int, each: int) -> list[float]:
    """How long pages took to be answered, sorted."""
    dice, took_ms = random.Random(1), []
    for number in range(PAGES):
        path = f"/api/topics/t{dice.randint(1, TOPICS)}/messages?limit={dice.choice((10, 100))}"
        if number % 3:
            path += f"&from_seq={dice.randint(1, each)}"
        if number % 2:
            path += "&order=desc"
        began = time.perf_counter()
        wire.call(port, "GET", path)
        took_ms.append((time.perf_counter() - began) * 1000)
    return sorted(took_ms)


def _catch_up(ready: Callable[[], None], port: int, count: int) -> tuple[float, Checks]:
    """The load: read a topic from its beginning, without acks; the seconds this took, and the checks."""
    tally = wire.Sequence(1)
    gc.disable()
    ready()
    began = time.monotonic()
    with wire.subscribe(port, topic="t1", start="earliest", ack="auto") as connection:
        while tally.seen < count and (data := connection.recv(wire.READ_BYTES)):
            tally.feed(data)
    return time.monotonic() - began, tally.checks(count)


async def _drop(server: ConduitOnPostgres) -> float:
    """How long it takes to drop the segment that has the whole log, in seconds."""
    connection = await Database(server.cluster.url()).connect()
    try:
        rules = segments.Rules(retired_for_s=0.0)
        assert await segments.rotate(connection, rules)
        began = time.perf_counter()
        dropped = await segments.drop_unneeded(connection, rules)
        took_s = time.perf_counter() - began
    finally:
        connection.terminate()
    assert dropped == [1]
    return took_s
