"""How long is the way from a publish to a subscriber, at fixed rates and with 10 subscribers?

An open loop: each publish has a time at which it is due, which its payload carries, and latency counts
from then to when the subscriber's `recv` returned it. A late send or a queue is thus in the figures and
not left out. The clock is CLOCK_MONOTONIC, one for all processes of the machine. Publisher, subscribers
and server share its cores, and the load's part in the figures is measured too:

- `late_p99_ms`: how late publishes left. The publisher sleeps until just before each and then watches
  the clock, for less time than the kernel's timers are late anyway.
- `reading_p99_ms`: how long a delivery waited while the process that holds the subscribers, once
  woken, read those before it. Payloads are looked at afterwards.

JetStream's publisher does not wait for the acknowledgement of one message before it sends the next, nor
does Conduit's; both are counted at the end. Its consumers are push consumers without acks, over
WebSocket. Order is checked for each publishing connection; for Conduit and JetStream, which number the
messages of a topic, also that all subscribers saw the same one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import time
from collections.abc import Iterator

from bench import jetstream, loads, open_loop, wire
from bench.harness import Case, Outcome, percentile
from bench.open_loop import LEAD_S, PAYLOAD_BYTES, SUBSCRIBERS, TOPIC, Plan, Received, Sent
from bench.systems import Busy, Nats, Server, conduit, directory, running

LATE_MAX_MS = 1.0


def cases(short: bool) -> list[Case]:
    """Conduit without acks on each store and its peers, then Conduit with an ack per message."""
    rates = (2000,) if short else (500, 2000, 5000)
    seconds = 3.0 if short else 10.0
    return [case for rate in rates for case in _cases(rate, seconds)]


def _cases(rate: int, seconds: float) -> Iterator[Case]:
    for system, store, acks in (
        ("conduit", "memory", False),
        ("nats", "none", False),
        ("conduit", "sqlite", False),
        ("conduit", "postgresql", False),
        ("jetstream", "file, synced", False),
        ("jetstream", "file, not synced", False),
        ("conduit", "memory", True),
    ):
        work: dict[str, int | float | str] = {
            "subscribers": SUBSCRIBERS,
            "messages_per_s": rate,
            "seconds": seconds,
            "payload_bytes": PAYLOAD_BYTES,
            "loop": "open, single publishes",
            "acks": "one frame per message" if acks else "none",
        }
        run = functools.partial(_run, Plan(system, rate, seconds, acks), store)
        yield Case("latency", system, store, work, run)


def _run(plan: Plan, store: str) -> Outcome:
    with directory() as path, contextlib.ExitStack() as stack:
        server: Server
        if plan.system == "conduit":
            server = stack.enter_context(running(conduit(path, store)))
            wire.call(server.port, "POST", "/api/topics", {"name": TOPIC})
            plan = dataclasses.replace(plan, ports=(server.port, server.port))
        else:
            server = Nats(path, "always" if store == "file, synced" else "2m")
            stack.enter_context(running(server))
            plan = dataclasses.replace(plan, ports=(server.port, server.ws_port))
        if plan.system == "jetstream":
            jetstream.create_stream(server.port, TOPIC)
        receiver = stack.enter_context(loads.Load(open_loop.receive, plan))
        receiver.wait_ready()
        publisher = stack.enter_context(loads.Load(open_loop.publish, plan))
        publisher.wait_ready()
        receiver.go()
        publisher.go()
        time.sleep(LEAD_S)
        busy = Busy(server)
        sent: Sent = publisher.result()
        cores = busy.cores()
        received: Received = receiver.result()
        return outcome(plan, sent, received, cores)


def outcome(plan: Plan, sent: Sent, received: Received, cores: float) -> Outcome:
    """What one run gave; `cores`: of the server."""
    problems = []
    late_ms = percentile(sent.late_ms, 0.99)
    if late_ms > LATE_MAX_MS:
        problems.append(f"1 % of the publishes left more than {late_ms:.1f} ms late")
    if plan.system != "nats" and sent.answered != plan.count:
        problems.append(f"{sent.answered} of {plan.count} publishes were acknowledged")
    latencies = received.latencies_ms or [0.0]
    return Outcome(
        {
            "p50_ms": percentile(latencies, 0.5),
            "p99_ms": percentile(latencies, 0.99),
            "p99_9_ms": percentile(latencies, 0.999),
            "max_ms": latencies[-1],
            "late_p99_ms": late_ms,
            "reading_p99_ms": percentile(received.readings_ms or [0.0], 0.99),
        },
        received.checks,
        cores,
        max(sent.cores, received.cores),
        problems,
    )
