"""What an application gave, as JSON text."""

from __future__ import annotations

from conduit.errors import InvalidRequest
from conduit.protocol.codec import encode_json


def encoded(value: object) -> bytes:
    """The value as JSON. Raises InvalidRequest for what JSON cannot say: an object of a class of one's
    own, half of a surrogate pair, a number of thousands of digits, a list that contains itself."""
    try:
        return encode_json(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"this cannot be sent as JSON: {error}") from error
