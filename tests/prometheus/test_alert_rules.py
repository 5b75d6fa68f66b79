"""The alert rules: each is tested, has its runbook, and names what servers tell."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from conduit.server.metrics import tables
from tests.support.prometheus import RULES, named, promtool

DOCS = RULES.parents[2] / "docs"
FOLDER = RULES.parent
GROUPS = yaml.safe_load(RULES.read_text())["groups"]
ALERTS: list[dict[str, Any]] = [rule for group in GROUPS for rule in group["rules"]]
by_name = pytest.mark.parametrize("alert", ALERTS, ids=[each["alert"] for each in ALERTS])


@pytest.mark.process
def test_every_rule_fires_and_is_silent_as_its_test_says():
    assert "SUCCESS" in promtool("test", "rules", FOLDER / "alerts_test.yml")


@pytest.mark.process
def test_the_example_of_a_configuration_is_one_and_loads_the_rules():
    said = promtool("check", "config", FOLDER / "prometheus.yml")
    assert f"SUCCESS: {len(ALERTS)} rules found" in said


def test_every_rule_is_in_the_tests_once_firing_and_once_with_nothing_firing():
    tests = yaml.safe_load((FOLDER / "alerts_test.yml").read_text())["tests"]
    checked = {test["name"]: test["promql_expr_test"] for test in tests}
    for alert in ALERTS:
        *silent, firing = checked[alert["alert"]]
        assert silent
        assert all(each["exp_samples"] == [] for each in silent)
        name = alert["alert"]
        assert firing["exp_samples"] == [{"labels": f'{{alertname="{name}"}}', "value": 1}]


@by_name
def test_a_rule_says_how_bad_it_is_what_is_wrong_and_where_to_read_on(alert):
    assert alert["labels"]["severity"] in ("critical", "warning")
    assert alert["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert len(alert["annotations"]["description"]) > 60
    heading = f"docs/alerts.md#{alert['alert'].lower()}"
    assert alert["annotations"]["runbook_url"].endswith(heading)


def test_every_rule_has_its_part_in_the_runbook_with_what_to_look_at_and_to_do():
    page = (DOCS / "alerts.md").read_text()
    parts = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", page, re.MULTILINE | re.DOTALL))
    assert list(parts) == sorted(parts, key=[each["alert"] for each in ALERTS].index)
    for alert in ALERTS:
        part = parts.pop(alert["alert"])
        assert part.lstrip().startswith(f"*{alert['labels']['severity']}{_after(alert)}.*")
        assert "- **Look** " in part
        assert "- **Do** " in part
    assert not parts


def _after(alert: dict[str, Any]) -> str:
    if "for" not in alert:
        return ""
    count, unit = int(alert["for"][:-1]), {"m": "minute", "h": "hour"}[alert["for"][-1]]
    return f", after {count} {unit}{'s' * (count > 1)}"


@by_name
def test_a_rule_names_what_servers_tell(alert):
    known = {measure.full_name for table in tables() for measure in table.measures}
    assert named(alert["expr"]) <= known | {"process_open_fds", "process_max_fds"}


def test_the_settings_and_commands_of_the_runbook_exist():
    page = (DOCS / "alerts.md").read_text()
    settings = (DOCS / "configuration.md").read_text()
    for name in set(re.findall(r"\bCONDUIT_[A-Z_]+", page)) - {"CONDUIT_URL", "CONDUIT_API_KEY"}:
        assert f"`{name}`" in settings, name
    commands = Path(DOCS / "cli.md").read_text()
    for command in set(re.findall(r"`(conduit [a-z]+(?: [a-z]+)?)\b", page)):
        assert command in commands, command
