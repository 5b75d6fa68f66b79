"""Make the image of the Dockerfile in bare Debians, without an engine, and try what it serves.

    python -m tools.image [--cache DIR]

As root, with debootstrap, on Linux. DIR keeps what was fetched, for the next time. Prints each step with the
seconds it took. Exit code 1 if a step fails, 2 if this machine cannot make a Debian. `make image-check`.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
from pathlib import Path

from tools.bare_root import Machine, NoRoot, alone, bare
from tools.image.dockerfile import parse
from tools.image.inside import PROJECT

WITHIN_S = 1500.0


def main() -> int:
    """One image, and nothing of it stays."""
    parser = argparse.ArgumentParser(prog="python -m tools.image")
    parser.add_argument("--cache", type=Path)
    cache = parser.parse_args().cache
    machine = Machine.here()
    command = [sys.executable, "-m", "tools.image.inside"]
    try:
        with contextlib.ExitStack() as stack:
            stages = parse((PROJECT / "Dockerfile").read_text())
            command += [str(stack.enter_context(bare(machine, cache))) for _ in stages]
            command += ["--cache", str(cache.absolute())] if cache else []
            return subprocess.run(
                alone(*command), cwd=PROJECT, timeout=WITHIN_S, check=False
            ).returncode
    except NoRoot as error:
        print(f"image: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
