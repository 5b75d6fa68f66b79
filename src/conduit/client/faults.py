"""What can go wrong for a user of the client.

ClientError             base of all: `code`, `detail`, `status`, `retryable`
├─ ApiError             the server refused; `code` is one of `protocol/codes.py`
├─ ConnectionFailed     the server cannot be reached, or the connection broke and may not be renewed
├─ BadAnswer            what answered does not speak Conduit's protocol
├─ NoToken              the function that gives tokens gave none
└─ UnreadablePayload    a payload is JSON that Python cannot hold; it is there as text
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator

from conduit.errors import ConduitError


class ClientError(ConduitError):
    """Base of the client's errors. `status` is the HTTP status where there was one; `retryable`:
    the same call can succeed later, not before `retry_after_s` if the server named a time."""

    code = "client_error"
    status: int | None = None
    retryable: bool = False
    retry_after_s: float | None = None


class ApiError(ClientError):
    """The server refused the request. `request_id` finds it in the server's log; `limit` names the bound of
    the tenant or the key that was reached."""

    def __init__(
        self, detail: str, *, code: str, status: int | None = None, field: str | None = None
    ) -> None:
        super().__init__(detail, code=code, field=field)
        self.status = status
        self.retryable = False
        self.request_id: str | None = None


class ConnectionFailed(ClientError):
    """No connection. Whether the server has seen the request is not known. The code is `tls_failed` or
    `certificate_verify_failed` where that is why."""

    code = "connection_failed"
    retryable = True


class NoToken(ClientError):
    """The function that gives the client its token failed, or gave none that can be sent. Whatever it raised
    is the cause."""

    code = "no_token"
    retryable = True


class BadAnswer(ClientError):
    """The answer is not one of Conduit: another server, or a proxy in between."""

    code = "bad_answer"


class UnreadablePayload(ClientError):
    """A payload is JSON that cannot be decoded here: nested too deeply, or a number without bounds."""

    code = "unreadable_payload"


def no_connection(what: str, error: BaseException) -> ConnectionFailed:
    """`what` failed because of the error; its `code` says if that was TLS, or the server's certificate."""
    code = None
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            code = "certificate_verify_failed"
        elif isinstance(cause, ssl.SSLError):
            code = "tls_failed"
    return ConnectionFailed(f"{what}: {why(error)}", code=code)


def why(error: BaseException) -> str:
    """What the system or TLS said, which stands at the end of the causes; else the first that says
    anything."""
    text = ""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLError):
            # Its numbers are not those of the system.
            return _tls_fault(cause)
        if isinstance(cause, OSError) and cause.errno:
            # Names that cannot be resolved have numbers of their own, below 0.
            return os.strerror(cause.errno) if cause.errno > 0 else str(cause.strerror)
        if isinstance(cause, TimeoutError):
            text = text or str(cause) or "timed out"
        text = text or str(cause)
    return text or type(error).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _tls_fault(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {error.verify_message}"
    if isinstance(error, ssl.SSLWantReadError):
        return "it does not answer in TLS"
    # Python's own wrappers raise some without a reason.
    reason = getattr(error, "reason", None)
    if reason == "WRONG_VERSION_NUMBER":
        # What comes was read as the head of a TLS record.
        return "it does not speak TLS"
    return f"TLS failed: {(reason or str(error)).replace('_', ' ').lower()}"
