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
import functools
from collections.abc import Iterator

from bench import jetstream, wire
from bench.harness import Case, Outcome
from bench.open_loop import PAYLOAD_BYTES, SUBSCRIBERS, TOPIC, loaded, plan_for
from bench.systems import Busy, Nats, Server, conduit, directory, running
from conduit.load import verdict
from conduit.load.plan import Plan
from conduit.load.publishing import Sent
from conduit.load.receiving import Received


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
        run = functools.partial(_run, system, store, rate, seconds, acks=acks)
        yield Case("latency", system, store, work, run)


def _run(system: str, store: str, rate: int, seconds: float, *, acks: bool) -> Outcome:
    with directory() as path, contextlib.ExitStack() as stack:
        server: Server
        if system == "conduit":
            server = stack.enter_context(running(conduit(path, store)))
            wire.call(server.port, "POST", "/api/topics", {"name": TOPIC})
            ports = (server.port, server.port)
        else:
            server = Nats(path, "always" if store == "file, synced" else "2m")
            stack.enter_context(running(server))
            ports = (server.port, server.ws_port)
        if system == "jetstream":
            jetstream.create_stream(server.port, TOPIC)
        return measured(plan_for(system, rate, seconds, ports, acks=acks), server)


def measured(plan: Plan, server: Server) -> Outcome:
    """One run against a server that is ready and has the topic."""
    with loaded(plan) as run:
        busy = Busy(server)
        sent = run.sent()
        cores = busy.cores()
        return outcome(plan, sent, run.received(), cores)


def outcome(plan: Plan, sent: Sent, received: Received, cores: float) -> Outcome:
    """What one run gave; `cores`: of the server."""
    late_ms = sent.late.percentile_ms(0.99)
    problems = verdict.of_late(late_ms)
    if plan.system.name != "nats" and sent.answered != plan.count:
        problems.append(f"{sent.answered} of {plan.count} publishes were acknowledged")
    if sent.codes:
        problems.append(f"publishes were refused: {dict(sent.codes)}")
    return Outcome(
        {
            "p50_ms": received.latencies.percentile_ms(0.5),
            "p99_ms": received.latencies.percentile_ms(0.99),
            "p99_9_ms": received.latencies.percentile_ms(0.999),
            "max_ms": received.latencies.max_ms,
            "late_p99_ms": late_ms,
            "reading_p99_ms": received.readings.percentile_ms(0.99),
        },
        received.checks,
        cores,
        max(sent.cores, received.cores),
        problems,
    )
