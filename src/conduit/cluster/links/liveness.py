"""Whether the other side of a link lives: it is pinged each second, and has to answer. Pure.

TCP says nothing of a peer that is stopped or cut off, and a socket takes megabytes before it blocks. What the
peer sends by itself is no answer: it may still send, and not read any more.
"""

from __future__ import annotations

from collections import deque

from conduit.errors import InvalidRequest

PING_INTERVAL_S = 1.0
# Whoever has not answered a ping for so long is gone.
PING_TIMEOUT_S = 3.0


class Pings:
    """Of one link; `now` is on the clock of the deadlines, in seconds."""

    __slots__ = ("_due_at", "_out", "_sent_count", "round_trip_s")

    def __init__(self, now: float) -> None:
        self._due_at = now
        self._sent_count = 0
        # Number and time of those without an answer, at most PING_TIMEOUT_S of them.
        self._out: deque[tuple[int, float]] = deque()
        self.round_trip_s: float | None = None
        """Of the last one that was answered."""

    def next(self, now: float) -> int | None:
        """The number of a ping that is to be sent now, if one is due."""
        if now < self._due_at:
            return None
        self._due_at = now + PING_INTERVAL_S
        self._sent_count += 1
        self._out.append((self._sent_count, now))
        return self._sent_count

    def answered(self, number: int, now: float) -> float | None:
        """This one, and all before it, are answered; returns how long it took, None if that was known. Raises
        InvalidRequest for one that was not sent."""
        if number > self._sent_count:
            raise InvalidRequest(f"ping {number} is answered, and was not sent")
        took_s = None
        while self._out and self._out[0][0] <= number:
            took_s = self.round_trip_s = max(0.0, now - self._out.popleft()[1])
        return took_s

    def is_gone(self, now: float) -> bool:
        """Whether the other side has not answered for too long."""
        return bool(self._out) and now - self._out[0][1] >= PING_TIMEOUT_S
