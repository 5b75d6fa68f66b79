"""What a decoder's error means for who has sent the bytes: a code, the field at fault, and plain words."""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Callable
from typing import NoReturn, get_args

import msgspec

from conduit.errors import InvalidRequest
from conduit.protocol.frames import AnyClientFrame, StartPosition

ERROR_MAX_CHARS = 200
# Of a key that an error names.
KEY_MAX_CHARS = 100
# A body that is read a second time to find such a key.
LOOKED_AT_MAX_BYTES = 65_536

_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(?P<field>[^`]*)`?")
_MISSING_FIELD = re.compile(r"Object missing required field `(?P<field>[^`]*)`")
_WRONG_KIND = re.compile(r"Expected `(?P<wanted>[^`]*)`(?:, got `(?P<got>[^`]*)`)?")
_AT = re.compile(r" - at `\$\.?(?P<path>[^`]*)`")
# What is said of half a pair depends on what follows it, and is not always that it is one.
_ABOUT_A_SURROGATE = re.compile("truncated|hex escape|surrogate pair")
_HALF_A_PAIR = re.compile(
    rb"\\u[dD][89abAB][\da-fA-F]{2}(?!\\u[dD][c-fC-F])"
    rb"|(?<!\\u[dD][89abAB][\da-fA-F]{2})\\u[dD][c-fC-F][\da-fA-F]{2}"
)
# What the decoder puts where a key is the client's; and where a message of a batch stands.
_ANY_KEY = "[...]"
_IN_BATCH = re.compile(r"messages\[(\d+)\]\.")


def refuse(error: Exception, body: bytes | bytearray) -> NoReturn:
    """Raise the InvalidRequest that a decoder's error about `body` stands for."""
    if isinstance(error, UnicodeDecodeError):
        raise InvalidRequest("the text is not UTF-8", code="malformed_json") from error
    if isinstance(error, RecursionError):
        raise InvalidRequest("the JSON is nested too deeply", code="json_too_deep") from error
    # The text repeats names and values that the peer chose: an error must not be longer than they.
    text = str(error)[:ERROR_MAX_CHARS]
    if not isinstance(error, msgspec.ValidationError):
        raise InvalidRequest(_why_malformed(text, bytes(body)), code="malformed_json") from error
    at = _AT.search(text)
    path = _with_keys(at["path"], bytes(body)) if at else ""
    reason = text[: at.start()] if at else text
    if unknown := _UNKNOWN_FIELD.search(text):
        field = f"{path}.{unknown['field']}".lstrip(".")
        raise InvalidRequest(
            f"unknown field {field!r}", code="unknown_field", field=field
        ) from error
    if missing := _MISSING_FIELD.search(text):
        field = f"{path}.{missing['field']}".lstrip(".")
        raise InvalidRequest(f"{field} is missing", field=field) from error
    if path == "type" and reason.startswith("Invalid value"):
        text = f"{reason}; a client sends {', '.join(_TYPES)}"
        raise InvalidRequest(text, code="unknown_frame_type", field="type") from error
    if reason.startswith("Invalid enum value") and path in _CHOICES:
        reason = f"{reason}; it may be {_CHOICES[path]}"
    if wrong := _WRONG_KIND.fullmatch(reason):
        wanted = " or ".join(_KINDS.get(kind, kind) for kind in wrong["wanted"].split(" | "))
        is_given = f", and is {_KINDS.get(wrong['got'], wrong['got'])}" if wrong["got"] else ""
        reason = f"it must be {wanted}{is_given}"
    raise InvalidRequest(f"{path or 'body'}: {reason}", field=path or None) from error


def _why_malformed(text: str, body: bytes) -> str:
    if body.startswith(BOM_UTF8):
        return "a byte order mark (U+FEFF) stands in front of the JSON: send it without"
    if _ABOUT_A_SURROGATE.search(text) and (half := _HALF_A_PAIR.search(body)):
        return f"{half[0].decode()} is half of a surrogate pair"
    if text == "Input data was truncated":
        return "the JSON ends before it is complete" if body.strip() else "the body is empty"
    return text


_TYPES = sorted(str(kind.__struct_config__.tag) for kind in get_args(AnyClientFrame))
# The kinds of JSON values, as the decoder names them, and as people do.
_KINDS = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "object": "an object",
    "array": "an array",
}
# What the fields may be whose values are words.
_CHOICES = {
    "ack": "explicit or auto",
    "order": "publish or strict",
    "start": "new, earliest, or an object with seq, time or positions",
}


# Where keys are the client's, and what stands under them.
_MAPS: dict[str, Callable[[bytes | msgspec.Raw], object]] = {
    "headers": msgspec.json.Decoder(str).decode,
    "start.positions": msgspec.json.Decoder(StartPosition).decode,
}
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_elements = msgspec.json.Decoder(list[msgspec.Raw]).decode


def _with_keys(path: str, body: bytes) -> str:
    """The path with the key in it that the decoder leaves out, if the body is not too large to be looked at
    again."""
    place, gap, rest = path.partition(_ANY_KEY)
    in_batch = _IN_BATCH.match(place)
    name = place[in_batch.end() :] if in_batch else place
    if not gap or name not in _MAPS or len(body) > LOOKED_AT_MAX_BYTES:
        return path
    try:
        found: bytes | msgspec.Raw = body
        if in_batch:
            found = _elements(_fields(found)["messages"])[int(in_batch[1])]
        for step in name.split("."):
            found = _fields(found)[step]
        key = next(key for key, value in _fields(found).items() if _is_faulty(value, _MAPS[name]))
    except (msgspec.DecodeError, LookupError, StopIteration):
        return path
    return f"{place}.{key[:KEY_MAX_CHARS]}{rest}"


def _is_faulty(value: msgspec.Raw, decode: Callable[[bytes | msgspec.Raw], object]) -> bool:
    try:
        decode(value)
    except msgspec.DecodeError:
        return True
    return False
