"""The workflows run what can be run here, with as few rights as will do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tools.deploy import settings

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
# A full commit, and behind it the version that it is.
PINNED = re.compile(r"uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
RUN = re.compile(r"(?:sudo )?make (?P<target>[a-z-]+)(?: [A-Z_]+=(?:\w+|\"[\w -]+\"))*")
# Who may write what, and for what.
WRITES = {
    ("release", "pypi"): {"id-token"},
    ("release", "image"): {"packages"},
    ("release", "release"): {"contents"},
}


def jobs() -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path.stem, name, has)
        for path in FILES
        for name, has in settings.yaml(path)["jobs"].items()
    ]


def test_the_workflows_are_those_of_the_original_and_one_for_releases():
    assert {path.stem for path in FILES} == {"pr-checks", "deploy", "benchmarks", "release"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_actions_are_pinned_to_commits_and_each_to_one(path):
    lines = [line.strip(" -") for line in path.read_text().splitlines() if "uses:" in line]
    assert lines
    assert not [line for line in lines if not PINNED.fullmatch(line)]


def test_an_action_has_one_version_in_all_workflows():
    found = {}
    for path in FILES:
        for action, version in re.findall(r"uses: (\S+)@(.*)", path.read_text()):
            found.setdefault(action, set()).add(version)
    assert not {action: versions for action, versions in found.items() if len(versions) > 1}


def test_every_step_is_a_command_of_the_makefile():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    steps = [step["run"] for _, _, has in jobs() for step in has["steps"] if "run" in step]
    assert len(steps) > 15
    for step in steps:
        found = RUN.fullmatch(step)
        assert found, step
        assert found["target"] in targets, step


def test_rights_are_given_to_jobs_and_only_those_that_they_need():
    for path in FILES:
        assert settings.yaml(path)["permissions"] == {}, path.name
    for workflow, name, has in jobs():
        rights = dict(has["permissions"])
        writes = {right for right, how in rights.items() if how == "write"}
        assert writes == WRITES.get((workflow, name), set()), (workflow, name)
        assert {how for right, how in rights.items() if right not in writes} <= {"read"}


def test_no_checkout_leaves_credentials_and_every_job_ends():
    for workflow, name, has in jobs():
        assert has["timeout-minutes"] <= 90, (workflow, name)
        for step in has["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False, (workflow, name)
    for path in FILES:
        assert settings.yaml(path)["concurrency"]["group"], path.name


def test_only_jobs_behind_an_environment_have_secrets_or_may_write():
    """So that an environment's rules, such as a review, come before."""
    for workflow, name, has in jobs():
        if "secrets." in str(has) or (workflow, name) in WRITES:
            assert "environment" in has, (workflow, name)
