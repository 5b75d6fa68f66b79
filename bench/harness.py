"""Runs the cases of a question in turn, several rounds, and prints one JSON line for each.

A question is a module with `cases(short)`. A case starts a fresh server, loads it from processes of
their own, and returns an `Outcome`: figures, what was checked, and who was busy. The harness adds the
conditions and the verdict: a line is invalid if anything was lost, or if the load was the limit.
"""

from __future__ import annotations

import dataclasses
import json
import math
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from bench import machine
from conduit.errors import ConduitError
from conduit.load import verdict
from conduit.load.checks import Checks
from conduit.load.process import LoadError


@dataclasses.dataclass
class Outcome:
    """What one run of one case gave. Names of figures end in their unit."""

    figures: dict[str, float]
    checks: Checks
    server_cores: float = 0.0
    """CPU seconds of the server per second of the measured time."""
    load_cores: float = 0.0
    """The same of the busiest load process."""
    problems: list[str] = dataclasses.field(default_factory=list)
    """Further reasons why the figures do not count."""
    throughput: bool = True
    """Whether the figures are a rate that a slow load would have lowered."""


@dataclasses.dataclass(frozen=True)
class Case:
    """One system at one piece of work."""

    question: str
    system: str
    """conduit, nats, jetstream or redis."""
    store: str
    """Where messages are when they are acknowledged."""
    work: dict[str, int | float | str]
    """Clients, payload, loop type: all that the figures depend on. Equal for what is compared."""
    run: Callable[[], Outcome]


class Moot(Exception):
    """What a case would tell is known from those before it: it has no line."""


def problems(outcome: Outcome) -> list[str]:
    """Why a run is invalid; empty if it is valid."""
    found = [*outcome.problems, *verdict.of_checks(outcome.checks)]
    if outcome.throughput and verdict.was_limit(outcome.load_cores, outcome.server_cores):
        found.append("the load generator was the bottleneck")
    return found


def run(cases: Sequence[Case], rounds: int, out: TextIO | None, command: str) -> bool:
    """Run every case once per round, in turn; print a line each, then the medians.

    Lines go to stdout and to `out`. Returns whether every line was valid.
    """
    lines: list[dict[str, Any]] = []
    for number in range(1, rounds + 1):
        for case in cases:
            try:
                line = _run_case(case, number, command)
            except Moot:
                continue
            lines.append(line)
            for stream in (sys.stdout, out):
                if stream is not None:
                    print(json.dumps(line), file=stream, flush=True)
    for row in summary(lines):
        print(row, file=sys.stderr)
    return all(line["valid"] for line in lines)


def _run_case(case: Case, number: int, command: str) -> dict[str, Any]:
    began = time.monotonic()
    try:
        outcome = case.run()
    except (ConduitError, LoadError, RuntimeError, OSError, ArithmeticError) as error:
        # It takes no figures of the others.
        traceback.print_exc()
        outcome = Outcome({}, Checks(0, 0), problems=[f"it broke: {_last_line(error)}"])
    found = problems(outcome)
    return {
        "question": case.question,
        "system": case.system,
        "store": case.store,
        "work": case.work,
        "round": number,
        "figures": {name: _rounded(value) for name, value in outcome.figures.items()},
        "valid": not found,
        "problems": found,
        "checks": dataclasses.asdict(outcome.checks),
        "server_cores": round(outcome.server_cores, 2),
        "load_cores": round(outcome.load_cores, 2),
        "took_s": round(time.monotonic() - began, 1),
        "command": command,
        "conditions": machine.conditions(),
    }


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


def read_lines(paths: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """The lines of result files, oldest file first as given."""
    for path in paths:
        for text in path.read_text().splitlines():
            yield json.loads(text)


def medians(lines: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The median of each figure over the valid ones among lines of one case."""
    valid = [line["figures"] for line in lines if line["valid"]]
    names = dict.fromkeys(name for figures in valid for name in figures)
    return {name: statistics.median(f[name] for f in valid if name in f) for name in names}


def grouped(lines: Sequence[dict[str, Any]]) -> dict[tuple[str, ...], list[dict[str, Any]]]:
    """Lines by case, in the order of their first one."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for line in lines:
        work = json.dumps(line["work"], sort_keys=True)
        key = (str(line["question"]), str(line["system"]), str(line["store"]), work)
        groups.setdefault(key, []).append(line)
    return groups


def summary(lines: Sequence[dict[str, Any]]) -> Iterator[str]:
    """One line of text per case: the medians and how many rounds were valid."""
    for (question, system, store, work), group in grouped(lines).items():
        valid = sum(bool(line["valid"]) for line in group)
        said = "  ".join(f"{name}={value:g}" for name, value in medians(group).items())
        yield f"{question:10} {system:10} {store:16} {valid}/{len(group)} valid  {said}  {work}"


def percentile(sorted_values: Sequence[float], share: float) -> float:
    """The smallest value that `share` (0–1) of the values do not exceed. Raises on none."""
    if not sorted_values:
        raise ValueError("no values")
    # Rounded, as 0.07 * 100 is a little more than 7.
    rank = math.ceil(round(len(sorted_values) * share, 6))
    return sorted_values[max(rank, 1) - 1]


def _rounded(value: float) -> float:
    return round(value) if abs(value) >= 1000 else float(f"{value:.3g}")
