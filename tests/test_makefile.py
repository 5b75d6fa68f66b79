"""The commands of the Makefile say what they do before it takes long."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

ROOT = Path(__file__).resolve().parent.parent


def recipe(target: str, tmp_path: Path) -> list[str]:
    """The lines of shell that the target would run where nothing is installed yet."""
    done = subprocess.run(
        ["make", "--dry-run", target, f"BIN={tmp_path}/bin", f"LOWEST={tmp_path}/lowest"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.replace("\\\n", "").splitlines()


INSTALLS = re.compile(r"-m pip .* install |apt-get .*install --?[a-z]")


@pytest.mark.parametrize("target", ["run", "cluster", "test", "test-lowest", "bench"])
def test_what_is_to_be_installed_is_said_before_it_is(target: str, tmp_path: Path) -> None:
    said = "nothing"
    installed_count = 0
    for line in recipe(target, tmp_path):
        if line.startswith("echo make: "):
            said = line
        elif installs := INSTALLS.search(line):
            assert "install" in said or "make: " in line[: installs.start()], line
            installed_count += 1
        elif not line.endswith(f"-m venv --clear {tmp_path}/lowest"):
            said = "nothing"
    assert installed_count


def test_an_audit_that_fails_ends_with_an_error(tmp_path: Path) -> None:
    (line,) = [line for line in recipe("audit", tmp_path) if "tools.audit" in line]
    assert "exit 1" in line
