"""`make dashboard-types`: the shapes of the API's bodies as zod schemas and TypeScript types.

They are read off the OpenAPI document that the application makes of itself, so that the dashboard believes
nothing else. A test says when the file is not current.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from conduit.server.rest.api import describe

TYPES = Path(__file__).resolve().parent.parent / "dashboard" / "src" / "api" / "schema.ts"
# What only FastAPI itself answers with; ours are problems.
_FOREIGN = {"HTTPValidationError", "ValidationError"}
_HEAD = """\
// Made by `make dashboard-types` from what the server says of its API. Not written by hand.

import "@/api/withoutEval";

import { z } from "zod";
"""
_PLAIN = {
    "string": "z.string()",
    "integer": "z.number()",
    "number": "z.number()",
    "boolean": "z.boolean()",
    "null": "z.null()",
}
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")

Schema = Mapping[str, Any]


def main() -> None:
    """Write the file."""
    TYPES.parent.mkdir(parents=True, exist_ok=True)
    TYPES.write_text(render(describe()))


def render(document: Mapping[str, Any]) -> str:
    """The whole file for an OpenAPI document."""
    shapes: dict[str, Schema] = {
        name: shape
        for name, shape in document["components"]["schemas"].items()
        if name not in _FOREIGN
    }
    done: set[str] = set()
    parts = [_HEAD]
    for name in _in_order(shapes):
        parts.append(
            f"\nexport const {name} = {_shape(shapes[name], done)};\n"
            f"export type {name} = z.infer<typeof {name}>;\n"
        )
        done.add(name)
    return "".join(parts)


def _in_order(shapes: Mapping[str, Schema]) -> Iterator[str]:
    """Each behind those that it names, as far as they do not name each other in a circle."""
    seen: set[str] = set()

    def visit(name: str) -> Iterator[str]:
        if name in seen:
            return
        seen.add(name)
        for other in sorted(_named(shapes[name])):
            yield from visit(other)
        yield name

    for name in sorted(shapes):
        yield from visit(name)


def _named(part: object) -> set[str]:
    """The shapes that a schema refers to."""
    if isinstance(part, Mapping):
        found = set().union(*(_named(value) for value in part.values()))
        return found | {_target(part)} if "$ref" in part else found
    if isinstance(part, list):
        return set().union(*map(_named, part))
    return set()


def _target(schema: Schema) -> str:
    return str(schema["$ref"]).rsplit("/", 1)[-1]


def _shape(schema: Schema, done: set[str]) -> str:
    """A schema as an expression; what is not `done` yet is looked up later."""
    if "$ref" in schema:
        name = _target(schema)
        return name if name in done else f"z.lazy(() => {name})"
    if "allOf" in schema and len(schema["allOf"]) == 1:
        return _shape(schema["allOf"][0], done)
    if "enum" in schema or "const" in schema:
        return _values(schema.get("enum", [schema.get("const")]))
    if alternatives := schema.get("anyOf", schema.get("oneOf")):
        return _either(alternatives, done)
    kind = schema.get("type")
    if kind == "object":
        return _object(schema, done)
    if kind == "array":
        return f"z.array({_shape(schema.get('items', {}), done)})"
    return _PLAIN.get(str(kind), "z.unknown()")


def _values(values: list[object]) -> str:
    if all(isinstance(value, str) for value in values):
        return f"z.enum({json.dumps(values)})"
    literals = [f"z.literal({json.dumps(value)})" for value in values]
    return literals[0] if len(literals) == 1 else f"z.union([{', '.join(literals)}])"


def _either(alternatives: list[Schema], done: set[str]) -> str:
    kinds = [_shape(each, done) for each in alternatives if each.get("type") != "null"]
    either = kinds[0] if len(kinds) == 1 else f"z.union([{', '.join(kinds)}])"
    return either if len(kinds) == len(alternatives) else f"{either}.nullable()"


def _object(schema: Schema, done: set[str]) -> str:
    if "properties" not in schema:
        values = schema.get("additionalProperties", {})
        inner = _shape(values if isinstance(values, Mapping) else {}, done)
        return f"z.record(z.string(), {inner})"
    required = set(schema.get("required", ()))
    lines = [
        f"  {_key(name)}: {_shape(field, done)}{'' if name in required else _left_out(field)},\n"
        for name, field in schema["properties"].items()
    ]
    return f"z.object({{\n{''.join(lines)}}})"


def _left_out(field: Schema) -> str:
    """What an answer means that has not got the field."""
    default = field.get("default")
    is_plain = isinstance(default, str | int | float | bool)
    return f".default({json.dumps(default)})" if is_plain else ".optional()"


def _key(name: str) -> str:
    return name if _IDENTIFIER.fullmatch(name) else json.dumps(name)


if __name__ == "__main__":
    main()
