"""How much slower are publishes while thousands of idle WebSocket connections are held?

One server process is asked in turn without and with them, more than once, so that what changes in the
process or on the machine meanwhile meets both. Each held connection is a subscriber of a quiet topic, in
a process that does nothing but answer pings; should that cost CPU, the run does not count. The server
pings a silent connection after 25 s: the long form waits so that the pings of all connections, and the
answers, fall into the times that are measured. That is twice as many as there are on average.

wrk publishes to a topic that is new each time, and what it got answered is read back from the log. In
the end of its time each held connection has to get a message.
"""

from __future__ import annotations

import dataclasses
import functools
import statistics
import time

from bench import holding, readback, wire, wrk
from bench.harness import Case, Outcome
from bench.systems import Busy, Conduit, Server, directory, running
from conduit.load.checks import Checks

CLIENTS = 64
PAIRS = 3
WARM_UP_S = 1
# What one phase publishes is still there when it is compared.
ROOM = {"CONDUIT_MEMORY_MAX_MESSAGES": "2000000"}
# The first connection is not pinged before this, the last one this much after it has connected.
FIRST_PING_S, LAST_PING_S = 24.5, 27.5
HOLDER_MAX_CORES = 0.03
GONE_WITHIN_S = 20.0


@dataclasses.dataclass
class Phase:
    """One time that was measured."""

    answered: wrk.Answered
    checks: Checks
    cores: float
    server_us: float
    """CPU of the server per publish."""


def cases(short: bool) -> list[Case]:
    """Conduit in memory: where a publish costs least, what else the server does shows most."""
    connections, seconds = (4000, 2) if short else (9000, 12)
    work: dict[str, int | float | str] = {
        "connections": connections,
        "pings": "none" if short else "each connection once",
        "clients": CLIENTS,
        "payload_bytes": 44,
        "loop": "closed",
    }
    run = functools.partial(_run, connections, seconds, pings=not short)
    return [Case("held", "conduit", "memory", work, run)]


def _run(connections: int, seconds: int, pings: bool) -> Outcome:
    without: list[Phase] = []
    held: list[Phase] = []
    checks, problems = Checks(), []
    with directory() as path, running(Conduit(path, "memory", **ROOM)) as server:
        _publish(server, WARM_UP_S)
        for _ in range(PAIRS):
            without.append(_publish(server, seconds))
            began = time.monotonic()
            with holding.Crowd(server, connections) as crowd:
                pinged_until = time.monotonic() + LAST_PING_S
                if pings:
                    time.sleep(max(0.0, began + FIRST_PING_S - time.monotonic()))
                    if time.monotonic() + seconds < pinged_until:
                        problems.append("connecting took too long: not all pings were measured")
                held.append(_publish(server, seconds))
            checks += crowd.held.checks
            problems += _gone(server)
            problems += _problems(crowd.held, connections if pings else 0)
    phases = without + held
    problems += [f"{p.answered.failed} requests failed" for p in phases if p.answered.failed]
    return Outcome(
        _figures(without, held),
        sum((phase.checks for phase in phases), checks),
        min(phase.cores for phase in phases),
        max(phase.answered.cores for phase in phases),
        problems,
    )


def _figures(without: list[Phase], held: list[Phase]) -> dict[str, float]:
    """The medians; what is kept of the rate is the median over neighbours in time."""
    pairs = zip(without, held, strict=True)
    kept = [after.answered.per_s / before.answered.per_s * 100 for before, after in pairs]
    figures = {"kept_percent": statistics.median(kept)}
    for name, phases in (("without", without), ("with", held)):
        figures |= {
            f"{name}_per_s": statistics.median(p.answered.per_s for p in phases),
            f"{name}_p99_ms": statistics.median(p.answered.p99_ms for p in phases),
            f"{name}_server_us_per_publish": statistics.median(p.server_us for p in phases),
        }
    return figures


def _publish(server: Server, seconds: int) -> Phase:
    """Publish to a topic of its own, check its log and delete it."""
    topic = "bench"
    wire.call(server.port, "POST", "/api/topics", {"name": topic})
    busy = Busy(server)
    answered = wrk.publish(server.port, CLIENTS, seconds, topic)
    cores, cpu_s = busy.cores(), busy.cpu_s()
    checks = readback.answered(server.port, topic, answered.requests, CLIENTS)
    wire.call(server.port, "DELETE", f"/api/topics/{topic}")
    return Phase(answered, checks, cores, cpu_s / answered.requests * 1e6)


def _gone(server: Server) -> list[str]:
    """Wait until the server has done away with the connections; what follows is without them."""
    until = time.monotonic() + GONE_WITHIN_S
    while wire.call(server.port, "GET", "/api/stats")["active_subscribers"]:
        if time.monotonic() > until:
            return ["the server still has connections that were ended"]
        time.sleep(0.1)
    return []


def _problems(held: holding.Held, pings: int) -> list[str]:
    problems = []
    if held.cores > HOLDER_MAX_CORES:
        problems.append(f"holding the connections took {held.cores:.2f} of a core")
    if held.pings < pings:
        problems.append(f"only {held.pings} pings came")
    return problems
