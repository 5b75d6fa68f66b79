"""A release has the version of its tag, and checksums that can be checked."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools import release


def test_a_tag_of_the_version_with_its_heading_passes():
    assert release.against("v1.2.3", "# Changelog\n\n## [1.2.3] 2026-12-01\n", "1.2.3") == []


@pytest.mark.parametrize("tag", ["", "1.2.3", "v1.2.4", "v1.2.3-rc1"])
def test_another_tag_is_refused_with_the_right_one(tag):
    (problem,) = release.against(tag, "## [1.2.3]\n", "1.2.3")
    assert "has to be v1.2.3" in problem


def test_what_is_still_unreleased_is_not_released():
    (problem,) = release.against("v1.2.3", "## [Unreleased] 1.2.3\n\n## [1.2.30]\n", "1.2.3")
    assert "no heading [1.2.3]" in problem


@pytest.mark.process
def test_checksums_are_those_of_the_packages(tmp_path: Path):
    (tmp_path / "a.whl").write_bytes(b"a")
    (tmp_path / "b.tar.gz").write_bytes(b"b")
    (tmp_path / "c.txt").write_bytes(b"c")
    assert release.sums(tmp_path).count("\n") == 2
    check = ["sha256sum", "--check", "--strict", release.SUMS]
    assert subprocess.run(check, cwd=tmp_path, check=False, capture_output=True).returncode == 0
    (tmp_path / "a.whl").write_bytes(b"other")
    assert subprocess.run(check, cwd=tmp_path, check=False, capture_output=True).returncode == 1
