"""Receipts and problems as HTTP: their JSON, their headers, and the bytes of a whole answer.

The front and the REST handlers build them with the same functions, so that an error looks the same
whoever answers it.
"""

from __future__ import annotations

import math
import re
import secrets
from collections.abc import Mapping
from http import HTTPStatus
from typing import Literal

from conduit.errors import ConduitError, Unavailable
from conduit.protocol.codec import encode_json
from conduit.protocol.codes import CODES
from conduit.protocol.records import Receipt
from conduit.redaction import redacted
from conduit.server.origins import Origins

PROBLEM_TYPE = "application/problem+json"
REQUEST_ID_HEADER = "x-request-id"
# Of every answer: what is sent is what the header says it is, and nobody keeps it for somebody else.
SAFE_HEADERS = {"x-content-type-options": "nosniff", "cache-control": "no-store"}
# Interim answer to `Expect: 100-continue` (RFC 9110 §15.2.1).
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

# Of a detail or a field in a problem: both may repeat what the client sent, which may be a whole body.
QUOTED_MAX_CHARS = 500
# So much of it is searched for secrets, before it is cut: not through the middle of one.
_SEARCHED_MAX_CHARS = 4 * QUOTED_MAX_CHARS

Keeping = Literal["close", "keep-alive"]
"""What an answer says of its connection, where that does not go without saying."""

_INTERNAL = "internal"
_INTERNAL_DETAIL = "the server made an error; its log has it under the request id"
# What may be copied into a header, a log line and a JSON string without a thought.
_SAFE_REQUEST_ID = re.compile(r"[A-Za-z0-9._~:/+=@-]{1,128}")
# RFC 9110 §15.5.22 and RFC 6455 §4.4: say what would have been understood.
_UPGRADE_HEADERS = {
    "upgrade": "websocket",
    "connection": "upgrade",
    "sec-websocket-version": "13",
}


def request_id(given: str | None) -> str:
    """The client's `X-Request-Id` if it is 1–128 harmless characters and no secret, else a new one."""
    if given is not None and _SAFE_REQUEST_ID.fullmatch(given) and redacted(given) == given:
        return given
    return secrets.token_hex(8)


def problem(error: ConduitError, identity: str) -> tuple[int, dict[str, object]]:
    """Status and body of an error (RFC 9457); `identity` is what `request_id` gave.

    What is the server's own fault says nothing of itself: its text is for the log, which is the
    caller's to write. `error` repeats the detail for clients that read one string.
    """
    name = error.code if error.code in CODES else _INTERNAL
    code = CODES[name]
    is_ours = code.status == HTTPStatus.INTERNAL_SERVER_ERROR
    detail = _INTERNAL_DETAIL if is_ours else _quoted(error.told)
    body: dict[str, object] = {
        "type": f"urn:conduit:problem:{name}",
        "title": code.title,
        "status": code.status,
        "code": name,
        "detail": detail,
    }
    if error.field is not None:
        body["field"] = _quoted(error.field)
    if error.limit is not None:
        body["limit"] = error.limit
    body["request_id"] = identity
    body["error"] = detail
    return code.status, body


def _quoted(text: str) -> str:
    """The text as an answer may have it: not too long, without halves of surrogate pairs, and without what a
    client sent of its secrets in a wrong place: a proxy on the way may keep answers of errors."""
    text = redacted(text[:_SEARCHED_MAX_CHARS])
    if len(text) > QUOTED_MAX_CHARS:
        text = text[: QUOTED_MAX_CHARS - 1] + "…"
    return text if text.isascii() else text.encode(errors="replace").decode()


def problem_headers(error: ConduitError, identity: str) -> dict[str, str]:
    """The headers that go with `problem`, names in lower case."""
    headers = {"content-type": PROBLEM_TYPE, REQUEST_ID_HEADER: identity}
    if isinstance(error, Unavailable):
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after_s)))
    if error.code == "unauthenticated":
        # RFC 6750 §3. Which of the reasons it is is not told.
        headers["www-authenticate"] = "Bearer"
    if error.code == "upgrade_required":
        headers |= _UPGRADE_HEADERS
    if error.code == "unsupported_media_type":
        # RFC 9110 §15.5.16 wants the same of codings and types.
        if error.field == "Content-Type":
            headers["accept"] = "application/json"
        else:
            headers["accept-encoding"] = "identity"
    return headers


class Answers:
    """Builds whole answers; one serves all connections of a server. `origin` is that of the request: it is
    named if its pages may read the answer."""

    def __init__(self, origins: Origins) -> None:
        self._cors = _lines({**SAFE_HEADERS, **origins.common})
        self._origins = origins.lines
        self.server_headers: list[tuple[bytes, bytes]] | None = None
        """The list last given to `stamp`, so that a caller can see whether there is a newer one."""
        self.stamp([])

    def stamp(self, server_headers: list[tuple[bytes, bytes]]) -> None:
        """Begin answers with these headers from now on: uvicorn's, among them each second's date."""
        self.server_headers = server_headers
        known = {name.decode(): value.decode() for name, value in server_headers}
        self._common = common = _lines(known) + self._cors
        success = f"HTTP/1.1 200 OK\r\n{common}content-type: application/json\r\n"
        self._success = success.encode()
        self._successes = {
            connection: f"{success}connection: {connection}\r\n".encode()
            for connection in ("close", "keep-alive")
        }

    def receipt(self, receipt: Receipt, origin: str | None = None) -> bytes:
        """The answer to a publish."""
        # As `_whole` does it: this is the way of every publish.
        body, allowed = encode_json(receipt), self._origins.get(origin, b"")
        return b"%b%bcontent-length: %d\r\n\r\n%b" % (self._success, allowed, len(body), body)

    def success(
        self, content: object, connection: Keeping | None, origin: str | None = None
    ) -> bytes:
        """A 200 with its content as JSON; `connection` is what it says about that, None for nothing."""
        start = self._success if connection is None else self._successes[connection]
        return _whole(start, self._origins.get(origin, b""), encode_json(content))

    def problem(
        self,
        error: ConduitError,
        identity: str,
        connection: Keeping | None,
        origin: str | None = None,
    ) -> bytes:
        """An error as `problem` and `problem_headers` say; `connection` as in `success`."""
        status, content = problem(error, identity)
        body = encode_json(content)
        headers = problem_headers(error, identity)
        if connection is not None:
            headers["connection"] = connection
        start = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{self._common}{_lines(headers)}"
        return _whole(start.encode(), self._origins.get(origin, b""), body)


def _whole(start: bytes, allowed: bytes, body: bytes) -> bytes:
    return b"%b%bcontent-length: %d\r\n\r\n%b" % (start, allowed, len(body), body)


def _lines(headers: Mapping[str, str]) -> str:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())
