"""What is a publisher who waits 5 s still served of, when more comes than a slow disk takes?

Every sync of the store's disk takes as long as the row says (slow_sync.c). First a closed loop finds the
capacity: what is stored per second when there is always a next commit to fill. Then requests leave at fixed
times, at one, two and five times that rate, whatever became of those before; nobody tries again, and whoever
has no answer after 5 s closes its connection. Goodput is what was answered within the 5 s *and* is stored: in
the end the whole log is read, and compared with what every request was told.
"""

from __future__ import annotations

import contextlib
import functools
from pathlib import Path

from bench import impatient, loads, readback, wire
from bench.harness import Case, Outcome, percentile
from bench.impatient import BATCH, Outcomes, Plan
from bench.slow_disk import SlowDisk, slow_disk
from bench.systems import Busy, Conduit, ConduitOnPostgres, directory, running
from conduit.load.checks import Checks
from tests.support.postgres import Cluster

TOPIC, WARM_TOPIC = "bench", "warm"
WAIT_S = 5.0
# Two commits of messages on their way: one is stored, and one waits.
CONNECTIONS = 80
# A closed loop of so many commits finds the capacity; the first of PostgreSQL takes several syncs.
COMMITS = 16
LATE_MAX_MS = 250.0


def cases(short: bool) -> list[Case]:
    """Each store on two slow disks, each at three rates."""
    seconds = 12.0 if short else 30.0
    return [
        Case(
            "overload",
            "conduit",
            store,
            {
                "sync_ms": round(delay_s * 1000),
                "times_capacity": times,
                "messages_per_request": BATCH,
                "client_waits_s": WAIT_S,
                "loop": f"open, {seconds:g} s",
            },
            functools.partial(_run, store, delay_s, times, seconds),
        )
        for store in ("sqlite", "postgresql")
        for delay_s in (0.1, 1.0)
        for times in (1, 2, 5)
    ]


def _server(path: Path, store: str, disk: SlowDisk) -> Conduit:
    if store == "postgresql":
        return ConduitOnPostgres(path, Cluster(env=disk.env))
    return Conduit(path, store, **disk.env)


def _run(store: str, delay_s: float, times: int, seconds: float) -> Outcome:
    with contextlib.ExitStack() as stack:
        disk = stack.enter_context(slow_disk())
        path = stack.enter_context(directory())
        server = stack.enter_context(running(_server(path, store, disk)))
        # Syncs of the end would only take time.
        stack.callback(disk.slow_down, 0.0)
        for topic in (WARM_TOPIC, TOPIC):
            wire.call(server.port, "POST", "/api/topics", {"name": topic})
        disk.slow_down(delay_s)
        closed_s = max(COMMITS * delay_s, 3.0)
        capacity, _ = loads.run(impatient.saturate, server.port, WARM_TOPIC, CONNECTIONS, closed_s)
        rate = capacity * times / BATCH
        busy = Busy(server)
        plan = Plan(server.port, TOPIC, rate, int(rate * seconds), WAIT_S)
        outcomes, cores = loads.run(impatient.publish, plan)
        server_cores = busy.cores()
        disk.slow_down(0.0)
        stored = _stored(server.port)
    return _outcome(outcomes, stored, capacity, seconds, (server_cores, cores))


def _stored(port: int) -> list[int]:
    """The numbers of all messages of the log, once nothing is on its way into it any more."""
    wire.call(port, "POST", "/api/publish", {"topic": WARM_TOPIC, "payload": 1})
    found: list[bytes] = []
    readback.drain(port, TOPIC, int(readback.call_topic(port, TOPIC)["last_seq"]), found)
    return [int(number) for number in found]


def _outcome(
    outcomes: Outcomes,
    stored: list[int],
    capacity: float,
    seconds: float,
    cores: tuple[float, float],
) -> Outcome:
    unique = set(stored)
    acked, refused = _messages(outcomes.acked), _messages(outcomes.refused)
    goodput = len(acked & unique)
    latencies, late = sorted(outcomes.latencies_ms), sorted(outcomes.late_ms)
    request_count = len(late)
    figures = {
        "capacity_messages_per_s": capacity,
        "goodput_percent": 100 * goodput / (capacity * seconds),
        "refused_percent": 100 * len(outcomes.refused) / request_count,
        "no_answer_percent": 100 * len(outcomes.unknown) / request_count,
        "stored_for_nobody_percent": 100 * len(unique - acked) / max(len(unique), 1),
    }
    if latencies:
        figures |= {
            "p50_ms": percentile(latencies, 0.5),
            "p99_ms": percentile(latencies, 0.99),
        }
    problems = []
    if refused & unique:
        problems.append(f"{len(refused & unique)} messages were refused and are stored")
    if percentile(late, 0.99) > LATE_MAX_MS:
        problems.append(f"requests left {percentile(late, 0.99):.0f} ms late")
    lost, duplicates = len(acked - unique), len(stored) - len(unique)
    checks = Checks(len(acked), len(stored), lost, duplicates, 0)
    return Outcome(figures, checks, *cores, problems=problems, throughput=False)


def _messages(requests: list[int]) -> set[int]:
    """The numbers of the messages of these requests."""
    return {each for number in requests for each in range(number * BATCH, (number + 1) * BATCH)}
