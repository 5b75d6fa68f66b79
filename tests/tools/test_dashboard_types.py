"""The dashboard believes what the server says of its API, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

from conduit.server.rest.api import describe
from tools.dashboard_types import TYPES, render

ROOT = Path(__file__).resolve().parents[2]


def rendered(**shapes: object) -> str:
    return render({"components": {"schemas": shapes}}).split('from "zod";\n', 1)[1]


def test_the_shapes_of_answers_are_those_of_the_server() -> None:
    assert TYPES.read_text() == render(describe()), "make dashboard-types, and commit the file"


def test_a_shape_stands_behind_those_that_it_names_and_a_circle_is_looked_up_later() -> None:
    text = rendered(
        A={"type": "object", "properties": {"b": {"$ref": "#/x/B"}}, "required": ["b"]},
        B={"type": "object", "properties": {"c": {"$ref": "#/x/B"}}, "required": ["c"]},
    )
    assert text.index("const B") < text.index("const A")
    assert "b: B," in text
    assert "c: z.lazy(() => B)," in text


def test_what_may_be_null_or_left_out_is_said() -> None:
    text = rendered(
        A={
            "type": "object",
            "properties": {
                "n": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
                "d": {"type": "integer", "default": 0},
                "o": {"type": "string"},
                "with-dash": {"enum": ["x", "y"]},
                "any": {},
                "map": {"type": "object", "additionalProperties": {"type": "string"}},
            },
            "required": ["n", "with-dash", "any", "map"],
        }
    )
    for line in (
        "n: z.number().nullable(),",
        "d: z.number().default(0),",
        "o: z.string().optional(),",
        '"with-dash": z.enum(["x", "y"]),',
        "any: z.unknown(),",
        "map: z.record(z.string(), z.string()),",
    ):
        assert f"  {line}\n" in text


def test_the_packages_of_the_dashboard_are_locked_by_hash_and_without_addresses() -> None:
    lock = json.loads((ROOT / "dashboard" / "package-lock.json").read_text())
    packages = {name: each for name, each in lock["packages"].items() if name}
    assert not [name for name, each in packages.items() if "resolved" in each]
    # What comes inside another package has that one's.
    open_ones = [
        name
        for name, each in packages.items()
        if "integrity" not in each and not each.get("inBundle")
    ]
    assert not open_ones
    wanted = json.loads((ROOT / "dashboard" / "package.json").read_text())
    for versions in (wanted["dependencies"], wanted["devDependencies"]):
        assert all(version[0].isdigit() for version in versions.values())
