"""Tests that failed are tried once more, alone, where a busy machine may be the cause.

`make test` starts this when tests have failed. It tries again only tests that watch real servers (under
`FOLDERS`), and only if no others failed and there are at most `MOST` of them: what fails by chance in a test
of logic or of a model is a fault that was found. A test that passes now is named in the output: somebody has
to find out why it failed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

MOST = 2
FOLDERS = (
    "tests/e2e/",
    "tests/browser/",
    "tests/upgrade/",
    "tests/tools/",
    "tests/bench/",
    "tests/load/",
)
FAILED = Path(".pytest_cache/v/cache/lastfailed")


def may_be_tried(failed: Sequence[str]) -> bool:
    """Whether these, by their pytest ids, get a second try."""
    return 0 < len(failed) <= MOST and all(name.startswith(FOLDERS) for name in failed)


def main(root: Path = Path()) -> int:
    """Try what failed in the last run of pytest at `root`; 0 if all of it passes, else 1."""
    path = root / FAILED
    failed = list(json.loads(path.read_text("utf-8"))) if path.exists() else []
    if not may_be_tried(failed):
        return 1
    print(f"make: tried once more, alone: {', '.join(failed)}", flush=True)
    command = [sys.executable, "-m", "pytest", *failed]
    if subprocess.run(command, cwd=root, check=False).returncode != 0:
        return 1
    for name in failed:
        print(f"make: FAILED AMONG OTHERS, PASSED ALONE, look into it: {name}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
