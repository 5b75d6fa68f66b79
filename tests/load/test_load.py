"""The k6 scripts hold, in short."""

import json
import os
from collections.abc import Iterator

import pytest

from tests.load.__main__ import keep
from tests.load.running import SCRIPTS, SHORT, Result, Target, run, running

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    with running(request.param) as found:
        yield found


@pytest.mark.parametrize(
    ("target", "script"),
    [(target, script) for target, scripts in SCRIPTS.items() for script in scripts],
    indirect=["target"],
)
def test_a_script_holds(target, script):
    result = run(script, target, SHORT)
    assert result.code == 0, result.text
    # Also if a publish whose answer was lost with its node is stored.
    assert result.metrics["lost"]["count"] == 0
    publishes = result.metrics["http_req_failed{kind:publish}"]
    assert publishes["fails"] > 0
    if script == "fanout":
        assert result.metrics["received"]["count"] == 20 * publishes["fails"]
    if script == "node-failure":
        assert result.metrics["ready_checks"]["passes"] > 0
        assert result.metrics["node_down_checks"]["count"] > 0


def test_what_was_measured_is_kept_with_what_it_was_measured_on(tmp_path):
    keep(tmp_path, "sqlite", "fanout", Result(99, "", {"received": {"count": 7}}))
    kept = json.loads((tmp_path / "sqlite-fanout.json").read_text())
    assert (kept["holds"], kept["metrics"]) == (False, {"received": {"count": 7}})
    assert f"{os.cpu_count()} CPUs" in kept["conditions"]
