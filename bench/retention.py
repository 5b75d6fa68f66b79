"""What do live messages notice of retention, on PostgreSQL?

Windows in turn on one server: in every second one a topic with many messages is bounded to few, another
such topic is deleted, and idempotency keys run out, so that the server trims, deletes rows and forgets
keys all the time. Latencies are from the time at which a publish should have left to its arrival.
"""

from __future__ import annotations

import statistics

from bench import open_loop, wire
from bench.harness import Case, Outcome
from bench.open_loop import TOPIC, loaded, plan_for
from bench.systems import Busy, ConduitOnPostgres, directory, running
from conduit.load.checks import Checks
from conduit.load.plan import Plan
from conduit.load.receiving import Received

RATE = 2_000
# So many messages per second of a window are to be removed: more than a server can, so that it is busy.
REMOVED_PER_S = 150_000
SETTINGS = {"CONDUIT_RETENTION_INTERVAL_S": "0.1", "CONDUIT_IDEMPOTENCY_WINDOW_S": "1"}

_TOPIC = """
INSERT INTO conduit.topics (topic_id, tenant, name, epoch, created_at_ms, last_seq, stored_bytes, segment)
VALUES ({id}, 'default', '{name}', 'e', 0, {count}, {count} * 80, {segment})
"""
_MESSAGES = """
INSERT INTO conduit.messages_{segment}
SELECT {segment}, {id}, g, gen_random_uuid(), 0, 80, NULL, NULL, convert_to(rpad(g::text, 80), 'UTF8')
FROM generate_series(1, {count}) AS g
"""
_KEYS = """
INSERT INTO conduit.idempotency_keys
SELECT {id}, convert_to('{name}' || g, 'UTF8'), gen_random_uuid(), g, 0 FROM generate_series(1, {count}) AS g
"""


def cases(short: bool) -> list[Case]:
    """One case: PostgreSQL is the only store whose retention runs beside others."""
    seconds, pairs = (3.0, 1) if short else (8.0, 4)
    work: dict[str, int | float | str] = {
        "messages_per_s": RATE,
        "subscribers": open_loop.SUBSCRIBERS,
        "windows": f"{pairs} quiet and {pairs} busy, {seconds:g} s each",
        "loop": "open, single publishes",
    }
    return [Case("retention", "conduit", "postgresql", work, lambda: _run(seconds, pairs))]


def _run(seconds: float, pairs: int) -> Outcome:
    with directory() as path, running(ConduitOnPostgres(path, None, **SETTINGS)) as server:
        assert isinstance(server, ConduitOnPostgres)
        wire.call(server.port, "POST", "/api/topics", {"name": TOPIC})
        plan = plan_for("conduit", RATE, seconds, (server.port, server.port))
        quiet, busy, removed, checks = [], [], 0, Checks()
        _window(plan)
        used = Busy(server)
        for number in range(pairs):
            quiet.append(_window(plan))
            before = _burden(server, number, int(REMOVED_PER_S * seconds))
            busy.append(_window(plan))
            removed += before - _left(server)
        for received in (*quiet, *busy):
            checks += received.checks
        cores = used.cores()
    p99s = [[each.latencies.percentile_ms(0.99) for each in part] for part in (quiet, busy)]
    p50s = [[each.latencies.percentile_ms(0.5) for each in part] for part in (quiet, busy)]
    quiet_ms, busy_ms = map(statistics.median, p99s)
    return Outcome(
        {
            "quiet_p50_ms": statistics.median(p50s[0]),
            "busy_p50_ms": statistics.median(p50s[1]),
            "quiet_p99_ms": quiet_ms,
            "busy_p99_ms": busy_ms,
            "p99_change_percent": (busy_ms / quiet_ms - 1) * 100,
            "removed_per_s": removed / (pairs * seconds),
        },
        checks,
        cores,
        max(each.cores for each in (*quiet, *busy)),
        [] if removed else ["nothing was removed"],
    )


def _window(plan: Plan) -> Received:
    with loaded(plan) as run:
        sent = run.sent()
        received = run.received()
    assert sent.answered == plan.count
    return received


def _burden(server: ConduitOnPostgres, number: int, count: int) -> int:
    """Give the server something to remove; returns how much there is."""
    sql = server.cluster.sql
    segment = sql("SELECT max(segment) FROM conduit.segments")
    for place, name in enumerate(("trimmed", "deleted")):
        values = {"id": 64 * (1_000 + 2 * number + place), "segment": segment, "count": count // 2}
        sql(_TOPIC.format(name=f"{name}{number}", **values))
        sql(_MESSAGES.format(**values))
        sql(f"INSERT INTO conduit.extents VALUES ({values['id']}, 1, {segment})")
        sql(_KEYS.format(name=name, **values))
    left = _left(server)
    sql("CHECKPOINT")
    # It reads topics at start.
    server.kill()
    server.start()
    wire.call(
        server.port, "PATCH", f"/api/topics/trimmed{number}", {"retention": {"max_messages": 1}}
    )
    wire.call(server.port, "DELETE", f"/api/topics/deleted{number}")
    return left


def _left(server: ConduitOnPostgres) -> int:
    """What is there to be removed: messages, and keys."""
    return int(
        server.cluster.sql(
            "SELECT (SELECT coalesce(sum(last_seq - first_seq), 0) FROM conduit.topics"
            "        WHERE name LIKE 'trimmed%')"
            " + (SELECT count(*) FROM conduit.messages WHERE topic_id IN"
            "    (SELECT topic_id FROM conduit.gone_topics UNION"
            "     SELECT topic_id FROM conduit.topics WHERE name LIKE 'deleted%'))"
            " + (SELECT count(*) FROM conduit.idempotency_keys)"
        )
    )
