"""The long form beside two nodes: `python -m tests.model.linked --minutes 10`.

Every other run has Redis as well. Each has a new seed, and says which. The first that breaks a promise is
printed as the steps it had, and what happened; then it ends with 1.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import time

from tests.model.linked.hunt import look


def main() -> int:
    """Parse, look, tell."""
    parser = argparse.ArgumentParser(prog="python -m tests.model.linked")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, help="of the first run; the others follow")
    parser.add_argument("--go-on", action="store_true", help="after what was found")
    asked = parser.parse_args()
    seed = secrets.randbits(32) if asked.seed is None else asked.seed
    found = 0
    for tried in look(seed, time.monotonic() + asked.minutes * 60):
        print(tried, flush=True)
        found += bool(tried.violation)
        if found and not asked.go_on:
            break
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
