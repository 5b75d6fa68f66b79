"""Put load on servers that are started for it.

    python -m tests.load [--target TARGET …] [--script SCRIPT …] [--short] [--out FOLDER]

Exit code 1 if a threshold does not hold. In FOLDER is what k6 has measured, for each target and script
a file, and `summary.txt`. `make load` does all of it, in twenty minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path

from conduit import __version__
from tests.load.running import FULL, SCRIPTS, SHORT, Result, figures, run, running


def main() -> int:
    """Each script against each target that it is for."""
    parser = argparse.ArgumentParser(prog="python -m tests.load")
    parser.add_argument("--target", nargs="+", choices=SCRIPTS, default=[*SCRIPTS])
    parser.add_argument(
        "--script", nargs="+", choices=SCRIPTS["cluster"], default=SCRIPTS["cluster"]
    )
    parser.add_argument("--short", action="store_true", help="seconds of it: whether it works")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="a folder for the results")
    asked = parser.parse_args()
    if asked.out is not None:
        asked.out.mkdir(parents=True, exist_ok=True)
    lines: list[str] = []
    is_fine = True
    for name in asked.target:
        scripts = [script for script in SCRIPTS[name] if script in asked.script]
        if not scripts:
            continue
        with running(name) as target:
            for script in scripts:
                print(f"\n{script} on {name}, {target.url}", flush=True)
                result = run(script, target, SHORT if asked.short else FULL, say=True)
                is_fine = is_fine and result.code == 0
                word = "holds" if result.code == 0 else f"DOES NOT HOLD (exit code {result.code})"
                lines.append(f"{name} {script}: {word}; {figures(result)}")
                if asked.out is not None:
                    keep(asked.out, name, script, result)
    print("\n" + "\n".join(lines))
    if asked.out is not None:
        (asked.out / "summary.txt").write_text("\n".join((conditions(), *lines, "")))
    return 0 if is_fine else 1


def keep(folder: Path, target: str, script: str, result: Result) -> None:
    """What k6 has measured, with what it was measured on."""
    found = {
        "target": target,
        "script": script,
        "holds": result.code == 0,
        "conditions": conditions(),
        "metrics": result.metrics,
    }
    (folder / f"{target}-{script}.json").write_text(json.dumps(found, indent=2) + "\n")


def conditions() -> str:
    """Without them figures say nothing."""
    uname = os.uname()
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return (
        f"{now}, Conduit {__version__}, Python {platform.python_version()}, {os.cpu_count()} CPUs "
        f"for servers and load together, {uname.sysname} {uname.release} {uname.machine}"
    )


if __name__ == "__main__":
    sys.exit(main())
