"""How many bytes connections keep in memory, and who has to give way when it is too much.

What is counted is what a peer makes us keep: what it has begun to send and not ended, and what it was sent
and has not taken. Whoever keeps something says how much it is now, not by how much it has changed, so a
count that was wrong once is right with the next look. When all of it together is too much, those give way
who have kept most for longest: size times age. A peer that sends and reads at an ordinary pace is done
within a second and weighs little; one that holds a large body open weighs more with every second.
"""

from __future__ import annotations

import enum
from typing import Generic, TypeVar

# Whoever keeps something: a key of a dict.
W = TypeVar("W")

# Down to this part of the bound is cleared at once, so that the next byte does not ask again who is next.
CLEARED_TO = 0.875
# Age counts up to here: else a little that is kept for a day would outweigh what an attack brings.
AGE_MAX_S = 60.0


class Kind(enum.Enum):
    """What bytes are kept for; the value is the label of a metric."""

    REQUEST = "request"
    """An HTTP request that has not come in whole, or waits for its turn."""
    ANSWER = "answer"
    """Answers over HTTP that the peer has not taken."""
    MESSAGE = "message"
    """A WebSocket message that has not come in whole, and the buffer that it is read into; and a start that
    waits for its turn."""
    QUEUE = "queue"
    """Frames that a slow WebSocket has not taken, and gaps that wait for it."""


class _Kept:
    """What one has: by kind the size, and since when it is more than nothing."""

    __slots__ = ("sizes", "total_bytes")

    def __init__(self) -> None:
        self.sizes: dict[Kind, tuple[int, float]] = {}
        self.total_bytes = 0

    def weights(self, now: float) -> dict[Kind, float]:
        """Byte-seconds by kind; what has just come counts as a second old."""
        return {
            kind: size * (1.0 + min(now - since, AGE_MAX_S))
            for kind, (size, since) in self.sizes.items()
        }


class Quota(Generic[W]):
    """Counts what each of those who draw on it keeps, and bounds each and all together.

    After `keep` has returned True, call `to_give_way` and make every one of them let go.
    """

    def __init__(self, max_bytes: int, each_max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._each_max_bytes = each_max_bytes
        self._kept: dict[W, _Kept] = {}
        self.total_bytes = 0
        self.bytes_by_kind = dict.fromkeys(Kind, 0)

    def keep(self, who: W, kind: Kind, size: int, now: float) -> bool:
        """`who` keeps `size` bytes of this kind now. True if somebody has to give way."""
        kept = self._kept.get(who)
        if kept is None:
            if not size:
                return False
            kept = self._kept[who] = _Kept()
        before, since = kept.sizes.get(kind, (0, now))
        self._add(kept, kind, size - before)
        if size:
            kept.sizes[kind] = (size, since)
        else:
            kept.sizes.pop(kind, None)
            if not kept.sizes:
                del self._kept[who]
        return size > before and (
            self.total_bytes > self.max_bytes or kept.total_bytes > self._each_max_bytes
        )

    def let_go(self, who: W) -> None:
        """`who` keeps nothing any more. Idempotent."""
        kept = self._kept.pop(who, None)
        if kept is not None:
            for kind, (size, _) in kept.sizes.items():
                self._add(kept, kind, -size)

    def to_give_way(self, now: float) -> list[tuple[W, Kind]]:
        """Who has to let go, and of what they have most; they count as having done so.

        All that have more than one may; and if all together is too much, those who have kept most for
        longest, until it is `CLEARED_TO` of the bound.
        """
        weighed = []
        for who, kept in self._kept.items():
            weights = kept.weights(now)
            kind = max(weights, key=weights.__getitem__)
            is_over = kept.total_bytes > self._each_max_bytes
            weighed.append((is_over, sum(weights.values()), who, kind))
        weighed.sort(key=lambda each: each[:2], reverse=True)
        is_full = self.total_bytes > self.max_bytes
        leaving = []
        for is_over, _, who, kind in weighed:
            if not is_over and not (is_full and self.total_bytes > self.max_bytes * CLEARED_TO):
                break
            leaving.append((who, kind))
            self.let_go(who)
        return leaving

    def _add(self, kept: _Kept, kind: Kind, change_bytes: int) -> None:
        kept.total_bytes += change_bytes
        self.total_bytes += change_bytes
        self.bytes_by_kind[kind] += change_bytes
