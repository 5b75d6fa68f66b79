"""What JSON Schema says of a text."""

from __future__ import annotations

import re
from typing import Any


def fits(schema: dict[str, Any], text: str) -> bool:
    """Whether the text is one, by a schema of texts or of texts and null. In its patterns `$` is the end, and
    not also before a last newline."""
    schema = schema.get("anyOf", [schema])[0]
    pattern = re.compile(schema["pattern"].removesuffix("$") + r"\Z")
    is_as_long = schema["minLength"] <= len(text) <= schema["maxLength"]
    return is_as_long and pattern.search(text) is not None
