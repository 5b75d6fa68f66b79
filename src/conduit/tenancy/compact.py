"""A JWS in its compact form (RFC 7515, section 7.1), taken apart strictly.

Each token has one form only: no padding, no white space, no bits that nobody reads. What a header says of
keys and where to get them is not looked at; what it says must be understood is refused.
"""

from __future__ import annotations

import json
import math
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any, NamedTuple, NoReturn

from conduit.protocol.depth import is_deeper
from conduit.tenancy.claims import Refused

JSON_MAX_DEPTH = 16

_FORM = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")


class Compact(NamedTuple):
    """The three parts as bytes, and the text that is signed."""

    header: bytes
    payload: bytes
    signature: bytes
    signed: bytes


def take_apart(token: str) -> Compact:
    """Raises Refused for what is no compact JWS, or has more than one way to be written. Its length is
    checked before."""
    form = _FORM.fullmatch(token)
    if form is None:
        raise Refused("form")
    header, payload, signature = (bytes_of(part) for part in form.groups())
    return Compact(header, payload, signature, token[: form.end(2)].encode())


def put_together(header: bytes, payload: bytes) -> str:
    """The text to be signed; the signature follows after a dot, as `text_of` has it."""
    return f"{text_of(header)}.{text_of(payload)}"


def text_of(part: bytes) -> str:
    """Base64url without padding."""
    return urlsafe_b64encode(part).rstrip(b"=").decode()


def bytes_of(text: str) -> bytes:
    """The reverse of `text_of`, for what it writes and nothing else. Raises Refused."""
    try:
        part = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raise Refused("form") from None
    # Decoding ignores the last bits. A token that has them otherwise is another text of the same token.
    if text_of(part) != text:
        raise Refused("form")
    return part


def object_of(text: bytes, max_depth: int = JSON_MAX_DEPTH) -> dict[str, Any]:
    """A JSON object in which every name is there once, all numbers are, and all text can be written again.

    Raises Refused.
    """
    try:
        found = _DECODER.decode(text.decode("utf-8"))
        if b"\\u" in text:
            # Half of a character, which JSON can name and nobody can store.
            json.dumps(found, ensure_ascii=False).encode()
    # The second is for what nests as deep as the stack.
    except (ValueError, RecursionError):
        raise Refused("form") from None
    if not isinstance(found, dict) or is_deeper(text, max_depth):
        raise Refused("form")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Which of two would count is another one for every reader.
    if len(found := dict(pairs)) != len(pairs):
        raise ValueError("a name is there twice")
    return found


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError("too large")
    return number


def _no_number(_name: str) -> NoReturn:
    raise ValueError("not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_once, parse_float=_finite, parse_constant=_no_number)
