"""Where a subscription begins, as an application gives it."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from conduit.errors import InvalidRequest
from conduit.protocol.codec import parse_time
from conduit.protocol.frames import StartAt, StartSpec

Start = StartSpec | datetime
"""`"new"`, `"earliest"`, a `StartAt`, or a `datetime` with a time zone: what was published since."""


def start_spec(start: Start) -> StartSpec:
    """What is sent for it. Raises InvalidRequest, before anything is sent."""
    if isinstance(start, datetime):
        if start.tzinfo is None:
            raise InvalidRequest("start has no time zone: datetime.now(UTC) has one", field="start")
        at = start.astimezone(UTC).isoformat(timespec="milliseconds")
        return StartAt(time=at.replace("+00:00", "Z"))
    try:
        spec: StartSpec = msgspec.convert(start, StartSpec)
    except (msgspec.ValidationError, TypeError) as error:
        raise InvalidRequest(
            "start must be 'new', 'earliest', a datetime, or StartAt with seq, time or positions: "
            f"{error}",
            field="start",
        ) from error
    if isinstance(spec, StartAt) and spec.time is not None:
        try:
            parse_time(spec.time)
        except ValueError as error:
            raise InvalidRequest(f"the time of start {error}", field="start.time") from error
    return spec
