"""The long form beside a real server: `python -m tests.model.served --minutes 10`.

Goes round over the three stores, with a new seed for each run, and says which. The first run that breaks a
promise is printed as the steps it had; then it ends with 1.
"""

from __future__ import annotations

import argparse
import itertools
import secrets
import sys
import tempfile
import time

from tests.model.choices import Dice
from tests.model.oracle.log import Violation
from tests.model.served.runs import plan, run
from tests.support import scratch
from tests.support.postgres import Cluster
from tests.support.server import running_server

STORES = ("memory", "sqlite", "postgresql")
STEPS_COUNT = 100
RESTARTS_MAX_COUNT = 4


def main() -> int:
    """Parse, look, tell."""
    parser = argparse.ArgumentParser(prog="python -m tests.model.served")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, help="of the first run; the others follow")
    parser.add_argument("--stores", nargs="+", choices=STORES, default=STORES)
    asked = parser.parse_args()
    seed = secrets.randbits(32) if asked.seed is None else asked.seed
    until = time.monotonic() + asked.minutes * 60
    tempfile.tempdir = scratch.folder()
    cluster = Cluster(initdb=["--no-sync"]) if "postgresql" in asked.stores else None
    try:
        if cluster is not None:
            cluster.start()
        for store in itertools.cycle(asked.stores):
            if time.monotonic() > until:
                return 0
            if not one(store, seed, cluster):
                return 1
            seed += 1
    finally:
        if cluster is not None:
            cluster.remove()
    return 0


def one(store: str, seed: int, cluster: Cluster | None) -> bool:
    """Whether the run of this seed broke nothing."""
    settings = {}
    if store == "sqlite":
        settings = {"DATABASE_URL": "sqlite:///model.db"}
    elif cluster is not None and store == "postgresql":
        settings = {"DATABASE_URL": cluster.empty_database("model")}
    steps, began = plan(Dice(seed), STEPS_COUNT, RESTARTS_MAX_COUNT), time.monotonic()
    with running_server(**settings) as server:
        try:
            run(server, steps, is_durable=store != "memory")
        except Violation as violation:
            print(f"seed {seed} {store}: {violation}\n", *(f"    {step!r},\n" for step in steps))
            print(*violation.__notes__, sep="\n")
            return False
    print(f"seed {seed} {store}: {time.monotonic() - began:.0f} s", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
