"""`make audit`: what is known against that of which Conduit is made.

Python packages as they are locked, JavaScript packages where there is a lock of them, and workflows of GitHub
where there are any. What could not be looked at is not passed: without an answer of the public databases this
fails, and says so.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
# Of what is installed by users, and of what builds it.
LOCKS = ("runtime.txt", "build.txt")
# Nobody waits longer for an answer.
TIMEOUT_S = 300
# Of what a tool says.
TOLD_MAX_CHARS = 2000


class Outcome(NamedTuple):
    """One sentence about one thing."""

    is_good: bool
    told: str


def main(root: Path = ROOT) -> int:
    """Say what was found; the exit code is 1 if anything was, or could not be looked for."""
    is_good = True
    for outcome in (*python(root), *npm(root), *workflows(root)):
        is_good &= outcome.is_good
        print(f"audit: {'' if outcome.is_good else 'FAILED: '}{outcome.told}", flush=True)
    return 0 if is_good else 1


def python(root: Path) -> Iterator[Outcome]:
    """Of each lock."""
    for name in LOCKS:
        lock = root / "requirements" / name
        options = ("--strict", "--disable-pip", "--progress-spinner", "off", "--format", "json")
        done = run(sys.executable, "-m", "pip_audit", *options, "--requirement", str(lock))
        yield of_pip_audit(f"requirements/{name}", done)


def of_pip_audit(lock: str, done: subprocess.CompletedProcess[str]) -> Outcome:
    """What pip-audit has said of a lock."""
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, LookupError, TypeError):
        # The reason is in the last line: of a traceback, if the database was not reached.
        why = (done.stderr.strip().splitlines() or ["no answer"])[-1][:TOLD_MAX_CHARS]
        return Outcome(
            False,
            f"{lock} was not audited, so nothing is known of it: the database of vulnerabilities has"
            f" not answered for all packages. Is this machine online? {why}",
        )
    found = [
        f"{package['name']} {package['version']}: {each['id']}, "
        f"mended in {', '.join(each['fix_versions']) or 'no version'}"
        for package in packages
        for each in package.get("vulns", ())
    ]
    found += [
        f"{each['name']}: {each['skip_reason']}" for each in packages if "skip_reason" in each
    ]
    if found or done.returncode:
        return Outcome(
            False,
            "\n  ".join(
                [
                    f"{lock} has known vulnerabilities, or packages of which nothing is known:",
                    *found,
                ]
            ),
        )
    return Outcome(True, f"{lock}: {len(packages)} packages, nothing known against them")


def npm(root: Path) -> Iterator[Outcome]:
    """Of each lock of JavaScript packages."""
    locks = [
        path for path in sorted(root.rglob("package-lock.json")) if "node_modules" not in path.parts
    ]
    if not locks:
        yield Outcome(
            True, "no package-lock.json is here: there are no JavaScript packages to audit"
        )
    for lock in locks:
        name = str(lock.relative_to(root))
        done = run("npm", "audit", "--package-lock-only", "--prefix", str(lock.parent))
        if done.returncode:
            yield Outcome(
                False, f"{name} has known vulnerabilities, or was not audited:\n{said(done)}"
            )
        else:
            yield Outcome(True, f"{name}: nothing known against its packages")


def workflows(root: Path) -> Iterator[Outcome]:
    """Of the workflows, all at once."""
    folder = root / ".github"
    if not any(folder.rglob("*.y*ml")):
        yield Outcome(True, "no workflow is in .github: there is nothing for zizmor to audit")
        return
    # What it could ask GitHub needs a token.
    done = run(
        str(Path(sys.executable).with_name("zizmor")),
        "--offline",
        "--strict-collection",
        str(folder),
    )
    if done.returncode:
        yield Outcome(False, f"what zizmor says of .github:\n{said(done)}")
    else:
        yield Outcome(True, ".github: nothing that zizmor knows is wrong with it")


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """What is not installed, or takes too long, has failed."""
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S
        )
    except FileNotFoundError:
        return subprocess.CompletedProcess(command, 127, "", f"{command[0]} is not installed")
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"no answer in {TIMEOUT_S} s")


def said(done: subprocess.CompletedProcess[str]) -> str:
    """The end of what it has said."""
    return (done.stdout + done.stderr).strip()[-TOLD_MAX_CHARS:]


if __name__ == "__main__":
    sys.exit(main())
