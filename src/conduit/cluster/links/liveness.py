"""Whether the other side of a link lives: it is pinged each second, and has to answer. Pure.

TCP says nothing of a peer that is stopped or cut off, and a socket takes megabytes before it blocks. What the
peer sends by itself is no answer: it may still send, and not read any more.
"""

from __future__ import annotations

from collections import deque

from conduit.errors import InvalidRequest

PING_INTERVAL_S = 0.5
# Whoever has not answered a ping for so long is gone.
PING_TIMEOUT_S = 3.0
# What comes on a channel counts for so long after the last ping was sent that the other side has answered. It
# has heard from this side since, and does not give it up before that is over; nor does this side's lease end,
# which is of 3 s and renewed each second. Later what it had sent may have been given to somebody else.
HEARD_MAX_S = 2.0


class Pings:
    """Of one link; `now` is on the clock of the deadlines, in seconds, and `real_now` on one that goes on
    while the process stands still."""

    __slots__ = ("_due_at", "_heard_at", "_out", "_sent_count", "round_trip_s")

    def __init__(self, now: float, real_now: float) -> None:
        self._due_at = now
        self._sent_count = 0
        # Number and times of those without an answer.
        self._out: deque[tuple[int, float, float]] = deque()
        # Since then the other side has heard from this one.
        self._heard_at = real_now
        self.round_trip_s: float | None = None
        """Of the last one that was answered."""

    def next(self, now: float, real_now: float) -> int | None:
        """The number of a ping that is to be sent now, if one is due."""
        if now < self._due_at:
            return None
        self._due_at = now + PING_INTERVAL_S
        self._sent_count += 1
        self._out.append((self._sent_count, now, real_now))
        return self._sent_count

    def answered(self, number: int, now: float) -> float | None:
        """This one, and all before it, are answered; returns how long it took, None if that was known. Raises
        InvalidRequest for one that was not sent."""
        if number > self._sent_count:
            raise InvalidRequest(f"ping {number} is answered, and was not sent")
        took_s = None
        while self._out and self._out[0][0] <= number:
            _, sent_at, self._heard_at = self._out.popleft()
            took_s = self.round_trip_s = max(0.0, now - sent_at)
        return took_s

    def counts(self, real_now: float) -> bool:
        """Whether what comes on a channel counts: see HEARD_MAX_S."""
        return real_now - self._heard_at <= HEARD_MAX_S

    def is_gone(self, now: float) -> bool:
        """Whether the other side has not answered for too long."""
        return bool(self._out) and now - self._out[0][1] >= PING_TIMEOUT_S
