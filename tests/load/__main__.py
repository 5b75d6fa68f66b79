"""Put load on servers that are started for it.

    python -m tests.load [--target TARGET …] [--script SCRIPT …] [--short]

Exit code 1 if a threshold does not hold. `make load` does all of it, in twenty minutes.
"""

from __future__ import annotations

import argparse
import sys

from tests.load.running import FULL, SCRIPTS, SHORT, figures, run, running


def main() -> int:
    """Each script against each target that it is for."""
    parser = argparse.ArgumentParser(prog="python -m tests.load")
    parser.add_argument("--target", nargs="+", choices=SCRIPTS, default=[*SCRIPTS])
    parser.add_argument(
        "--script", nargs="+", choices=SCRIPTS["cluster"], default=SCRIPTS["cluster"]
    )
    parser.add_argument("--short", action="store_true", help="seconds of it: whether it works")
    asked = parser.parse_args()
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
    print("\n" + "\n".join(lines))
    return 0 if is_fine else 1


if __name__ == "__main__":
    sys.exit(main())
