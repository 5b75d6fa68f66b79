"""How many publishes per second, one message per request, each answered when it is stored?

wrk publishes to Conduit: afterwards each payload must be in the log once, whoever sent it, so no order
can be checked. redis-benchmark cannot number its payloads: of Redis only the count of entries is
checked. JetStream's PubAcks are all compared with the stream, and each connection's order is checked.
"""

from __future__ import annotations

import csv
import functools
import io

from bench import jetstream, lanes, loads, readback, resp, wire, wrk
from bench.harness import Case, Outcome
from bench.lanes import PAYLOAD_BYTES, TOPIC, WARM_TOPIC, Shape
from bench.systems import Busy, Nats, Redis, Server, conduit, directory, running, tool
from conduit.load.checks import Checks

CLIENTS = 64
WARM_S = 1
# redis-benchmark needs more CPU for an XADD than Redis does: one thread of it would be the limit.
REDIS_THREADS = 2
REDIS_WARM_COUNT = 20_000
REDIS_WITHIN_S = 300.0


def cases(short: bool) -> list[Case]:
    """Conduit on each store beside what does the same work, then JetStream as it comes."""
    seconds = 2 if short else 6
    work: dict[str, int | float | str] = {
        "clients": CLIENTS,
        "payload_bytes": PAYLOAD_BYTES,
        "messages_per_request": 1,
        "loop": "closed",
    }
    conduit = functools.partial(_conduit, seconds=seconds)
    redis = functools.partial(_redis, count=40_000 * seconds)
    nats = functools.partial(_jetstream, seconds=seconds)

    def case(system: str, store: str, run: functools.partial[Outcome]) -> Case:
        return Case("publish", system, store, work, run)

    return [
        case("conduit", "memory", functools.partial(conduit, "memory")),
        case("redis", "memory", functools.partial(redis, "no")),
        case("conduit", "sqlite", functools.partial(conduit, "sqlite")),
        case("conduit", "postgresql", functools.partial(conduit, "postgresql")),
        case("jetstream", "file, synced", functools.partial(nats, "always")),
        case("redis", "file, synced", functools.partial(redis, "always")),
        case("jetstream", "file, not synced", functools.partial(nats, "2m")),
    ]


def _conduit(store: str, seconds: int) -> Outcome:
    with directory() as path, running(conduit(path, store)) as server:
        return measured(server, seconds)


def measured(server: Server, seconds: int) -> Outcome:
    """One run against a Conduit that is ready, as `wire.CALLER`."""
    for topic in (WARM_TOPIC, TOPIC):
        wire.call(server.port, "POST", "/api/topics", {"name": topic})
    wrk.publish(server.port, CLIENTS, WARM_S, WARM_TOPIC)
    busy = Busy(server)
    result = wrk.publish(server.port, CLIENTS, seconds, TOPIC)
    cores, cpu_s = busy.cores(), busy.cpu_s()
    return Outcome(
        {
            "messages_per_s": result.per_s,
            "p50_ms": result.p50_ms,
            "p99_ms": result.p99_ms,
            "server_us_per_message": cpu_s / result.requests * 1e6,
        },
        readback.answered(server.port, TOPIC, result.requests, CLIENTS),
        cores,
        result.cores,
        [f"{result.failed} requests failed"] if result.failed else [],
    )


def _jetstream(sync: str, seconds: float) -> Outcome:
    with directory() as path, running(Nats(path, sync)) as server:
        for topic in (WARM_TOPIC, TOPIC):
            jetstream.create_stream(server.port, topic)
        shape = Shape(CLIENTS, outstanding=1)
        return lanes.measure(server, jetstream.PUBLISHES, shape, seconds, jetstream.read_log)


def _redis(fsync: str, count: int) -> Outcome:
    with directory() as path, running(Redis(path, fsync)) as server:
        _redis_benchmark(server.port, WARM_TOPIC, REDIS_WARM_COUNT)
        busy = Busy(server)
        row, load_cores = _redis_benchmark(server.port, TOPIC, count)
        cores, cpu_s = busy.cores(), busy.cpu_s()
        client = resp.RedisClient(server.port)
        stored = client.call("XLEN", TOPIC)
        client.close()
        assert isinstance(stored, int)
        return Outcome(
            {
                "messages_per_s": float(row["rps"]),
                "p50_ms": float(row["p50_latency_ms"]),
                "p99_ms": float(row["p99_latency_ms"]),
                "server_us_per_message": cpu_s / count * 1e6,
            },
            Checks(count, stored, max(0, count - stored), max(0, stored - count), 0),
            cores,
            # Of one thread: it is full at one core.
            load_cores / REDIS_THREADS,
        )


def _redis_benchmark(port: int, key: str, count: int) -> tuple[dict[str, str], float]:
    command = [tool("redis-benchmark", "redis-tools"), "-p", str(port), "-c", str(CLIENTS)]
    command += ["--threads", str(REDIS_THREADS), "-n", str(count), "--csv"]
    command += ["XADD", key, "*", "p", "x" * PAYLOAD_BYTES]
    said, cores = loads.program(command, REDIS_WITHIN_S)
    return next(csv.DictReader(io.StringIO(said))), cores
