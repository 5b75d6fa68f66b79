"""The long form beside two nodes: `python -m tests.model.linked --minutes 10`.

Every other run has Redis as well. Each has a new seed, and says which. The first that breaks a promise is
printed as the steps it had, and what happened; then it ends with 1.
"""

from __future__ import annotations

import argparse
import itertools
import secrets
import sys
import tempfile
import time
from contextlib import ExitStack

from tests.model.choices import Dice
from tests.model.linked.nodes import pair
from tests.model.linked.runs import plan, run
from tests.model.oracle.log import Violation
from tests.support import scratch
from tests.support.postgres import Cluster
from tests.support.redis import RedisServer

STEPS_COUNT = 150
DISTURBING_MAX_COUNT = 8


def main() -> int:
    """Parse, look, tell."""
    parser = argparse.ArgumentParser(prog="python -m tests.model.linked")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, help="of the first run; the others follow")
    parser.add_argument("--redis", choices=("with", "without"), help="always, or never")
    parser.add_argument("--go-on", action="store_true", help="after what was found")
    asked = parser.parse_args()
    seed = secrets.randbits(32) if asked.seed is None else asked.seed
    until = time.monotonic() + asked.minutes * 60
    tempfile.tempdir = scratch.folder()
    found = 0
    with ExitStack() as stack:
        cluster = Cluster(initdb=["--no-sync"])
        stack.callback(cluster.remove)
        cluster.start()
        redis = RedisServer()
        stack.callback(redis.remove)
        redis.start()
        for number in itertools.count():
            if time.monotonic() > until or (found and not asked.go_on):
                return 1 if found else 0
            is_redis = number % 2 if asked.redis is None else asked.redis == "with"
            more = {"REDIS_URL": redis.url} if is_redis else {}
            found += not one(cluster.empty_database("model"), seed + number, more)
    return 0


def one(url: str, seed: int, more: dict[str, str]) -> bool:
    """Whether the run of this seed broke nothing."""
    what = f"seed {seed} {'with' if more else 'without'} Redis"
    steps, began = plan(Dice(seed), STEPS_COUNT, DISTURBING_MAX_COUNT), time.monotonic()
    try:
        with pair(url, **more) as nodes:
            run(nodes, steps)
    except Violation as violation:
        print(f"{what}: {violation}\n", *(f"    {step!r},\n" for step in steps))
        print(*violation.__notes__, sep="\n", flush=True)
        return False
    print(f"{what}: {time.monotonic() - began:.0f} s", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
