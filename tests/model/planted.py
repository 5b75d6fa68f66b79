"""Show that the model finds what it is for: faults that the broker had once are planted in a copy of it.

    python -m tests.model.planted [NAME …] [--minutes 10]

Each fault is planted alone, and the model looks for it on the memory store. Prints one line for each: the
time it took and what was found. Exit code 1 if one was not found.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.model.plants import PLANTS, Plant

ROOT = Path(__file__).parents[2]
SEED = 0
# Run beside the copy: what is found is one line, or nothing.
SEARCH = """
import logging, sys, time
from tests.model.hunt import look
logging.getLogger("conduit").addHandler(logging.NullHandler())
found = look(int(sys.argv[1]), "memory", time.monotonic() + float(sys.argv[2])).found
if found is not None:
    print(found.violation)
"""


def planted(plant: Plant, folder: Path) -> Path:
    """A copy of the sources with the fault in it."""
    source = folder / "src"
    shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
    for change in plant.changes:
        path = source / "conduit" / change.file
        path.write_text(change.applied(path.read_text()))
    return source


def search(plant: Plant, minutes: float) -> str:
    """What the model finds; empty for nothing."""
    with tempfile.TemporaryDirectory(prefix="conduit-planted-") as folder:
        path = os.pathsep.join([str(planted(plant, Path(folder))), str(ROOT)])
        done = subprocess.run(
            [sys.executable, "-c", SEARCH, str(SEED), str(minutes * 60)],
            env={"PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        raise RuntimeError(f"the model failed itself:\n{done.stderr}")
    return done.stdout.strip()


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.model.planted")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--minutes", type=float, default=10.0)
    asked = parser.parse_args()
    missed = 0
    for plant in PLANTS:
        if asked.names and plant.name not in asked.names:
            continue
        start = time.monotonic()
        what = search(plant, asked.minutes)
        missed += not what
        took_s = time.monotonic() - start
        print(f"{plant.name:24} {took_s:6.1f} s  {what or 'NOT FOUND'}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
