"""From what publishers and subscribers saw to a result: figures, checks and the verdict."""

from __future__ import annotations

import dataclasses
from typing import Any

from conduit.cli.bench import verified
from conduit.cli.bench.options import BenchOptions
from conduit.cli.bench.result import SCHEMA, Result
from conduit.cli.bench.slo import missed
from conduit.load import verdict
from conduit.load.catching_up import CaughtUp
from conduit.load.checks import Checks
from conduit.load.histogram import Latencies
from conduit.load.plan import Plan
from conduit.load.publishing import Sent
from conduit.load.receiving import Received

SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}
# On a machine with other work the kernel wakes a process late; so much of a send's lateness is still little
# beside what is measured.
LATE_SHARE = 0.1
# Of the time that was asked for: who measures less long is told.
EARLY_SHARE = 0.99


def work_of(options: BenchOptions) -> dict[str, Any]:
    """All that the figures depend on and that was asked for: equal for runs that can be compared."""
    acks = "each" if options.ack or options.subscription else "none"
    if options.command == "sub":
        return {
            "topic": options.topic,
            "start": options.start.text,
            "subscribers": options.subscribers,
            "acks": acks,
            "durable_subscription": options.subscription is not None,
            "duration_s": options.duration_s,
            "max_messages": options.max_messages,
        }
    return {
        # None is one of its own, which is made as all are.
        "topic": options.topic,
        "loop": "closed" if options.rate is None else "open",
        "rate": options.rate,
        "size_bytes": options.size,
        "publishers": options.publishers,
        "subscribers": options.subscribers,
        "acks": acks,
        "durable_subscription": options.subscription is not None,
        "duration_s": options.duration_s,
        "warm_up_s": options.warmup_s,
        "max_messages": options.max_messages,
    }


@dataclasses.dataclass
class Outcome:
    """What a run gave, before it is judged."""

    figures: dict[str, float]
    checks: Checks
    load: dict[str, float]
    invalid: list[str]
    """Why the figures do not count."""
    failed: list[str]
    """What the server did wrong, or refused."""
    unverified: list[str]
    """What was not looked at."""
    not_reached: int = 0
    """How many of what was expected that is."""
    latencies: dict[str, Latencies] = dataclasses.field(default_factory=dict)
    refused: dict[str, int] = dataclasses.field(default_factory=dict)
    work: dict[str, Any] = dataclasses.field(default_factory=dict)
    """What of the work was not known before."""
    ended_early: str = ""


def of_run(
    plan: Plan, sent: Sent, received: Received | None, read: CaughtUp | str | None
) -> Outcome:
    """Of what was published, and received if there were subscribers; `read` is what the topic has of it, or
    why that could not be read."""
    figures = {
        "stored_per_s": sent.in_time / max(sent.seconds, 1e-9),
        "measured_s": sent.seconds,
        **_of_latencies("stored", sent.stored),
    }
    cores = max(sent.cores, received.cores if received else 0.0)
    load = {"busiest_process_cores": round(cores, 3), "held_s": round(sent.held_s, 3)}
    if plan.rate is not None:
        load["late_p99_ms"] = sent.late.percentile_ms(0.99)
    refused = sum(sent.codes.values())
    unanswered = sent.count - sent.answered
    found = verified.received(plan, sent, received) if received else verified.stored(sent, read)
    latencies = {"stored": sent.stored}
    if received is not None:
        latencies |= {"received": received.latencies}
        figures["received_per_s"] = received.measured / max(received.seconds, sent.seconds, 1e-9)
        figures |= _of_latencies("received", received.latencies)
        load["reading_p99_ms"] = received.readings.percentile_ms(0.99)
        if plan.subscribers > 1 and plan.subscription is None:
            latencies["last"] = received.last
            figures |= _of_latencies("last", received.last)
    return Outcome(
        figures | {"errors": float(refused + unanswered)},
        found.checks,
        load,
        _invalid(plan, sent, cores, received),
        [*_of_publishes(sent), *found.failed],
        found.unverified,
        found.not_reached,
        latencies,
        dict(sent.codes),
        ended_early=_ended_early(plan, sent),
    )


def _of_publishes(sent: Sent) -> list[str]:
    """What went wrong with them."""
    failed = [f"the run ended before its time: {sent.broken}"] if sent.broken else []
    failed += [
        f"publishes were refused: {count:,} with {code}" for code, count in sent.codes.items()
    ]
    if unanswered := sent.count - sent.answered:
        failed.append(f"{unanswered:,} publishes were not answered")
    return failed


def _ended_early(plan: Plan, sent: Sent) -> str:
    """That it measured less long than it was asked to, since it was to send no more."""
    if sent.count < plan.max_messages or sent.seconds >= plan.seconds * EARLY_SHARE:
        return ""
    return (
        f"after {sent.count:,} messages, which is --max-messages: {sent.seconds:,.1f} s were measured, not "
        f"{plan.seconds:,.1f}"
    )


def _of_latencies(name: str, latencies: Latencies) -> dict[str, float]:
    if not latencies.count:
        return {}
    parts = {f"{name}_{part}_ms": latencies.percentile_ms(share) for part, share in SHARES.items()}
    return {**parts, f"{name}_max_ms": latencies.max_ms}


def _invalid(plan: Plan, sent: Sent, cores: float, received: Received | None) -> list[str]:
    """Why the generator is what was measured; empty if it was not."""
    found = []
    if verdict.was_limit(cores):
        found.append(f"the generator was the limit: a process of it used {cores:.2f} of a core")
    if plan.rate is not None:
        main = received.latencies if received else sent.stored
        most_ms = max(verdict.LATE_MAX_MS, LATE_SHARE * main.percentile_ms(0.99))
        found += verdict.of_late(sent.late.percentile_ms(0.99), most_ms)
    if not sent.stored.count:
        found.append("nothing was measured")
    return found


def of_reading(caught: CaughtUp) -> Outcome:
    """Of what was read."""
    figures = {
        "received_per_s": caught.count / caught.seconds,
        "received_bytes_per_s": caught.bytes_read / caught.seconds,
        "seconds": caught.seconds,
        "gaps": float(caught.gaps),
    }
    failed = verified.of_checks(caught.checks)
    if caught.gaps:
        failed.append(
            f"gaps: {caught.gaps:,} times the server said that it does not have what was asked for"
        )
    if caught.closed:
        failed.append(f"{caught.closed:,} subscribers were disconnected")
    invalid = [] if caught.count else ["nothing was received"]
    if verdict.was_limit(caught.cores):
        cores = f"{caught.cores:.2f} of a core"
        invalid.append(f"the generator was the limit: the process that reads used {cores}")
    unverified = []
    if caught.not_reached:
        unverified.append(
            f"{caught.not_reached:,} of {caught.checks.expected:,} deliveries had not come when it ended: "
            "--duration gives more time"
        )
    return Outcome(
        figures,
        caught.checks,
        {"busiest_process_cores": round(caught.cores, 3)},
        invalid,
        failed,
        unverified,
        caught.not_reached,
        work={
            "messages": caught.messages,
            "message_bytes": round(caught.bytes_read / max(caught.count, 1)),
        },
    )


def result_of(
    options: BenchOptions, outcome: Outcome, said: dict[str, Any], *, cut_short: bool
) -> Result:
    """The outcome, judged."""
    figures = {name: round(value, 3) for name, value in outcome.figures.items()}
    kind = "invalid" if outcome.invalid else "failed" if outcome.failed else "valid"
    if kind == "valid" and outcome.unverified:
        kind = "unverified"
    main = "stored" if options.command == "pub" else "received"
    return Result(
        schema=SCHEMA,
        command=options.command,
        verdict=kind,
        work=work_of(options) | outcome.work,
        conditions=said,
        figures=figures,
        checks={
            "expected": outcome.checks.expected,
            "seen": outcome.checks.seen,
            "lost": outcome.checks.lost,
            "duplicates": outcome.checks.duplicates,
            "out_of_order": outcome.checks.disordered,
            "unverified": outcome.not_reached,
        },
        load=outcome.load,
        problems=[*outcome.invalid, *outcome.failed, *outcome.unverified],
        slo_missed=missed(options.slo or (), _measured(figures, outcome, main), main),
        cut_short=cut_short,
        ended_early=outcome.ended_early,
        refused=outcome.refused,
        latencies={name: each.encoded() for name, each in outcome.latencies.items()},
    )


def _measured(figures: dict[str, float], outcome: Outcome, main: str) -> dict[str, float]:
    """What objectives are of. What was not looked at may be lost, and nobody knows of a second one of it."""
    measured = {
        name.replace("_ms", "").replace("_", ".", 1): value
        for name, value in figures.items()
        if name.endswith("_ms")
    }
    measured |= {"loss": outcome.checks.lost + outcome.not_reached}
    counts = {"duplicates": outcome.checks.duplicates, "disorder": outcome.checks.disordered}
    measured |= {name: n for name, n in counts.items() if n or not outcome.unverified}
    if "errors" in figures:
        measured["errors"] = figures["errors"]
    measured["rate"] = figures[f"{main}_per_s"]
    return measured
