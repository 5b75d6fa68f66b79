"""The bill of materials is CycloneDX, and has every package of the lock."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.process

ROOT = Path(__file__).resolve().parents[2]
LOCK = (ROOT / "requirements" / "runtime.txt").read_text()
PINS = dict(re.findall(r"^([\w.-]+)==(\S+)", LOCK, re.MULTILINE))


@pytest.fixture(scope="module")
def bill(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("sbom") / "build" / "sbom.cdx.json"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tools.sbom", str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=170,
    )
    assert done.returncode == 0, done.stderr
    assert f"{len(PINS)} packages" in done.stdout
    return json.loads(path.read_text())


def schema(name: str) -> Any:
    """One of those of CycloneDX, which its library brings along."""
    found = find_spec("cyclonedx.schema._res")
    assert found is not None
    assert found.submodule_search_locations
    return json.loads(Path(found.submodule_search_locations[0], name).read_text())


def test_it_is_valid(bill: Any) -> None:
    # Not on top: not installed beside the lowest versions.
    import jsonschema_rs

    # Under the addresses by which the first refers to them: nothing is fetched.
    parts = {
        f"http://cyclonedx.org/schema/{name}": schema(name)
        for name in ("spdx.SNAPSHOT.schema.json", "jsf-0.82.SNAPSHOT.schema.json")
    }
    registry = jsonschema_rs.Registry([*parts.items()], draft=jsonschema_rs.Draft7)
    validator = jsonschema_rs.validator_for(
        schema("bom-1.6.SNAPSHOT.schema.json"), registry=registry
    )
    assert [error.message for error in validator.iter_errors(bill)] == []
    assert not validator.is_valid({**bill, "components": [{"name": "without a type"}]})


def test_it_names_every_locked_package_with_its_hashes(bill: Any) -> None:
    named = {each["name"]: each for each in bill["components"]}
    assert {name: each["version"] for name, each in named.items()} == PINS
    hashes = [
        each["content"]
        for component in bill["components"]
        for reference in component["externalReferences"]
        for each in reference["hashes"]
    ]
    assert sorted(hashes) == sorted(re.findall("--hash=sha256:([0-9a-f]{64})", LOCK))


def test_it_says_what_it_is_of_and_what_needs_what(bill: Any) -> None:
    conduit = bill["metadata"]["component"]
    assert (conduit["name"], conduit["licenses"]) == (
        "conduit-events",
        [{"license": {"id": "Apache-2.0"}}],
    )
    needs = {each["ref"]: each.get("dependsOn", []) for each in bill["dependencies"]}
    assert f"pkg:pypi/msgspec@{PINS['msgspec']}" in needs["conduit-events"]
    assert f"pkg:pypi/h11@{PINS['h11']}" in needs[f"pkg:pypi/uvicorn@{PINS['uvicorn']}"]


def test_most_licenses_are_known(bill: Any) -> None:
    known = [each["name"] for each in bill["components"] if each.get("licenses")]
    assert len(known) > len(PINS) * 0.8
