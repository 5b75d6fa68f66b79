"""Everything that FastAPI or a handler refuses, as problem+json with one of our codes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from conduit.errors import (
    ConduitError,
    InvalidRequest,
    NotFound,
    RequestError,
    StateError,
    Unavailable,
)
from conduit.protocol.codec import encode_json
from conduit.server.answers import problem, problem_headers
from conduit.server.doors import DOOR, Door
from conduit.server.rest.inputs import UNKNOWN_FIELD

# What routes are made for.
METHODS = ("GET", "POST", "PATCH", "DELETE")

_PUBLISHES = frozenset({"/api/publish", "/api/publish/batch"})
# How pydantic begins: "Input should be", "String should have".
_SHOULD = re.compile(r"^[A-Z][a-z]+ should ")
_NOT_AN_OBJECT = frozenset({"model_type", "model_attributes_type", "dict_type"})


def problem_response(error: ConduitError, identity: str) -> Response:
    """The answer to an error."""
    status, body = problem(error, identity)
    return Response(encode_json(body), status, problem_headers(error, identity))


def nothing_at(path: str, door: Door) -> NotFound:
    """What is told of an address that is none, or none at this door."""
    hint = "; /docs says what there is" if door.has("/docs") else ""
    return NotFound(f"nothing is at {path}{hint}")


def install(app: FastAPI) -> None:
    """Let the app answer its errors here."""
    app.add_exception_handler(ConduitError, refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


async def refused(request: Request, error: Exception) -> Response:
    """The answer to an error, counted where what is refused is counted."""
    assert isinstance(error, ConduitError)
    broker = request.app.state.context.broker
    if request.method == "POST" and request.url.path in _PUBLISHES:
        if not getattr(request.state, "is_told", False):
            broker.refused_publishes.add(error)
    elif request.method != "GET" and isinstance(error, Unavailable | StateError):
        broker.refused_changes.add(error)
    return problem_response(error, request.state.request_id)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return await refused(request, refusal(error.errors()))


async def _http(request: Request, error: Exception) -> Response:
    """What the framework itself refuses: unknown paths and methods, bodies that are not JSON."""
    assert isinstance(error, HTTPException)
    answer = problem_response(_translated(error, request), request.state.request_id)
    if error.status_code == 405:
        answer.headers["allow"] = ", ".join(_methods_at(request))
    return answer


def _translated(error: HTTPException, request: Request) -> ConduitError:
    if error.status_code == 404:
        return nothing_at(request.url.path, request.scope[DOOR])
    if error.status_code == 405:
        return RequestError(
            f"{request.url.path} does not take {request.method}", code="method_not_allowed"
        )
    if isinstance(error.__cause__, RecursionError):
        return InvalidRequest("the JSON is nested too deeply", code="json_too_deep")
    if isinstance(error.__cause__, ValueError) and not isinstance(error.__cause__, UnicodeError):
        return InvalidRequest("the body has a number of thousands of digits")
    return InvalidRequest("the body is not JSON in UTF-8", code="malformed_json")


def _methods_at(request: Request) -> list[str]:
    """What an address takes, of all routes; the framework names those of one."""
    routes = request.app.routes
    taken = [
        method
        for method in METHODS
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes
        )
    ]
    # The routes have no HEAD: it comes to them as a GET.
    return sorted({*taken, "HEAD"} if "GET" in taken else taken)


def refusal(problems: Sequence[Mapping[str, Any]]) -> InvalidRequest:
    """The one error that stands for what pydantic found.

    An unknown field comes first: a misspelled one is missing under its right name as well.
    """
    unknown = next((each for each in problems if each["type"] == UNKNOWN_FIELD), None)
    found = unknown or problems[0]
    field = ".".join(str(part) for part in found["loc"][1:])
    if unknown is not None:
        field = f"{field}.{unknown['ctx']['name']}".lstrip(".")
        return InvalidRequest(f"unknown field {field!r}", code="unknown_field", field=field)
    if found["type"] == "json_invalid":
        reason = found["ctx"]["error"]
        return InvalidRequest(f"the body is not JSON: {reason}", code="malformed_json")
    if found["type"] == "missing":
        if not field:
            return InvalidRequest("the body is missing", code="malformed_json")
        return InvalidRequest(f"{field} is missing", field=field)
    if found["type"] in _NOT_AN_OBJECT:
        return InvalidRequest(f"{field or 'the body'} must be a JSON object", field=field or None)
    text = _SHOULD.sub("must ", found["msg"].removeprefix("Value error, "))
    text = text.removeprefix("Input ").replace("should be", "must be")
    return InvalidRequest(f"{field or 'the body'} {text}", field=field or None)
