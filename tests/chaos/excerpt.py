"""The part of a history that a finding is about, as lines for people. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.chaos.history import ClusterHistory
from tests.chaos.report import Place

LINES_COUNT_MAX = 50
# The last ones before the end.
CLAIMS_COUNT_MAX = 6
# What nodes did is told as far as it was so long before and after.
AROUND_S = 8.0


def excerpt(history: ClusterHistory, stream: str, place: Place | None) -> list[str]:
    """All that is known of a message on a stream, with what was done to the nodes around it, in its order."""
    if place is None:
        return []
    own = [
        *(each for each in history.published if (each.topic, each.seq) == place),
        *_of_stream(history, stream, place),
    ]
    times = [each.at for each in own if each.at]
    if not times:
        return []
    since, until = min(times) - AROUND_S, max(times) + AROUND_S
    around: list[Any] = [
        each for each in history.struck if each.at <= until and each.until >= since
    ]
    connections = {getattr(each, "connection", 0) for each in own}
    around += [each for each in history.left if each.connection in connections]
    claims = [each for each in history.claimed if each.stream == stream and each.at <= until]
    around += claims[-CLAIMS_COUNT_MAX:]
    told = sorted([*own, *around], key=lambda each: each.at)
    zero = since + AROUND_S
    return [f"{each.at - zero:+9.3f}  {each}" for each in told][:LINES_COUNT_MAX]


def _of_stream(history: ClusterHistory, stream: str, place: Place) -> Iterator[Any]:
    """Its deliveries, what became of them, and the connections that they came on."""
    some = [
        each
        for each in history.events
        if each.stream == stream
        and (getattr(each, "topic", None), getattr(each, "seq", 0)) == place
    ]
    connections = {getattr(each, "connection", 0) for each in some}
    for each in history.events:
        is_theirs = not hasattr(each, "topic") and getattr(each, "connection", 0) in connections
        if is_theirs:
            yield each
    yield from some
