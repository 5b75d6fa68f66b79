"""The k6 scripts of this folder against servers that are started for them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.postgres import Cluster
from tests.support.server import clean_environment, running_server
from tests.tools.running_cluster import RunningCluster

HERE = Path(__file__).parent
K6 = Path(sys.executable).with_name("k6")
# What a run takes besides its load: all subscribe, and all is read again.
BESIDES_S = 900.0
# One node alone cannot be killed and answer.
SCRIPTS = {
    "sqlite": ("sustained", "fanout"),
    "postgresql": ("sustained", "fanout"),
    "cluster": ("sustained", "fanout", "node-failure"),
}
VICTIM = "node-1"


@dataclass(frozen=True)
class Size:
    """How much load, by the variables of the scripts; `seconds` of it."""

    seconds: int
    settings: Mapping[str, Mapping[str, object]]


# As long and as much as the targets are stated for.
FULL = Size(
    120,
    {
        "sustained": {"RATE": 1000},
        "fanout": {"RATE": 5, "SUBSCRIBERS": 1000},
        "node-failure": {"RATE": 500},
    },
)
# Whether the scripts work, on a machine that does something else besides: nothing is measured.
SHORT = Size(
    5,
    {
        "sustained": {"RATE": 50, "P95_MS": 10_000, "PRE_VUS": 300},
        "fanout": {"RATE": 10, "SUBSCRIBERS": 20, "SUBSCRIBED_S": 6, "PRE_VUS": 100},
        "node-failure": {"RATE": 30},
    },
)


@dataclass(frozen=True)
class Target:
    """Something to put load on: the URL for clients, and each node by its name, if there are several."""

    url: str
    cluster: RunningCluster | None = None

    def nodes(self) -> str:
        """For NODES."""
        rows = {} if self.cluster is None else self.cluster.rows
        return ",".join(row.where for name, row in rows.items() if name.startswith("node-"))


@dataclass(frozen=True)
class Result:
    """What k6 has found: its exit code (99: a threshold does not hold), its text, and each figure by name."""

    code: int
    text: str
    metrics: Mapping[str, Any]


@contextlib.contextmanager
def running(target: str) -> Iterator[Target]:
    """One node on `sqlite` or `postgresql`, or the three of a `cluster` behind nginx."""
    if target == "sqlite":
        with running_server(DATABASE_URL="sqlite:///load.db") as server:
            yield Target(server.url)
    elif target == "postgresql":
        with (
            _database() as url,
            running_server(DATABASE_URL=url) as server,
        ):
            yield Target(server.url)
    else:
        with tempfile.TemporaryDirectory(prefix="conduit-load-") as folder:
            made = RunningCluster(Path(folder) / "said")
            try:
                made.wait_until_ready()
                yield Target(made.rows["nginx"].where, made)
            finally:
                made.end_at_once()


@contextlib.contextmanager
def _database() -> Iterator[str]:
    made = Cluster()
    made.start()
    try:
        yield made.create_database()
    finally:
        made.remove()


def run(script: str, target: Target, size: Size, *, say: bool = False) -> Result:
    """One script to its end; of a cluster that one is to fail in, a node is killed after a third of the load.
    It comes back by itself. `say`: show what k6 says as it goes."""
    cluster = target.cluster if script == "node-failure" else None
    seconds = size.seconds * (3 if script == "node-failure" else 2) // 2
    settings = {
        "BASE_URL": target.url,
        "NODES": target.nodes(),
        "DURATION": f"{seconds}s",
        "DOWN_MIN": 0 if cluster is None else 1,
        **size.settings[script],
    }
    with tempfile.TemporaryDirectory(prefix="conduit-k6-") as folder:
        summary = Path(folder) / "summary.json"
        command = [str(K6), "run", "--no-usage-report", f"--summary-export={summary}"]
        command += [] if say else ["--quiet"]
        for name, value in settings.items():
            command += ["--env", f"{name}={value}"]
        fails = _failing(cluster, seconds) if cluster else contextlib.nullcontext()
        with fails:
            done = subprocess.run(
                [*command, f"{HERE / script}.js"],
                env={**clean_environment(), "XDG_CONFIG_HOME": folder},
                stdout=None if say else subprocess.PIPE,
                stderr=None if say else subprocess.STDOUT,
                text=True,
                timeout=seconds + BESIDES_S,
                check=False,
            )
        metrics = json.loads(summary.read_text())["metrics"] if summary.exists() else {}
    return Result(done.returncode, done.stdout or "", metrics)


@contextlib.contextmanager
def _failing(cluster: RunningCluster, seconds: int) -> Iterator[None]:
    """A node is killed after a third of the load, however that ends."""
    timer = threading.Timer(seconds / 3, lambda: os.kill(cluster.lives(VICTIM)[-1], signal.SIGKILL))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def figures(result: Result) -> str:
    """The latency of publishes, and how many there were, in a line."""
    publishes = result.metrics.get("http_req_duration{kind:publish}", {})
    names = ("med", "p(95)", "p(99)", "max")
    times = ", ".join(f"{name} {publishes[name]:.1f} ms" for name in names if name in publishes)
    counts = {
        name: result.metrics[name]["count"]
        for name in (
            "http_reqs",
            "dropped_iterations",
            "received",
            "missing",
            "lost",
            "node_down_checks",
        )
        if name in result.metrics
    }
    told = ", ".join(f"{name} {value:,.0f}" for name, value in counts.items())
    return re.sub(r"^, |, $", "", f"{times}, {told}")
