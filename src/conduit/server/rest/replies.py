"""Answers: msgspec records as JSON, with stored payloads byte for byte; and their documentation."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import Response

from conduit.protocol.codec import encode_json, format_time
from conduit.protocol.codes import CODES

JSON = "application/json"
PROBLEM_JSON = "application/problem+json"


class Problem(msgspec.Struct):
    """What every error is answered with (RFC 9457)."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    error: str
    """The same as `detail`."""
    request_id: str
    field: str | None = None
    limit: str | None = None
    """The bound of the tenant or the key that was reached."""


def reply(body: object, status: int = 200) -> Response:
    """A JSON answer; `msgspec.Raw` fields are inserted as they are."""
    return Response(encode_json(body), status, media_type=JSON)


def optional_time(ms: int | None) -> str | None:
    """RFC 3339, or null."""
    return None if ms is None else format_time(ms)


def answers(shape: type, *codes: str, status: int = 200) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route: the shape of success and the codes it may fail with."""
    return {status: _content("", JSON, shape.__name__), **fails(*codes)}


def fails(*codes: str) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route without a body: the codes it may fail with, by status."""
    by_status: dict[int | str, list[str]] = {}
    for code in codes:
        by_status.setdefault(CODES[code].status, []).append(f"`{code}`: {CODES[code].title}.")
    return {
        status: _content(" ".join(lines), PROBLEM_JSON, Problem.__name__)
        for status, lines in by_status.items()
    }


def _content(description: str, media_type: str, shape: str) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{shape}"}
    return {"description": description or "Done", "content": {media_type: {"schema": schema}}}


# Of every route; that there is a `default` keeps FastAPI from documenting its own 422.
ANY_FAILURE: dict[int | str, dict[str, Any]] = {
    400: _content("The request is not understood.", PROBLEM_JSON, Problem.__name__),
    "default": _content("Any other error.", PROBLEM_JSON, Problem.__name__),
}
