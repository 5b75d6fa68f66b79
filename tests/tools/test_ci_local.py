"""`make ci-local` runs the steps of a workflow in its order, and names what it leaves out."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools import ci_local

WORKFLOW = """\
on: push
jobs:
  one:
    steps:
      - uses: actions/checkout@0
      - run: make first
      - run: sudo make second WORD="two words"
        env:
          GIVEN: by the step
      - run: make third
        env:
          TAG: ${{ github.ref_name }}
  two:
    steps:
      - run: make fails
      - run: make first
  three:
    environment: production
    steps:
      - run: make first
"""
MAKEFILE = """\
first:
	@echo "first in $(notdir $(CURDIR)), CI is $${CI}, JOB is $${JOB-not set}" >> $(OUT)
second:
	@echo "second: $(WORD), $${GIVEN}" >> $(OUT)
fails:
	@exit 3
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with such a workflow, in git; what its commands say is in `said`."""
    root = tmp_path / "project"
    (root / ".github/workflows").mkdir(parents=True)
    (root / ".github/workflows/checks.yml").write_text(WORKFLOW)
    (root / "Makefile").write_text(f"OUT = {tmp_path}/said\n{MAKEFILE}")
    identity = ("-c", "user.name=t", "-c", "user.email=t@t.example")
    for command in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-qm", "all")):
        subprocess.run(["git", *command], cwd=root, check=True)
    return root


@pytest.mark.process
def test_steps_run_in_their_order_in_a_clone_until_one_of_the_job_fails(
    project, tmp_path, capfd, monkeypatch
):
    monkeypatch.setattr(ci_local.os, "geteuid", lambda: 0)
    monkeypatch.setenv("JOB", "of this make")
    (project / "Makefile").write_text("first:\n\tfalse\n")
    assert ci_local.main(["checks"], project) == 1
    assert (tmp_path / "said").read_text().splitlines() == [
        "first in conduit, CI is true, JOB is not set",
        "second: two words, by the step",
    ]
    told = capfd.readouterr().out
    assert "not committed, so not in it: 1 files" in told
    lines = [line.partition(", ")[0] for line in told.splitlines() if line.startswith("ci-local: ")]
    assert lines[-7:] == [
        "ci-local: one: uses: actions/checkout@0: LEFT OUT: an action of GitHub",
        "ci-local: one: make first: ok",
        'ci-local: one: sudo make second WORD="two words": ok',
        "ci-local: one: make third: LEFT OUT: TAG comes from GitHub",
        "ci-local: two: make fails: FAILED with 2",
        "ci-local: two: make first: LEFT OUT: a step before it failed",
        "ci-local: three: make first: LEFT OUT: its job deploys or publishes",
    ]


@pytest.mark.process
def test_one_job_can_run_alone_and_in_this_folder(project, tmp_path):
    with (project / "Makefile").open("a") as makefile:
        makefile.write("# not committed\n")
    assert ci_local.main(["checks", "--job", "one", "--here"], project) == 0
    assert "first in project" in (tmp_path / "said").read_text()


@pytest.mark.process
def test_a_name_that_is_none_is_answered_with_those_there_are(project, capsys):
    assert ci_local.main(["check"], project) == 1
    assert "WORKFLOW is one of checks" in capsys.readouterr().err
    assert ci_local.main(["checks", "--job", "four"], project) == 1
    assert "JOB is one of one, two, three" in capsys.readouterr().err
