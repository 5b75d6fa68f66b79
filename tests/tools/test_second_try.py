"""Which tests are tried once more after they failed, and what is said of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools.second_try import FAILED, main, may_be_tried

SERVED = "tests/e2e/test_it.py::test_it"
FLAKY = """
from pathlib import Path
def test_it():
    tries = Path("tries")
    tries.write_text(tries.read_text() + "x" if tries.exists() else "x")
    assert len(tries.read_text()) > {}
"""


@pytest.mark.parametrize(
    ("failed", "is_tried"),
    [
        ([], False),
        ([SERVED], True),
        (["tests/browser/test_it.py::test_it[dark]", SERVED], True),
        ([SERVED, SERVED + "[1]", SERVED + "[2]"], False),
        (["tests/core/test_it.py::test_it"], False),
        (["tests/model/test_served.py::test_it", SERVED], False),
    ],
)
def test_few_that_watch_servers_are_tried_again_and_no_others(failed, is_tried):
    assert may_be_tried(failed) is is_tried


@pytest.mark.process
@pytest.mark.parametrize(("needed", "code"), [(0, 0), (1, 1)])
def test_what_passes_alone_is_named_and_what_fails_again_has_failed(
    tmp_path: Path, capfd, needed, code
):
    test = tmp_path / "tests/e2e/test_it.py"
    test.parent.mkdir(parents=True)
    test.write_text(FLAKY.format(needed))
    (tmp_path / FAILED).parent.mkdir(parents=True)
    (tmp_path / FAILED).write_text(json.dumps({SERVED: True}))
    assert main(tmp_path) == code
    said = capfd.readouterr().out
    assert (f"PASSED ALONE, look into it: {SERVED}" in said) is (code == 0)


def test_without_a_run_that_failed_there_is_nothing_to_try(tmp_path):
    assert main(tmp_path) == 1
