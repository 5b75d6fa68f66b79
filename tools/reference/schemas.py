"""The frames of the WebSocket protocol as JSON Schema, from the structs that both sides use."""

from __future__ import annotations

import inspect
from typing import Any, get_args

import msgspec

from conduit.protocol import frames

CLIENT: tuple[type[msgspec.Struct], ...] = get_args(frames.AnyClientFrame)
SERVER: tuple[type[msgspec.Struct], ...] = get_args(frames.AnyServerFrame)
Schema = dict[str, Any]


def tag(frame: type[msgspec.Struct]) -> str:
    """The `type` of a frame."""
    return str(frame.__struct_config__.tag)


def about(kind: type[msgspec.Struct]) -> str:
    """What a struct's docstring says, without its line breaks."""
    paragraphs = (inspect.getdoc(kind) or "").split("\n\n")
    return "\n\n".join(" ".join(each.split()) for each in paragraphs)


def schemas(*kinds: type) -> dict[str, Schema]:
    """The schema of each struct, and of those in it, by name."""
    _, found = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    described = {kind.__name__: kind for kind in (*kinds, frames.StartAt, frames.StartPosition)}
    for name, schema in found.items():
        if name in described:
            schema["description"] = about(described[name])
        for field in schema.get("properties", {}).values():
            # What is left out is not null: most frames may have neither.
            if field.get("default", 0) is None:
                del field["default"]
    return found
