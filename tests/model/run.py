"""The long form: `python -m tests.model.run --minutes 10`, which is `make model MINUTES=10`.

It goes round over the stores, with a new seed each time, and says which. The first run that breaks a
promise is made short and printed as a call that runs it again; then it ends with 1. Every round is a process
of its own: brokers that were killed in the middle of a publish stay in memory.
"""

from __future__ import annotations

import argparse
import logging
import secrets
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from tests.model.hunt import look, shortened

STORES = ("memory", "sqlite")
ROUND_S = 30.0


def main() -> int:
    """Parse, look, tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, help="of the first round; the others follow")
    parser.add_argument("--store", choices=STORES, help="on this one only")
    asked = parser.parse_args()
    logging.getLogger("conduit").addHandler(logging.NullHandler())
    with ProcessPoolExecutor(max_workers=1, max_tasks_per_child=1) as pool:
        return explore(pool, asked)


def explore(pool: ProcessPoolExecutor, asked: argparse.Namespace) -> int:
    """Look until the time is over, or something is found."""
    seed = secrets.randbits(32) if asked.seed is None else asked.seed
    until = time.monotonic() + asked.minutes * 60
    number = 0
    while time.monotonic() < until:
        store = asked.store or STORES[number % len(STORES)]
        began = time.monotonic()
        done = pool.submit(look, seed, store, min(until, began + ROUND_S)).result()
        rate = done.steps_count / (time.monotonic() - began)
        print(
            f"seed {seed} {store}: {done.runs_count} runs, {done.steps_count} steps, {rate:.0f}/s"
        )
        sys.stdout.flush()
        if done.found is not None:
            print(f"{done.found.violation}\n… with {len(done.found.steps)} steps; making it short")
            print(shortened(done.found))
            return 1
        seed, number = seed + 1, number + 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
