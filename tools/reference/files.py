"""Which files there are, and what each of them is."""

from __future__ import annotations

import json

from conduit.server.rest.api import describe
from tools.reference.asyncapi import document
from tools.reference.errors import error_page
from tools.reference.frames import frame_page


def made() -> dict[str, str]:
    """The text of each file by its name, as of now."""
    return {
        "asyncapi.json": _json(document()),
        "errors.md": error_page(),
        "openapi.json": _json(describe()),
        "websocket-frames.md": frame_page(),
    }


def _json(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
