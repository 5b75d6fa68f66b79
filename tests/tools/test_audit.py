"""`make audit` says of everything what it found, and passes nothing that it could not look at."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tools import audit

ROOT = Path(__file__).resolve().parents[2]


def of(stdout: object, code: int, stderr: str = "") -> audit.Outcome:
    text = stdout if isinstance(stdout, str) else json.dumps(stdout)
    done = subprocess.CompletedProcess([], code, text, stderr)
    return audit.of_pip_audit("requirements/x.txt", done)


def package(*vulnerabilities: dict[str, object]) -> dict[str, object]:
    return {"dependencies": [{"name": "a", "version": "1", "vulns": [*vulnerabilities]}]}


def test_packages_without_a_known_vulnerability_pass() -> None:
    assert of(package(), 0) == (
        True,
        "requirements/x.txt: 1 packages, nothing known against them",
    )


def test_a_known_vulnerability_is_named_with_what_mends_it() -> None:
    outcome = of(package({"id": "PYSEC-1", "fix_versions": ["2", "3"]}), 1)
    assert not outcome.is_good
    assert "a 1: PYSEC-1, mended in 2, 3" in outcome.told


@pytest.mark.parametrize("stdout", ["", "Traceback", "{}", "[]"])
def test_without_an_answer_nothing_is_passed(stdout: str) -> None:
    outcome = of(stdout, 1, "Traceback\nProxyError: refused")
    assert not outcome.is_good
    assert "was not audited" in outcome.told
    assert outcome.told.endswith("ProxyError: refused")


def test_a_package_that_was_left_out_is_not_passed() -> None:
    skipped = {"dependencies": [{"name": "a", "skip_reason": "not found"}]}
    outcome = of(skipped, 0)
    assert not outcome.is_good
    assert "a: not found" in outcome.told


@pytest.mark.process
def test_offline_it_fails_with_a_sentence(tmp_path: Path) -> None:
    nobody = "http://127.0.0.1:9"
    done = subprocess.run(
        [sys.executable, "-m", "tools.audit"],
        cwd=ROOT,
        env={"https_proxy": nobody, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=170,
    )
    assert done.returncode == 1
    assert "FAILED: requirements/runtime.txt was not audited" in done.stdout
    assert "FAILED: requirements/build.txt was not audited" in done.stdout
    assert "Is this machine online?" in done.stdout
    assert "Traceback" not in done.stdout


def test_where_there_is_no_javascript_and_no_workflow_that_is_said(tmp_path: Path) -> None:
    (npm,), (workflows,) = [*audit.npm(tmp_path)], [*audit.workflows(tmp_path)]
    assert npm.is_good
    assert "no package-lock.json" in npm.told
    assert workflows.is_good
    assert "no workflow" in workflows.told


@pytest.mark.process
def test_javascript_that_cannot_be_audited_is_not_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "client" / "node_modules" / "a").mkdir(parents=True)
    for folder in ("client", "client/node_modules/a"):
        (tmp_path / folder / "package-lock.json").write_text("{}")
    monkeypatch.setenv("PATH", str(tmp_path))
    (outcome,) = audit.npm(tmp_path)
    assert not outcome.is_good
    assert outcome.told.startswith("client/package-lock.json")
    assert "npm is not installed" in outcome.told


GOOD = """\
name: test
on: push
permissions: {}
jobs:
  test:
    runs-on: ubuntu-24.04
    steps:
      - run: make test
"""
# A title that anybody may choose becomes a part of the command.
BAD = """\
name: test
on: pull_request_target
jobs:
  test:
    runs-on: ubuntu-24.04
    steps:
      - run: echo ${{ github.event.pull_request.title }}
"""


@pytest.mark.process
@pytest.mark.parametrize(("text", "is_good"), [(GOOD, True), (BAD, False)], ids=["good", "bad"])
def test_a_workflow_that_runs_what_strangers_write_fails(
    tmp_path: Path, text: str, is_good: bool
) -> None:
    (tmp_path / ".github" / "workflows").mkdir(parents=True)
    (tmp_path / ".github" / "workflows" / "test.yml").write_text(text)
    (outcome,) = audit.workflows(tmp_path)
    assert outcome.is_good is is_good, outcome.told
    assert is_good or "template-injection" in outcome.told
