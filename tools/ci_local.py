"""`make ci-local`: what a workflow of .github/workflows runs, on this machine.

The steps come from the workflow's file, in its order, and run in a fresh clone of the commit that is checked
out. What cannot run here, or should not, is named at the end: actions (`uses:`), jobs that deploy or publish,
and what needs an engine for containers where there is none.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tools.deploy.settings import yaml

ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS = ".github/workflows"
# What these make is an image.
NEED_ENGINE = ("make image", "make image-push")
ENGINE_ANSWERS = ("docker", "info")
# What make tells those that it starts: each step is a make of its own.
_OF_MAKE = ("MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS", "WORKFLOW", "JOB", "HERE")
_NOT_OF_STEPS = [f"--unset={name}" for name in _OF_MAKE]


class Unusable(Exception):
    """It cannot be run like this; the text says why, and what to do."""


class Step(NamedTuple):
    """A step of a job; `left_out` says why it does not run here, or is empty."""

    job: str
    what: str
    env: Mapping[str, str]
    left_out: str


class Ran(NamedTuple):
    """A step that ran, with its exit code and how long it took."""

    step: Step
    code: int
    took_s: float


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Run them, up to the first of a job that fails; the exit code is 1 if one did."""
    parser = argparse.ArgumentParser(prog="python -m tools.ci_local", description=__doc__)
    parser.add_argument("workflow", nargs="?", default="pr-checks")
    parser.add_argument("--job", help="this job alone")
    parser.add_argument("--here", action="store_true", help="in this folder, and not in a clone")
    asked = parser.parse_args(arguments)
    try:
        found = list(steps(root, asked.workflow, asked.job))
        with tempfile.TemporaryDirectory(prefix="conduit-ci-") as folder:
            place = root if asked.here else clone(root, Path(folder) / "conduit")
            ran = list(run(found, place))
    except Unusable as error:
        print(f"ci-local: {error}", file=sys.stderr)
        return 1
    return told(found, ran)


def steps(root: Path, workflow: str, job: str | None = None) -> Iterator[Step]:
    """All steps, those that are left out with the reason. Raises Unusable."""
    path = root / WORKFLOWS / f"{workflow.removesuffix('.yml')}.yml"
    if not path.exists():
        names = sorted(each.stem for each in path.parent.glob("*.yml"))
        raise Unusable(f"there is no workflow {workflow!r}: WORKFLOW is one of {', '.join(names)}")
    jobs = yaml(path)["jobs"]
    if job is not None and job not in jobs:
        raise Unusable(f"{workflow} has no job {job!r}: JOB is one of {', '.join(jobs)}")
    for name, has in jobs.items():
        if job in (None, name):
            yield from _of_job(name, has)


def _of_job(name: str, has: Mapping[str, Any]) -> Iterator[Step]:
    publishes = "environment" in has
    for step in has["steps"]:
        env = {key: str(value) for key, value in (step.get("env") or {}).items()}
        yield Step(
            name, step.get("run") or f"uses: {step['uses']}", env, _reason(step, env, publishes)
        )


def _reason(step: Mapping[str, Any], env: Mapping[str, str], publishes: bool) -> str:
    if "uses" in step:
        return "an action of GitHub"
    if publishes:
        return "its job deploys or publishes"
    if any("${{" in value for value in env.values()):
        return f"{', '.join(env)} comes from GitHub"
    if step["run"] in NEED_ENGINE and not _has_engine():
        return "no container engine answers here"
    return ""


def _has_engine() -> bool:
    """A client alone is none."""
    if shutil.which(ENGINE_ANSWERS[0]) is None:
        return False
    return subprocess.run(ENGINE_ANSWERS, capture_output=True, check=False).returncode == 0


def clone(root: Path, place: Path) -> Path:
    """The commit that is checked out, as GitHub would check it out. Raises Unusable."""
    changed = _git(root, "status", "--porcelain")
    if changed:
        print(
            f"ci-local: not committed, so not in it: {len(changed.splitlines())} files", flush=True
        )
    _git(root, "clone", "--quiet", "--no-hardlinks", str(root), str(place))
    return place


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Unusable(
            f"git {arguments[0]} has failed; HERE=1 does without it: {done.stderr.strip()}"
        )
    return done.stdout


def run(found: Sequence[Step], place: Path) -> Iterator[Ran]:
    """Each that is not left out; after one that failed, not the rest of its job."""
    failed: set[str] = set()
    for step in found:
        if step.left_out or step.job in failed:
            continue
        print(f"\nci-local: {step.job}: {step.what}", flush=True)
        # As GitHub does; root needs no sudo, and may have none.
        command = step.what.removeprefix("sudo ") if os.geteuid() == 0 else step.what
        began = time.monotonic()
        variables = [f"{name}={value}" for name, value in {"CI": "true", **step.env}.items()]
        done = subprocess.run(
            ["env", *_NOT_OF_STEPS, *variables, "bash", "-e", "-o", "pipefail", "-c", command],
            cwd=place,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode:
            failed.add(step.job)
        yield Ran(step, done.returncode, time.monotonic() - began)


def told(found: Sequence[Step], ran: Sequence[Ran]) -> int:
    """What ran, and what did not, each by name; the exit code."""
    print()
    done = {id(each.step): each for each in ran}
    for step in found:
        if each := done.get(id(step)):
            word = "ok" if each.code == 0 else f"FAILED with {each.code}"
            print(f"ci-local: {step.job}: {step.what}: {word}, {each.took_s:.0f} s")
        else:
            why = step.left_out or "a step before it failed"
            print(f"ci-local: {step.job}: {step.what}: LEFT OUT: {why}")
    return int(any(each.code for each in ran))


if __name__ == "__main__":
    sys.exit(main())
