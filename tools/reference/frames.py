"""The page of frames: a table of fields for each."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from msgspec.structs import fields as fields_of

from conduit.protocol.frames import StartAt, StartPosition
from tools.reference.schemas import CLIENT, SERVER, about, schemas, tag

_HEAD = """\
# Frames, field by field

Made by `make reference` from `protocol/frames.py`; do not edit it. How the frames work together is in the
[protocol](../websocket.md). The same for programs is [asyncapi.json](asyncapi.json).

Each frame is one JSON object in one text frame. A frame of a client with a field that is not here is refused
with [`unknown_field`](errors.md). A frame of the server may get new optional fields: ignore those that you do
not know.
"""


def frame_page() -> str:
    """The whole page."""
    shapes = schemas(*CLIENT, *SERVER)
    parts = [_HEAD, "\n## What a client sends\n"]
    parts += [_section(f"`{tag(each)}`", each, shapes) for each in CLIENT]
    parts += [_section(f"`{each.__name__}`", each, shapes) for each in (StartAt, StartPosition)]
    parts.append("\n## What the server sends\n")
    parts += [_section(f"`{tag(each)}`", each, shapes) for each in SERVER]
    return "".join(parts)


def _section(title: str, kind: type[msgspec.Struct], shapes: dict[str, Any]) -> str:
    shape = shapes[kind.__name__]
    fields = {name: field for name, field in shape["properties"].items() if name != "type"}
    # Elsewhere null is the same as nothing.
    says_null = {each.encode_name for each in fields_of(kind) if each.default is not None}
    rows = [
        _row(name, _type(field, name in says_null), field.get("default"), name in shape["required"])
        for name, field in fields.items()
    ]
    table = "| field | type | |\n|---|---|---|\n" + "".join(rows) if rows else "No fields.\n"
    return f"\n### {title}\n\n{about(kind)}\n\n{table}"


def _row(name: str, kind: str, default: object, is_required: bool) -> str:
    said = "required" if is_required else "may be left out"
    if default is not None:
        said += f": then `{json.dumps(default)}`"
    return f"| `{name}` | {kind} | {said} |\n"


def _type(field: dict[str, Any], says_null: bool = False) -> str:
    """A schema in words."""
    if "anyOf" in field:
        parts = [_type(each) for each in field["anyOf"] if each != {"type": "null"}]
        return " or ".join(parts) + (
            ", or null" if says_null and len(parts) < len(field["anyOf"]) else ""
        )
    if "enum" in field:
        return " or ".join(f'`"{value}"`' for value in field["enum"])
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if field.get("type") == "array":
        return f"list of {_type(field['items'])}"
    if field.get("type") == "object":
        return f"object of {_type(field['additionalProperties'])}"
    return str(field.get("type", "any JSON"))
