"""Make a bare Debian, and do there what docs/walk.md says.

    python -m tests.walk [--cache DIR]

As root, with debootstrap, on Linux. DIR keeps what was fetched, for the next walk. Prints each step with the
seconds it took. Exit code 1 if the page does not hold, 2 if this machine cannot make a Debian. `make walk`.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.page import DOCS
from tools.bare_root import Machine, NoRoot, alone, bare

ROOT = DOCS.parent
WITHIN_S = 900.0


def main() -> int:
    """One walk."""
    parser = argparse.ArgumentParser(prog="python -m tests.walk")
    parser.add_argument("--cache", type=Path)
    cache = parser.parse_args().cache
    machine = Machine.here()
    try:
        with bare(machine, cache) as root:
            _copy_project(root / "root/conduit")
            command = [sys.executable, "-m", "tests.walk.inside", str(root)]
            command += [str(cache.absolute())] if cache else []
            return subprocess.run(
                alone(*command), cwd=ROOT, timeout=WITHIN_S, check=False
            ).returncode
    except NoRoot as error:
        print(f"walk: {error}", file=sys.stderr)
        return 2


def _copy_project(to: Path) -> None:
    """What git knows, and what it would take: as one gets it by a clone."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "-co", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        if path.is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, to / name)


if __name__ == "__main__":
    sys.exit(main())
