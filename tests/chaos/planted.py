"""Show that the harness finds what it is for: faults of a cluster are planted in a copy of the sources.

    python -m tests.chaos.planted [NAME …] [--seed N]

Prints one line for each: how long it took, and what was found. Exit code 1 if one was not found. One that
needs networks is left out where they are not permitted.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.chaos.faults import FAULTS
from tests.chaos.networks import isolated
from tests.chaos.plants import CLUSTER_PLANTS, ClusterPlant
from tests.model.planted import ROOT, planted

RUN_WITHIN_S = 600.0


def search(plant: ClusterPlant, seed: int) -> dict[str, Any]:
    """A run on the sources with the fault in them; its summary."""
    with tempfile.TemporaryDirectory(prefix="conduit-planted-") as folder:
        path = os.pathsep.join([str(planted(plant.plant, Path(folder))), str(ROOT)])
        command = [
            sys.executable,
            "-m",
            "tests.chaos.run",
            "--short",
            "--no-logs",
            "--seed",
            str(seed),
        ]
        command += ["--times", str(plant.times), "--fault", *plant.kinds]
        done = subprocess.run(
            command,
            env={"PATH": os.defpath + ":/usr/sbin:/sbin", "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
            timeout=RUN_WITHIN_S,
        )
    if not done.stdout:
        raise RuntimeError(f"the run failed itself:\n{done.stderr}")
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.planted")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    _, reason = isolated()
    missed = 0
    for each in CLUSTER_PLANTS:
        name = each.plant.name
        if asked.names and name not in asked.names:
            continue
        if reason and any(FAULTS[kind].needs_networks for kind in each.kinds):
            print(f"{name:24} left out: {reason}", flush=True)
            continue
        start = time.monotonic()
        found = search(each, asked.seed)["violations"]
        is_it = any(re.search(each.plant.shows, kind) for kind in found)
        missed += not is_it
        what = found if is_it else f"NOT FOUND, but: {found or 'nothing'}"
        print(f"{name:24} {time.monotonic() - start:6.1f} s  {what}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
