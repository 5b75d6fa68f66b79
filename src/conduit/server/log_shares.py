"""How many lines of a kind the log has in a minute: what clients may cause as often as they like must not
fill a disk.

Lines are of one kind if they come from the same sentence in the code, with whatever names and numbers in it.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Hashable

# Of one kind, in one minute.
LINES_MAX_COUNT = 60
MINUTE_S = 60.0
# Kinds that are told apart at a time; the others are one kind.
KINDS_MAX_COUNT = 500


class _Share:
    """Of one kind, in the minute from `began_at` on."""

    __slots__ = ("began_at", "count", "last")

    def __init__(self, began_at: float) -> None:
        self.began_at = began_at
        self.count = 0
        self.last: logging.LogRecord | None = None

    def left_out(self) -> logging.LogRecord | None:
        """What is to be told of those that were left out, if there were any."""
        if self.last is None:
            return None
        last = self.last
        text = "%d more lines like this were left out, which came within a minute: %s"
        arguments = (self.count - LINES_MAX_COUNT, last.msg)
        return logging.LogRecord(last.name, last.levelno, "", 0, text, arguments, None)


class LogShares:
    """Of all kinds up to `warning`; errors are never left out. `now` is a monotonic clock in seconds."""

    def __init__(self) -> None:
        self._shares: dict[Hashable, _Share] = {}

    def admit(self, record: logging.LogRecord, now: float) -> bool:
        """Whether it is written; else it is counted."""
        if record.levelno > logging.WARNING:
            return True
        kind: Hashable = (record.name, str(record.msg))
        share = self._shares.get(kind)
        if share is None:
            if len(self._shares) >= KINDS_MAX_COUNT:
                kind = None
            share = self._shares.setdefault(kind, _Share(now))
        share.count += 1
        if share.count <= LINES_MAX_COUNT:
            return True
        share.last = record
        return False

    def over(self, now: float) -> list[logging.LogRecord]:
        """Begin new minutes where they are over; returns what is to be told of the old ones."""
        ended = [kind for kind, share in self._shares.items() if now >= share.began_at + MINUTE_S]
        told = [self._shares.pop(kind).left_out() for kind in ended]
        return [each for each in told if each is not None]

    def next_at(self) -> float:
        """When `over` has something to tell; infinite if nothing was left out."""
        waiting = (share.began_at for share in self._shares.values() if share.last is not None)
        return min(waiting, default=math.inf) + MINUTE_S
