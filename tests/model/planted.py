"""Show that the model finds what it is for: faults that the broker had once are planted in a copy of it.

    python -m tests.model.planted [NAME …] [--store memory] [--minutes 10]

Each fault is planted alone, and the model looks for it. Prints one line for each: the time and the steps that
it took, and what was found. Exit code 1 if one was not found, or something that it does not stand for.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.model.plant import Plant
from tests.model.plants import PLANTS
from tests.model.run import STORES
from tests.support.server import clean_environment

ROOT = Path(__file__).parents[2]
SEED = 0
# Run beside the copy: what is found is one line, or nothing.
SEARCH = """
import logging, sys, time
from tests.model.hunt import look
logging.getLogger("conduit").addHandler(logging.NullHandler())
seed, store, seconds = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])
done = look(seed, store, time.monotonic() + seconds)
print(done.steps_count)
if done.found is not None:
    print(done.found.violation)
"""
# The same beside two nodes of the copy, whose logs are printed when a run has failed. No two runs are alike:
# what something else is found by is not the end.
SEARCH_OF_NODES = """
import contextlib, re, sys, time
from tests.model.linked.hunt import look
seed, seconds, steps_count, violation = int(sys.argv[1]), float(sys.argv[3]), 0, ""
with contextlib.redirect_stdout(sys.stderr):
    for tried in look(seed, time.monotonic() + seconds):
        steps_count, violation = steps_count + len(tried.steps), tried.violation or violation
        if re.search(sys.argv[4], tried.violation):
            break
print(steps_count)
if violation:
    print(violation)
"""


@dataclass(frozen=True)
class Search:
    """What the model found, with how many steps; empty for nothing."""

    steps_count: int
    violation: str


def planted(plant: Plant, folder: Path) -> Path:
    """A copy of the sources with the fault in it."""
    source = folder / "src"
    shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
    for change in plant.changes:
        path = source / "conduit" / change.file
        path.write_text(change.applied(path.read_text()))
    return source


def search(plant: Plant, store: str, minutes: float) -> Search:
    """Look for the fault."""
    with tempfile.TemporaryDirectory(prefix="conduit-planted-") as folder:
        path = os.pathsep.join([str(planted(plant, Path(folder))), str(ROOT)])
        done = subprocess.run(
            [
                *(sys.executable, "-c", SEARCH_OF_NODES if plant.needs_nodes else SEARCH),
                *(str(SEED), store, str(minutes * 60), plant.shows),
            ],
            env={**clean_environment(), "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        raise RuntimeError(f"the model failed itself:\n{done.stderr}")
    steps_count, _, violation = done.stdout.strip().partition("\n")
    return Search(int(steps_count), violation)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.model.planted")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--store", choices=STORES, default=STORES[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    asked = parser.parse_args()
    missed = 0
    for plant in PLANTS:
        if asked.names and plant.name not in asked.names:
            continue
        start = time.monotonic()
        found = search(plant, asked.store, asked.minutes)
        took_s = time.monotonic() - start
        is_it = re.search(plant.shows, found.violation) is not None
        missed += not is_it
        what = found.violation if is_it else f"NOT FOUND, but: {found.violation or 'nothing'}"
        print(f"{plant.name:24} {took_s:6.1f} s {found.steps_count:8} steps  {what}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
