"""A cluster under load while faults strike, and whether it kept what it promises.

    python -m tests.chaos.run [--fault all|none|KIND …] [--times N] [--minutes N] [--seed N]

Prints the seed, and at the end one JSON line: the counts, and what was violated, if anything; then for each
kind of violation the shortest part of the history that shows it, and where the nodes' logs are. Exit code 0
or 1.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import gc
import json
import os
import secrets
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from tests.chaos.excerpt import excerpt
from tests.chaos.faults import FAULTS, Fault, Scene
from tests.chaos.history import ClusterHistory, Kind
from tests.chaos.load import ClusterLoad, acked_since
from tests.chaos.networks import INSIDE, isolated
from tests.chaos.report import Report
from tests.chaos.world import World
from tests.support import scratch

NODES_COUNT = 3
RECOVERED_WITHIN_S = 60.0
# The others come while the last fault may not be over yet.
PATIENT_SHARE = 0.7
# How much of a long run's fault one of a short run lasts.
SHORT = 0.1
WITHOUT_NETWORKS = "--without-networks"


@dataclass(frozen=True)
class Plan:
    """One run. `times`: how often each kind; None: as often as it says itself. `minutes`: when no further
    fault is brought about; without faults, how long it goes."""

    seed: int
    kinds: tuple[Kind, ...] = ()
    times: int | None = None
    minutes: float | None = None
    is_short: bool = False
    is_networked: bool = True
    keeps_logs: bool = True


@dataclass
class Outcome:
    """What became of it."""

    history: ClusterHistory
    report: Report
    struck: Counter[str] = field(default_factory=Counter)
    skipped: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


class Run:
    """One run."""

    def __init__(self, plan: Plan, world: World) -> None:
        self.plan = plan
        self.random = Random(plan.seed)
        self.load = ClusterLoad(world, self.random)
        pace = SHORT if plan.is_short else 1.0
        self.scene = scene = Scene(world, self.load.history, self.random, pace)
        self.world = world
        self.skipped: dict[str, str] = {}
        self.coming = self._coming(scene)
        self.struck: Counter[str] = Counter()

    def _coming(self, scene: Scene) -> list[Fault]:
        """All faults, in the order in which they are to strike."""
        coming: list[Fault] = []
        for kind in self.plan.kinds:
            fault = FAULTS[kind](scene)
            if reason := fault.missing():
                self.skipped[kind] = reason
            else:
                coming += [fault] * (self.plan.times or fault.times)
        self.random.shuffle(coming)
        return coming

    async def go(self) -> Outcome:
        """Load, faults, drain, judge. Raises TimeoutError if publishing does not go on after a fault."""
        began = time.monotonic()
        report = await self.load.go(self._disturb)
        assert isinstance(report, Report)
        await asyncio.to_thread(self._end_nodes, report)
        seconds = round(time.monotonic() - began, 1)
        return Outcome(self.load.history, report, self.struck, self.skipped, seconds)

    async def _disturb(self) -> None:
        deadline = time.monotonic() + 60 * (self.plan.minutes or 24 * 60)
        await asyncio.sleep(1.0)
        for fault in self.coming:
            if time.monotonic() > deadline:
                break
            await fault.strike()
            self.struck[fault.kind] += 1
            _say(f"{sum(self.struck.values())}/{len(self.coming)} {fault.kind}")
            if self.random.random() < PATIENT_SHARE:
                await acked_since(self.load.history, time.monotonic(), RECOVERED_WITHIN_S)
                await self.scene.last(self.random.uniform(0.2, 2.0), 0.2)
        if not self.coming and self.plan.minutes:
            await asyncio.sleep(60 * self.plan.minutes)
        await self.scene.last(2.0, 0.5)

    def _end_nodes(self, report: Report) -> None:
        names = self.world.names
        with ThreadPoolExecutor() as threads:
            codes = list(threads.map(self.world.end_node, names))
        for name, code in zip(names, codes, strict=True):
            if code != 0:
                report.breaks("node_ended", (name, code, self.world.nodes[name].log_tail()))
        for line in self.world.troubles():
            report.breaks("log", line)


def _write(history: ClusterHistory, path: Path) -> None:
    """The history as JSON lines, for a look at a failure."""
    with path.open("w") as lines:
        for each in dataclasses.fields(history):
            kept = getattr(history, each.name)
            for record in kept if isinstance(kept, list) else ():
                kind = type(record).__name__.lower()
                lines.write(json.dumps({"kind": kind, **dataclasses.asdict(record)}) + "\n")


async def _run(plan: Plan) -> tuple[Outcome, Path]:
    world = World(NODES_COUNT, is_networked=plan.is_networked)
    keep = plan.keeps_logs
    try:
        await asyncio.to_thread(world.start)
        outcome = await Run(plan, world).go()
        keep = keep and not outcome.report.ok
        if keep:
            _write(outcome.history, world.folder / "history.jsonl")
        return outcome, world.folder
    finally:
        await asyncio.to_thread(world.remove, keep_logs=keep)
        if keep:
            _say(f"the nodes' logs and the history are in {world.folder}")


def summary(plan: Plan, outcome: Outcome) -> dict[str, Any]:
    """One line for people and tests."""
    return {
        "seed": plan.seed,
        "seconds": outcome.seconds,
        "struck": dict(outcome.struck),
        "skipped": outcome.skipped,
        "answers": dict(Counter(each.code for each in outcome.history.attempts)),
        "turned_away": dict(outcome.history.turned_away),
        **outcome.report.counts,
        "violations": dict(outcome.report.violations),
    }


def show(outcome: Outcome) -> None:
    """What was violated, with the shortest of the excerpts for each kind."""
    for kind, samples in outcome.report.samples.items():
        _say(f"\n{kind}, {outcome.report.violations[kind]} times:")
        for sample in samples:
            _say(f"  {sample[:1000]}")
        found = [excerpt(outcome.history, *each) for each in outcome.report.about.get(kind, ())]
        for line in min((lines for lines in found if lines), key=len, default=()):
            _say(f"    {line}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--fault", nargs="+", choices=("all", "none", *FAULTS), default=["all"])
    parser.add_argument("--times", type=int, help="how often each; else as often as it is meant")
    parser.add_argument("--minutes", type=float, help="no fault begins after so long")
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    parser.add_argument("--short", action="store_true", help="what lasts a minute lasts seconds")
    parser.add_argument(
        "--no-logs", action="store_true", help="keep none of the nodes, whatever is found"
    )
    parser.add_argument(WITHOUT_NETWORKS, default="", metavar="REASON", help=argparse.SUPPRESS)
    parser.add_argument(INSIDE, action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    """The command line."""
    options = _options()
    if not options.inside:
        return _enter()
    kinds: tuple[Kind, ...] = () if "none" in options.fault else tuple(options.fault)
    if "all" in options.fault:
        kinds = tuple(FAULTS)
    minutes = options.minutes if options.minutes or kinds else 10.0
    plan = Plan(
        *(options.seed, kinds, options.times, minutes, options.short),
        is_networked=not options.without_networks,
        keeps_logs=not options.no_logs,
    )
    if options.without_networks:
        _say(options.without_networks)
    _say(f"seed {plan.seed}")
    tempfile.tempdir = scratch.folder()
    # Millions of records that stay: to look through them again and again holds up the clients.
    gc.disable()
    outcome, _ = asyncio.run(_run(plan))
    print(json.dumps(summary(plan, outcome)), flush=True)
    show(outcome)
    return 0 if outcome.report.ok else 1


def _enter() -> int:
    """Run the same command in a namespace of its own, if that is permitted; it replaces this one."""
    prefix, reason = isolated()
    command = [*prefix, sys.executable, "-m", "tests.chaos.run", *sys.argv[1:], INSIDE]
    if reason:
        command += [WITHOUT_NETWORKS, reason]
    os.execvp(command[0], command)


if __name__ == "__main__":
    sys.exit(main())
