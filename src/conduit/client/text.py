"""What an application gave, as text."""

from __future__ import annotations

from datetime import UTC, datetime

from conduit.errors import InvalidRequest
from conduit.protocol.codec import encode_json


def encoded(value: object) -> bytes:
    """The value as JSON. Raises InvalidRequest for what JSON cannot say: an object of a class of one's
    own, half of a surrogate pair, a number of thousands of digits, a list that contains itself."""
    try:
        return encode_json(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"this cannot be sent as JSON: {error}") from error


def time_text(moment: datetime | str | None, field: str) -> str | None:
    """As RFC 3339. Raises InvalidRequest for one without a time zone."""
    if not isinstance(moment, datetime):
        return moment
    if moment.tzinfo is None:
        raise InvalidRequest(f"{field} has no time zone: datetime.now(UTC) has one", field=field)
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
