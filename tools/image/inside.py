"""`python -m tools.image.inside ROOT … [--cache DIR]`: make the image, a root for each stage, and try it.

In namespaces of its own: `python -m tools.image` makes the roots and starts it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tools.bare_root import Machine, NoRoot, mount_caches
from tools.image import dockerfile, serving
from tools.image.context import NothingToCopyError
from tools.image.steps import Image, Made, StepError

PROJECT = Path(__file__).resolve().parents[2]
# What `python:3.11-slim-bookworm` has and a bare Debian has not. There `python3` is in /usr/local/bin.
STANDS_IN = {
    "python:3.11-slim-bookworm": (
        "apt-get update -qq && apt-get install -qq -y --no-install-recommends "
        "python3 python3-venv ca-certificates && ln -sf /usr/bin/python3 /usr/local/bin/python3"
    )
}


def main() -> int:
    """The exit code: 1, with the reason, if a step fails."""
    parser = argparse.ArgumentParser(prog="python -m tools.image.inside")
    parser.add_argument("roots", nargs="+", type=Path)
    parser.add_argument("--cache", type=Path)
    options = parser.parse_args()
    try:
        _make(options.roots, options.cache)
    except (StepError, NothingToCopyError, dockerfile.DockerfileError, NoRoot) as error:
        print(f"image: FAILED: {error}", file=sys.stderr)
        return 1
    return 0


def _make(roots: list[Path], cache: Path | None) -> None:
    machine = Machine.here()
    stages = dockerfile.parse((PROJECT / "Dockerfile").read_text())
    image, made = Image(PROJECT), None
    for stage, root in zip(stages, roots, strict=True):
        machine.mount(root)
        if cache is not None:
            mount_caches(root, cache)
        if stage.base not in STANDS_IN:
            raise StepError(f"FROM {stage.base}: nothing is known that stands in for it")
        made = Made(root, machine.environment)
        made.run(["/bin/sh", "-c", STANDS_IN[stage.base]])
        _say(f"FROM {stage.base}: a bare Debian with Python stands in for it")
        image.make(stage, made, _say)
    assert made is not None
    serving.serve(stages[-1], made, _say)


def _say(text: str) -> None:
    print(f"image: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
