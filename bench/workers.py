"""What do several workers give (`conduit serve --workers`), with the load and PostgreSQL on the same cores?

Publishes as in `publish`, on PostgreSQL, with one worker and with two, and those with Redis, which says that
nobody at the other one wants a message. The CPU per message is once of all, with PostgreSQL, and once of
Conduit alone: with more workers each has smaller commits, and there is more of them.
"""

from __future__ import annotations

import contextlib
import functools
import time
from pathlib import Path

from bench import publish, readback, wire, wrk
from bench.harness import Case, Outcome
from bench.lanes import PAYLOAD_BYTES, TOPIC, WARM_TOPIC
from bench.systems import (
    TICKS,
    Busy,
    ConduitOnPostgres,
    Redis,
    directory,
    running,
)

WORKERS = (1, 2)
CLIENTS = (64, 256, 1024)
# For all of them to be there and to have links.
LINKED_WITHIN_S = 30.0


def cases(short: bool) -> list[Case]:
    """By clients, and by workers."""
    seconds = 3 if short else 8
    found = []
    for clients in CLIENTS:
        for workers in WORKERS:
            for redis in (False, True) if workers > 1 else (False,):
                work: dict[str, int | float | str] = {
                    "workers": workers,
                    "redis": "yes" if redis else "no",
                    "clients": clients,
                    "payload_bytes": PAYLOAD_BYTES,
                    "messages_per_request": 1,
                    "loop": "closed",
                }
                run = functools.partial(_run, workers, clients, seconds, redis=redis)
                found.append(Case("workers", "conduit", "postgresql", work, run))
    return found


class Workers(ConduitOnPostgres):
    """Conduit on PostgreSQL as a supervisor and its workers, or as one server."""

    def conduit_cpu_s(self) -> float:
        """Of Conduit's processes alone."""
        return sum(_ticks(stat) for stat in _stats() if self.pid in _whose(stat)) / TICKS

    def cpu_s(self) -> float:
        """Of Conduit's processes, and of PostgreSQL's."""
        ours = {self.pid, self.cluster.pid}
        return sum(_ticks(stat) for stat in _stats() if ours & _whose(stat)) / TICKS


def _stats() -> list[list[str]]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            found.append([path.parent.name, *path.read_text().rsplit(")", 1)[1].split()])
    return found


def _whose(stat: list[str]) -> set[int]:
    """The process, and its parent."""
    return {int(stat[0]), int(stat[2])}


def _ticks(stat: list[str]) -> int:
    return int(stat[12]) + int(stat[13])


def _run(workers: int, clients: int, seconds: int, *, redis: bool) -> Outcome:
    with contextlib.ExitStack() as stack:
        settings = {"CONDUIT_WORKERS": str(workers)}
        if redis:
            server = stack.enter_context(running(Redis(stack.enter_context(directory()))))
            settings["REDIS_URL"] = f"redis://127.0.0.1:{server.port}"
        path = stack.enter_context(directory())
        made = Workers(path, None, **settings)
        stack.enter_context(running(made))
        return _measured(made, workers, clients, seconds)


def _await(port: int, workers: int) -> None:
    """Until all are there and know each other: a connection stays where it began."""
    deadline = time.monotonic() + LINKED_WITHIN_S
    while time.monotonic() < deadline:
        nodes = wire.call(port, "GET", "/api/nodes")["nodes"]
        own = next(node for node in nodes if node["is_this"])
        links = [link["state"] for link in own["links"] or ()]
        if len(nodes) == workers and links == ["up"] * (workers - 1):
            return
        time.sleep(0.1)
    raise RuntimeError("the workers have no links")


def _measured(server: Workers, workers: int, clients: int, seconds: int) -> Outcome:
    _await(server.port, workers)
    for topic in (WARM_TOPIC, TOPIC):
        wire.call(server.port, "POST", "/api/topics", {"name": topic})
    wrk.publish(server.port, clients, publish.WARM_S, WARM_TOPIC)
    busy, began_s = Busy(server), server.conduit_cpu_s()
    result = wrk.publish(server.port, clients, seconds, TOPIC)
    cores, cpu_s = busy.cores(), busy.cpu_s()
    conduit_s = server.conduit_cpu_s() - began_s
    return Outcome(
        {
            "messages_per_s": result.per_s,
            "p50_ms": result.p50_ms,
            "p99_ms": result.p99_ms,
            "server_us_per_message": cpu_s / result.requests * 1e6,
            "conduit_us_per_message": conduit_s / result.requests * 1e6,
        },
        readback.answered(server.port, TOPIC, result.requests, clients),
        cores,
        result.cores,
        [f"{result.failed} requests failed"] if result.failed else [],
    )
