"""Bytes to frames and back.

Decoding turns every fault into one error with a code and the field's name (faults.py). Server frames are
built whole, WebSocket header included: no receiver's bytes differ from another's (RFC 6455 §5.1: a server
does not mask), so what is built once is written to all.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

import msgspec

from conduit.errors import ConduitError, InvalidRequest, Unavailable
from conduit.protocol.depth import decode_deep
from conduit.protocol.faults import refuse
from conduit.protocol.frames import (
    AnyClientFrame,
    AnyServerFrame,
    ErrorFrame,
    PublishRequest,
    ServerFrame,
)
from conduit.protocol.records import Receipt
from conduit.redaction import redacted

T = TypeVar("T")

encode_json = msgspec.json.Encoder().encode

# Members of a frame that are no arrays and no objects, and its `ref`, from either end of the text.
_STRING = rb'"(?:[^"\\]|\\.)*+"'
_FLAT = rb'\s*+%b\s*+:\s*+(?:%b|[^"\[\]{},]++)\s*+' % (_STRING, _STRING)
_REF_IN_FRONT = re.compile(rb'\s*+\{(?:%b,)*?\s*+"ref"\s*+:\s*+(%b)' % (_FLAT, _STRING), re.DOTALL)
_REF_AT_END = re.compile(rb'"ref"\s*+:\s*+(%b)\s*+(?:,%b)*+\}\s*+' % (_STRING, _FLAT), re.DOTALL)


def decode_strictly(body: bytes, decode: Callable[[bytes], T]) -> T:
    """What `decode` makes of the body. Raises InvalidRequest for every fault of it."""
    try:
        # Raw payloads are skipped over, not decoded, so their UTF-8 has to be checked here.
        if not body.isascii():
            body.decode()
        return decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        refuse(error, body)


_client_frame: Callable[[bytes], AnyClientFrame] = msgspec.json.Decoder(AnyClientFrame).decode
_server_frame: Callable[[bytes | bytearray], AnyServerFrame] = msgspec.json.Decoder(
    AnyServerFrame
).decode
_publish = msgspec.json.Decoder(PublishRequest).decode


def decode_client_frame(text: bytes) -> AnyClientFrame:
    """One frame of a client; `text` is one whole WebSocket message, already checked to be UTF-8.

    Raises InvalidRequest: `malformed_json`, `unknown_frame_type`, `unknown_field`, `invalid_request`.
    """
    try:
        return _client_frame(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        refuse(error, text)


class _Ref(msgspec.Struct):
    ref: str | None = None
    message_id: str | None = None


_ref = msgspec.json.Decoder(_Ref).decode
_text = msgspec.json.Decoder(str).decode


def decode_ref(text: bytes) -> tuple[str | None, str | None]:
    """The `ref` and the `message_id` of a frame that is otherwise faulty, so that its error names it.

    Where it is not JSON, or too deep, the `ref` is found if no array and no object stands between it
    and one of the ends, in time that grows with the text; the `message_id` is not.
    """
    try:
        found_both = _ref(text)
        return found_both.ref, found_both.message_id
    except msgspec.ValidationError:
        return None, None
    except (msgspec.DecodeError, RecursionError):
        found = _REF_IN_FRONT.match(text)
        if found is None and (at := text.rfind(b'"ref"')) >= 0:
            found = _REF_AT_END.fullmatch(text, at)
    try:
        return None if found is None else _text(found[1]), None
    except msgspec.DecodeError:
        return None, None


class _Type(msgspec.Struct):
    type: msgspec.Raw = msgspec.Raw()


_type = msgspec.json.Decoder(_Type).decode
_PUBLISH_IN_FRONT = re.compile(rb"""\s*\{\s*"type"\s*:\s*"publish"\s*[,}]""")


def is_publish(text: bytes) -> bool:
    """Whether a frame that is otherwise faulty was to publish. Where it is not JSON, that is seen if its
    `type` comes first."""
    if b"publish" not in text:
        return False
    try:
        return bytes(_type(text).type) == b'"publish"'
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _PUBLISH_IN_FRONT.match(text) is not None


def decode_server_frame(text: bytes) -> AnyServerFrame:
    """One frame of a server, with its payload as it came, however deep that is.

    Raises msgspec.DecodeError, RecursionError: a client cannot go on from those.
    """
    return decode_deep(text, _server_frame)


def decode_publish(body: bytes | bytearray, header_key: str | None = None) -> PublishRequest:
    """The body of `POST /api/publish`; `header_key` is of the header `Idempotency-Key`.

    Raises InvalidRequest, also when both give a key and they differ.
    """
    try:
        # As `_strict`, without a call: this is on the way of every single publish.
        if not body.isascii():
            body.decode()
        request = _publish(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        refuse(error, body)
    if header_key is not None:
        header_key = _header_text(header_key)
        if request.idempotency_key not in (None, header_key):
            raise InvalidRequest(
                "the Idempotency-Key header and the body's idempotency_key differ",
                field="idempotency_key",
            )
        request.idempotency_key = header_key
    return request


def _header_text(value: str) -> str:
    """What was meant by the bytes of a header, which come as Latin-1: UTF-8 if they are that, so that a key
    is the same one in a header and in a body. Some clients send Latin-1."""
    if value.isascii():
        return value
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value


# Times --------------------------------------------------------------------------------------------

_second = -1
_second_text = ""
_ms = -1
_ms_text = ""


def format_time(ms: int) -> str:
    """RFC 3339 in UTC with milliseconds and `Z`."""
    global _second, _second_text, _ms, _ms_text
    if ms == _ms:
        return _ms_text
    second, rest = divmod(ms, 1000)
    if second != _second:
        # Nearly all calls fall into the second of the call before.
        _second, _second_text = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
    # A commit's messages often share their millisecond too.
    _ms, _ms_text = ms, f"{_second_text}.{rest:03d}Z"
    return _ms_text


_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII
)


def parse_time(text: str) -> int:
    """Milliseconds since the epoch of an RFC 3339 time. Raises ValueError with a sentence's end."""
    if not _RFC3339.fullmatch(text):
        hint = "; a + must be written as %2B in a query" if " " in text else ""
        raise ValueError(f"must be a time as in RFC 3339, such as 2026-01-31T12:00:00Z{hint}")
    try:
        return round(datetime.fromisoformat(text.upper()).timestamp() * 1000)
    except ValueError as error:
        raise ValueError(f"is not a time that exists: {error}") from error


# WebSocket frames ----------------------------------------------------------------------------------


def text_frame(payload: bytes) -> bytes:
    """One unmasked WebSocket text frame, so that the same bytes serve every receiver (RFC 6455 §5.2)."""
    length = len(payload)
    if length < 126:
        return b"\x81%c%b" % (length, payload)
    if length < 1 << 16:
        return b"\x81\x7e" + length.to_bytes(2, "big") + payload
    return b"\x81\x7f" + length.to_bytes(8, "big") + payload


def binary_frame(payload: bytes) -> bytes:
    """One unmasked WebSocket binary frame."""
    length = len(payload)
    if length < 126:
        return b"\x82%c%b" % (length, payload)
    if length < 1 << 16:
        return b"\x82\x7e%b%b" % (length.to_bytes(2, "big"), payload)
    return b"\x82\x7f%b%b" % (length.to_bytes(8, "big"), payload)


def close_frame(code: int, reason: str = "") -> bytes:
    """One unmasked WebSocket close frame; the reason is cut to what a control frame can hold."""
    text = reason.encode()[:123].decode(errors="ignore").encode()
    return b"\x88%c%b%b" % (len(text) + 2, code.to_bytes(2, "big"), text)


def server_frame(frame: ServerFrame) -> bytes:
    """A server frame as the WebSocket frame that carries it."""
    return text_frame(encode_json(frame))


def published_text(receipt: Receipt, ref: str | None) -> bytes:
    """A `published` frame's text; by hand, because publishers pipeline these by the thousand."""
    fields = encode_json(receipt)[1:-1]
    if ref is None:
        return b'{"type":"published",%b}' % fields
    return b'{"type":"published",%b,"ref":%b}' % (fields, encode_json(ref))


def error_frame(error: ConduitError, ref: str | None, message_id: str | None = None) -> bytes:
    """The `error` frame that tells a client of an error. What it sent of its secrets in a wrong place does
    not come back: a proxy on the way may keep it."""
    field = None if error.field is None else redacted(error.field)
    frame = ErrorFrame(error.code, redacted(error.told), ref, field, message_id, limit=error.limit)
    if isinstance(error, Unavailable):
        frame.retry_after_ms = math.ceil(error.retry_after_s * 1000)
    return server_frame(frame)
