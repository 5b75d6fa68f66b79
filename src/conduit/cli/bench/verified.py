"""What a run has verified: of what was answered, whether it is there, once and in order; and what was not
looked at."""

from __future__ import annotations

import dataclasses

from conduit.load import verdict
from conduit.load.catching_up import CaughtUp
from conduit.load.checks import Checks, lost_of
from conduit.load.plan import Plan
from conduit.load.publishing import Sent
from conduit.load.receiving import Received


@dataclasses.dataclass
class Found:
    """What was verified."""

    checks: Checks
    failed: list[str]
    unverified: list[str]
    not_reached: int = 0


def stored(sent: Sent, read: CaughtUp | str | None) -> Found:
    """Whether the topic has what was answered, as it was read after the run."""
    accepted = sent.answered - sum(sent.codes.values())
    if not isinstance(read, CaughtUp):
        why = [f"whether what was answered is in the topic was not looked at: {read}"]
        return Found(Checks(accepted), [], why, accepted)
    lost = _lost(read.own_missing, _excused(sent))
    checks = dataclasses.replace(read.own, expected=accepted, lost=lost)
    failed = of_checks(checks)
    if read.checks.lost and not (read.gaps or lost):
        failed.append(f"{read.checks.lost:,} numbers of the topic are missing")
    why = []
    if read.gaps:
        why.append("the topic's retention has removed messages of the run before they were read")
    elif read.not_reached:
        why.append(f"{read.not_reached:,} messages could not be read afterwards in time")
    # What is missing may be among these, and is not known to be lost.
    not_reached = lost if why else 0
    if not_reached:
        checks = dataclasses.replace(checks, lost=0)
        failed = of_checks(checks)
    return Found(checks, failed, why, not_reached)


def received(plan: Plan, sent: Sent, seen: Received) -> Found:
    """Without what was refused to its publisher, or not answered, which had not to come."""
    excused = _excused(sent)
    receivers = 1 if plan.subscription is not None else plan.subscribers
    due = seen.checks.expected - sum(map(len, excused)) * receivers
    lost = _lost(seen.missing, excused)
    checks = dataclasses.replace(seen.checks, expected=due, lost=lost)
    failed = [f"a subscriber was disconnected: {why}" for why in sorted(set(seen.closed))]
    return Found(checks, failed + of_checks(checks), [])


def of_checks(checks: Checks) -> list[str]:
    """What speaks against the run. That nothing was measured is said of the figures."""
    return verdict.of_checks(dataclasses.replace(checks, seen=checks.seen or 1))


def _excused(sent: Sent) -> list[set[int]]:
    """By publisher, which of its messages need not be there. An answer is to the first that has none."""
    return [
        refused | set(range(settled, settled + count))
        for refused, settled, count in zip(sent.refused, sent.settled, sent.unanswered, strict=True)
    ]


def _lost(missing: list[tuple[int, int, int]], excused: list[set[int]]) -> int:
    by_publisher: list[list[tuple[int, int]]] = [[] for _ in excused]
    for publisher, start, stop in missing:
        by_publisher[publisher].append((start, stop))
    return sum(map(lost_of, by_publisher, excused))
