"""The walk of docs/walk.md holds, from a bare Debian to a dead letter that is delivered again."""

import subprocess
import sys

import pytest

from tests.walk.__main__ import ROOT, WITHIN_S
from tools.bare_root import missing

CACHE = ROOT / "build/bare"


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.timeout(WITHIN_S + 120)
def test_a_reader_comes_from_a_bare_debian_to_a_cluster_by_the_page_alone():
    if lack := missing():
        pytest.skip(lack)
    command = [sys.executable, "-m", "tests.walk", "--cache", str(CACHE)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
