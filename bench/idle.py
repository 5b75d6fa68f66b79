"""How much memory does an idle subscriber take in the server?

The figure is what the server's resident memory grew by while many ephemeral subscribers of one topic
connected over WebSocket, divided by their number, once it changes no more. Before the first reading the
server has served a few subscribers, so that what it loads for the first one is not counted. Buffers of
the kernel are in no process's memory and not in the figure. NATS's memory includes what Go's collector
has not given back.

One message at the end has to reach every subscriber once.
"""

from __future__ import annotations

import functools
import time

from bench import holding
from bench.harness import Case, Outcome
from bench.systems import Busy, Conduit, Nats, Server, directory, running

WARM_UP = 20
SAMPLE_EVERY_S = 0.5
# Steady: so many samples in a row differ by no more than this share of the memory.
STEADY_SAMPLES = 5
STEADY_SHARE = 0.002
STEADY_WITHIN_S = 20.0


def cases(short: bool) -> list[Case]:
    """Conduit and NATS, both over WebSocket."""
    subscribers = 2000 if short else 5000
    work: dict[str, int | float | str] = {"subscribers": subscribers, "acks": "none"}
    run = functools.partial(_run, subscribers=subscribers)
    return [
        Case("idle", "conduit", "memory", work, functools.partial(run, "conduit")),
        Case("idle", "nats", "none", work, functools.partial(run, "nats")),
    ]


def _run(system: str, subscribers: int) -> Outcome:
    with directory() as path:
        server: Server = Nats(path) if system == "nats" else Conduit(path, "memory")
        with running(server):
            with holding.Crowd(server, WARM_UP) as warm:
                pass
            before_kib, problems = _steady_kib(server)
            with holding.Crowd(server, subscribers) as crowd:
                busy = Busy(server)
                after_kib, more = _steady_kib(server)
                cores = busy.cores()
            return Outcome(
                {"resident_kib_per_subscriber": (after_kib - before_kib) / subscribers},
                warm.held.checks + crowd.held.checks,
                cores,
                crowd.held.cores,
                problems + more,
                throughput=False,
            )


def _steady_kib(server: Server) -> tuple[int, list[str]]:
    """Resident memory once it is steady, or a problem."""
    samples: list[int] = []
    until = time.monotonic() + STEADY_WITHIN_S
    while time.monotonic() < until:
        samples.append(server.resident_kib())
        latest = samples[-STEADY_SAMPLES:]
        if (
            len(latest) == STEADY_SAMPLES
            and max(latest) - min(latest) <= max(latest) * STEADY_SHARE
        ):
            return latest[-1], []
        time.sleep(SAMPLE_EVERY_S)
    return samples[-1], ["the memory did not become steady"]
