"""Bring faults about under load, again and again, then check what the server promised.

    python -m tests.crash.run --store sqlite|postgres --fault server … --times 50 [--seed N]

Prints one JSON line for each fault: the counts, and what was violated, if anything. Exit code 0 or 1. The
machine stays up, so what SIGKILL proves is that nothing waits in a process; that a commit survives a
loss of power rests on SQLite's synchronous=FULL and PostgreSQL's fsync, and is not tested here.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import secrets
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, get_args

from tests.crash.checker import Report
from tests.crash.faults import FAULTS, Fault, Name
from tests.crash.history import History
from tests.crash.load import Load
from tests.crash.rig import Rig, Store, rig_for
from tests.support.disk import NoDisk

RECOVERED_WITHIN_S = 60.0
# The others come while the last fault may not be over yet.
PATIENT_SHARE = 0.75
# What publishers may be told while the store is away.
STORE_FAILS = {"store_unavailable", "outcome_unknown", "overloaded"}


@dataclass(frozen=True)
class Plan:
    """One run."""

    store: Store
    fault: Name
    times: int
    seed: int
    pause_s: float = 5.0


class _Strikes:
    """One fault, again and again at random moments: mostly under load, sometimes before all goes again."""

    def __init__(self, fault: Fault, times: int, load: Load) -> None:
        self.fault = fault
        self.times = times
        self.load = load
        self.recoveries: list[float] = []

    async def run(self) -> None:
        """All of them, and a second of load after the last."""
        random = self.load.random
        await self._acked(0, 0.0)
        for left in reversed(range(self.times)):
            await asyncio.sleep(random.choice((0.05, 0.3, 0.8, 1.2)) * random.random())
            began = len(self.load.history.published)
            ended_at = await self.fault.strike()
            if not left or random.random() < PATIENT_SHARE:
                self.recoveries.append(await self._acked(began, ended_at) - ended_at)
        await asyncio.sleep(1.0)

    async def _acked(self, start: int, after: float) -> float:
        """When a publish was acked first that was sent after that moment. Raises TimeoutError.

        One that was sent before may have been acked before, and its answer be read only now.
        """
        published = self.load.history.published
        async with asyncio.timeout(RECOVERED_WITHIN_S):
            while True:
                for each in published[start:]:
                    if each.outcome == "ok" and each.sent_at > after:
                        return each.at
                start = len(published)
                await asyncio.sleep(0.005)


def crash(plan: Plan, history_path: Path | None = None) -> dict[str, Any]:
    """One run; returns the summary. `violations` is empty if all promises held. Raises NoDisk."""
    return asyncio.run(_crash(plan, history_path))


async def _crash(plan: Plan, history_path: Path | None) -> dict[str, Any]:
    began = time.monotonic()
    kind, random = FAULTS[plan.fault], Random(plan.seed)
    parts = {"proxied": kind.proxied, "small_disk": kind.small_disk, "impatient": kind.store_fails}
    async with rig_for(plan.store, **parts) as rig:
        load = Load(rig.server.url, random)
        fault = kind(rig, load.history, random, plan.pause_s)
        strikes = _Strikes(fault, plan.times, load)
        try:
            report = await load.go(strikes.run)
        finally:
            if history_path is not None:
                _write(load.history, history_path)
        integrity = await _judge(rig, fault, report)
    summary = dataclasses.asdict(plan)
    summary["seconds"] = round(time.monotonic() - began, 1)
    summary["recovery_max_s"] = round(max(strikes.recoveries), 3)
    return summary | fault.counts() | _counts(load.history, report) | {"integrity": integrity}


def _counts(history: History, report: Report) -> dict[str, Any]:
    """What the clients met, and what the checker found."""
    return {
        "answers_503": history.refused.total(),
        "codes": dict(history.refused),
        "turned_away": history.turned_away.total(),
        **report.counts,
        "violations": dict(report.violations),
        "samples": dict(report.samples),
    }


async def _judge(rig: Rig, fault: Fault, report: Report) -> str:
    """What the clients cannot see: how the server ends, its log, its store. Returns the integrity."""
    code, _ = await asyncio.to_thread(rig.server.terminate)
    integrity = await asyncio.to_thread(rig.integrity)
    if code != 0 or integrity != "ok" or "Traceback" in rig.server.log_text():
        report.break_promise("server", (code, integrity, rig.server.log_tail()))
    told = fault.history.refused.keys() | fault.history.turned_away.keys()
    if unexpected := told - (STORE_FAILS if fault.store_fails else set()):
        report.break_promise("refused", unexpected)
    return integrity


def _write(history: History, path: Path) -> None:
    """The history as JSON lines, for a look at a failure."""
    with path.open("w") as lines:
        for record in (*history.published, *history.events, *history.stored, *history.dead):
            kind = type(record).__name__.lower()
            lines.write(json.dumps({"kind": kind, **dataclasses.asdict(record)}) + "\n")


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--store", choices=get_args(Store), default="sqlite")
    parser.add_argument("--fault", choices=get_args(Name), nargs="+", default=["server"])
    parser.add_argument("--times", type=int, default=50, help="how often; the disk fills up once")
    parser.add_argument("--pause-s", type=float, default=5.0, help="how long `stop` lasts")
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    parser.add_argument("--history", type=Path, help="write what happened to this file")
    options = parser.parse_args()
    violated = False
    for fault in options.fault:
        times = 1 if fault == "disk" else options.times
        plan = Plan(options.store, fault, times, options.seed, options.pause_s)
        try:
            summary = crash(plan, options.history)
        except NoDisk as reason:
            summary = {"fault": fault, "skipped": str(reason), "violations": {}}
        print(json.dumps(summary), flush=True)
        violated |= bool(summary["violations"])
    return 1 if violated else 0


if __name__ == "__main__":
    sys.exit(main())
