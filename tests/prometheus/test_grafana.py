"""The dashboard: its expressions are ones, name what servers tell, and every panel explains itself."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest

from conduit.server.metrics import tables
from tests.support.prometheus import DASHBOARD, named, promtool

BOARD = json.loads(DASHBOARD.read_text())
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
TARGETS = [target for panel in PANELS for target in panel["targets"]]
EXPRESSIONS = [target["expr"] for target in TARGETS]
EXPRESSIONS += [note["expr"] for note in BOARD["annotations"]["list"]]
OF_THE_CLIENT = {
    f"process_{name}"
    for name in (
        *("cpu_seconds_total", "resident_memory_bytes", "open_fds", "max_fds"),
        "start_time_seconds",
    )
}


def filled(expression: str) -> str:
    """As Grafana sends it, with all nodes chosen."""
    expression = expression.replace("$__rate_interval", "1m")
    return re.sub(r"\$(?:job|instance)\b", ".+", expression)


@pytest.mark.process
def test_every_expression_is_one(tmp_path: Path):
    rules = [
        {"record": f"panel:number_{number}", "expr": filled(expression)}
        for number, expression in enumerate(EXPRESSIONS)
    ]
    file = tmp_path / "rules.yml"
    # JSON is YAML.
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"{len(EXPRESSIONS)} rules found" in promtool("check", "rules", file)


def test_expressions_name_what_servers_tell_and_heed_the_chosen_nodes():
    known = {measure.full_name for table in tables() for measure in table.measures}
    for expression in EXPRESSIONS:
        assert named(expression) <= known | OF_THE_CLIENT, expression
        selectors = expression.count('{job=~"$job", instance=~"$instance"')
        assert selectors == len(re.findall(r"\b(?:conduit|process)_\w+\{", expression))
        assert selectors or "ALERTS" in expression
        assert "$" not in filled(expression)


def test_a_rate_is_of_what_only_grows():
    kinds = {m.full_name: m.kind for table in tables() for m in table.measures}
    for expression in EXPRESSIONS:
        for function, name in re.findall(r"\b(rate|increase)\((\w+)", expression):
            base = re.sub(r"_(bucket|count|sum)$", "", name)
            assert kinds.get(base, "counter") in ("counter", "histogram"), (function, name)


def test_panels_have_titles_descriptions_and_units():
    for panel in PANELS:
        assert len(panel["description"]) > 20, panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"
        assert all(target["legendFormat"] for target in panel["targets"])
    titles = Counter(panel["title"] for panel in BOARD["panels"] if panel["type"] == "timeseries")
    # Of a number at the top there may be a chart below.
    assert set(titles.values()) == {1}


def test_seconds_and_bytes_are_shown_as_such():
    units = {m.full_name: m.unit for table in tables() for m in table.measures}
    shown = {"seconds": "s", "bytes": "bytes"}
    for panel in PANELS:
        expressions = [target["expr"] for target in panel["targets"]]
        # What is counted of a histogram is a number, and so are seconds in a second.
        if any(re.search("_count|^rate|changes", each) for each in expressions):
            continue
        wanted = {units.get(name) for each in expressions for name in named(each)} & shown.keys()
        assert {shown[each] for each in wanted} <= {panel["fieldConfig"]["defaults"]["unit"]}


def test_no_panel_covers_another():
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
    for one, two in combinations([panel["gridPos"] for panel in BOARD["panels"]], 2):
        is_beside = one["x"] + one["w"] <= two["x"] or two["x"] + two["w"] <= one["x"]
        is_below = one["y"] + one["h"] <= two["y"] or two["y"] + two["h"] <= one["y"]
        assert is_beside or is_below, (one, two)
        assert one["x"] + one["w"] <= 24


def test_one_chooses_where_the_data_is_from_and_which_nodes():
    variables = {each["name"]: each for each in BOARD["templating"]["list"]}
    assert list(variables) == ["datasource", "job", "instance"]
    assert variables["datasource"]["query"] == "prometheus"
    assert "conduit_info" in variables["instance"]["definition"]
