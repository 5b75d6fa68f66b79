"""Errors on their way from one node to another: the asker gets one of the same class and code."""

from __future__ import annotations

from http import HTTPStatus

from conduit.cluster.links.frames import TEXT_MAX_CHARS, Failure
from conduit.errors import (
    ConduitError,
    Conflict,
    Forbidden,
    InvalidRequest,
    LimitReached,
    NotFound,
    OutcomeUnknown,
    Overloaded,
    RateLimited,
    RequestError,
    StateError,
    StoreUnavailable,
    Unauthenticated,
    Unavailable,
)
from conduit.protocol.codes import CODES

_BY_STATUS: dict[int, type[RequestError]] = {
    HTTPStatus.BAD_REQUEST: InvalidRequest,
    HTTPStatus.UNAUTHORIZED: Unauthenticated,
    HTTPStatus.FORBIDDEN: Forbidden,
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.CONFLICT: Conflict,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: LimitReached,
    HTTPStatus.TOO_MANY_REQUESTS: LimitReached,
}


# Those of "try again" have their own codes; of others the status of the code says which class it is.
_BY_CODE: dict[str, type[Unavailable]] = {
    each.code: each for each in (Unavailable, StoreUnavailable, OutcomeUnknown, Overloaded)
}


def failure_of(request_id: int, error: ConduitError) -> Failure:
    """What the asker is told. Of a bug it learns nothing: that is for the log of this node."""
    if isinstance(error, StateError):
        return Failure(request_id, error.code, "the other node made an error; its log has it")
    return Failure(
        request_id,
        error.code,
        error.told[:TEXT_MAX_CHARS],
        error.field,
        error.retry_after_s if isinstance(error, Unavailable) else 0.0,
        error.limit,
    )


def error_of(failure: Failure) -> ConduitError:
    """What the asker raises. A code that this node does not know, as a newer one may have it, is
    `unavailable`."""
    code, text = failure.code, failure.text
    if code not in CODES:
        return Unavailable(f"{text} ({code})")
    if code == RateLimited.code:
        limit = failure.limit or ""
        return RateLimited(text, limit=limit, retry_after_s=failure.retry_after_s)
    if code in _BY_CODE:
        return _BY_CODE[code](text, retry_after_s=failure.retry_after_s)
    status = CODES[code].status
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return Unavailable(text, code=code, retry_after_s=failure.retry_after_s)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return StateError(text)
    base = LimitReached if code == LimitReached.code else _BY_STATUS.get(status, RequestError)
    error = base(text, code=code, field=failure.field)
    error.limit = failure.limit
    return error
