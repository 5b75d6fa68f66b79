"""From what publishers and subscribers saw to a result: figures, checks and the verdict."""

from __future__ import annotations

import dataclasses
from typing import Any

from conduit.cli.bench.options import BenchOptions
from conduit.cli.bench.result import SCHEMA, Result
from conduit.cli.bench.slo import missed
from conduit.load import verdict
from conduit.load.catching_up import CaughtUp
from conduit.load.checks import Checks, lost_of
from conduit.load.histogram import Latencies
from conduit.load.plan import Plan
from conduit.load.publishing import Sent
from conduit.load.receiving import Received

SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}
# On a machine with other work the kernel wakes a process late; so much of a send's lateness is still little
# beside what is measured.
LATE_SHARE = 0.1


def work_of(options: BenchOptions) -> dict[str, Any]:
    """All that the figures depend on and that was asked for: equal for runs that can be compared."""
    acks = "each" if options.ack or options.subscription else "none"
    if options.command == "sub":
        return {
            "subscribers": options.subscribers,
            "start": options.start if isinstance(options.start, str) else "a position",
            "acks": acks,
            "durable_subscription": options.subscription is not None,
        }
    return {
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
    latencies: dict[str, Latencies] = dataclasses.field(default_factory=dict)
    refused: dict[str, int] = dataclasses.field(default_factory=dict)


def of_run(plan: Plan, sent: Sent, received: Received | None, there: int | None) -> Outcome:
    """Of what was published, and received if there were subscribers; `there` is how many messages the topic
    has, if it has no others."""
    figures = {
        "stored_per_s": sent.stored.count / max(sent.seconds, 1e-9),
        **_of_latencies("stored", sent.stored),
    }
    cores = max(sent.cores, received.cores if received else 0.0)
    load = {"busiest_process_cores": round(cores, 3), "held_s": round(sent.held_s, 3)}
    if plan.rate is not None:
        load["late_p99_ms"] = sent.late.percentile_ms(0.99)
    refused = sum(sent.codes.values())
    unanswered = sent.count - sent.answered
    failed = [
        f"publishes were refused: {count:,} with {code}" for code, count in sent.codes.items()
    ]
    if unanswered:
        failed.append(f"{unanswered:,} publishes were not answered")
    latencies = {"stored": sent.stored}
    checks = _stored(sent, there)
    if received is not None:
        checks = _checks(plan, sent, received)
        latencies |= {"received": received.latencies}
        figures["received_per_s"] = received.measured / max(received.seconds, sent.seconds, 1e-9)
        figures |= _of_latencies("received", received.latencies)
        load["reading_p99_ms"] = received.readings.percentile_ms(0.99)
        if plan.subscribers > 1 and plan.subscription is None:
            latencies["last"] = received.last
            figures |= _of_latencies("last", received.last)
        failed += [f"a subscriber was disconnected: {why}" for why in sorted(set(received.closed))]
    # That nothing was measured is said of the figures.
    failed += verdict.of_checks(dataclasses.replace(checks, seen=checks.seen or 1))
    figures |= {"errors": float(refused + unanswered)}
    invalid = _invalid(plan, sent, cores, received)
    return Outcome(figures, checks, load, invalid, failed, latencies, dict(sent.codes))


def _stored(sent: Sent, there: int | None) -> Checks:
    """Whether the topic has what was answered, and not more than was sent."""
    accepted = sent.answered - sum(sent.codes.values())
    seen = accepted if there is None else there
    return Checks(accepted, seen, max(accepted - seen, 0), max(seen - sent.count, 0))


def _checks(plan: Plan, sent: Sent, received: Received) -> Checks:
    """Without what was refused to its publisher, which had not to come."""
    lost = 0
    for publisher, refused in enumerate(sent.refused):
        missing = [(start, stop) for who, start, stop in received.missing if who == publisher]
        lost += lost_of(missing, refused)
    receivers = 1 if plan.subscription is not None else plan.subscribers
    due = received.checks.expected - sum(map(len, sent.refused)) * receivers
    return dataclasses.replace(received.checks, expected=due, lost=lost)


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
    }
    failed = verdict.of_checks(dataclasses.replace(caught.checks, seen=1))
    if caught.closed:
        failed.append(f"{caught.closed:,} subscribers were disconnected")
    invalid = [] if caught.count else ["nothing was received"]
    if verdict.was_limit(caught.cores):
        cores = f"{caught.cores:.2f} of a core"
        invalid.append(f"the generator was the limit: the process that reads used {cores}")
    load = {"busiest_process_cores": round(caught.cores, 3)}
    checks = caught.checks
    return Outcome(figures | {"gaps": float(caught.gaps)}, checks, load, invalid, failed)


def result_of(
    options: BenchOptions, outcome: Outcome, said: dict[str, Any], *, cut_short: bool
) -> Result:
    """The outcome, judged."""
    checks = {
        "expected": outcome.checks.expected,
        "seen": outcome.checks.seen,
        "lost": outcome.checks.lost,
        "duplicates": outcome.checks.duplicates,
        "out_of_order": outcome.checks.disordered,
    }
    figures = {name: round(value, 3) for name, value in outcome.figures.items()}
    main = "stored" if options.command == "pub" else "received"
    measured = {
        name.replace("_ms", "").replace("_", ".", 1): value
        for name, value in figures.items()
        if name.endswith("_ms")
    }
    measured |= {"loss": checks["lost"], "duplicates": checks["duplicates"]}
    measured |= {"disorder": checks["out_of_order"], "errors": figures.get("errors", 0.0)}
    measured["rate"] = figures[f"{main}_per_s"]
    kind = "invalid" if outcome.invalid else "failed" if outcome.failed else "valid"
    return Result(
        schema=SCHEMA,
        command=options.command,
        verdict=kind,
        work=work_of(options),
        conditions=said,
        figures=figures,
        checks=checks,
        load=outcome.load,
        problems=[*outcome.invalid, *outcome.failed],
        slo_missed=missed(options.slo or (), measured, main),
        cut_short=cut_short,
        refused=outcome.refused,
        latencies={name: each.encoded() for name, each in outcome.latencies.items()},
    )
