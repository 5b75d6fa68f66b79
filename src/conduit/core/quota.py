"""How many bytes connections keep in memory, and who has to give way when it is too much.

What is counted is what a peer makes us keep: what it has begun to send and not ended, and what it was sent
and has not taken. Whoever keeps something says how much it is now, not by how much it has changed, so a
count that was wrong once is right with the next look. When all of it together is too much, those give way
first who make no progress: who neither send more of what they have begun nor take of what they were sent, at
the least rate. Of these the address goes first that keeps most, and of its connections those that have
kept most for longest without progress. Only then come those who go on, in the same order. So a large body
that comes steadily is not closed for thousands of small ones that stand still.
"""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Callable
from heapq import heapify, heappop, heapreplace
from typing import Generic, TypeVar

# Whoever keeps something: a key of a dict.
W = TypeVar("W")

# Down to this part of the bound is cleared at once, so that the next byte does not ask again who is next.
CLEARED_TO = 0.875
# Age counts up to here: else a little that is kept for a day would outweigh what an attack brings.
AGE_MAX_S = 60.0
# Who has made no progress for longer stands still: has sent nothing, or taken nothing, which is seen once a
# second, and of WebSockets each fourth.
STILL_SENDING_S, STILL_TAKING_S = 2.0, 5.0


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

    @property
    def comes_in(self) -> bool:
        """Whether it is progress if there is more of it, and not if there is less."""
        return self in (Kind.REQUEST, Kind.MESSAGE)

    @property
    def still_s(self) -> float:
        """After so long without progress one stands still."""
        return STILL_SENDING_S if self.comes_in else STILL_TAKING_S


class _Kept:
    """What one has: by kind the size, and since when there has been no progress."""

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


class _Leaving(Generic[W]):
    """One that could leave, and its place among those of its address."""

    __slots__ = ("kind", "size_bytes", "weight", "who")

    def __init__(self, who: W, kept: _Kept, kind: Kind, weight: float) -> None:
        self.who, self.kind, self.weight = who, kind, weight
        self.size_bytes = kept.total_bytes


class Quota(Generic[W]):
    """Counts what each of those who draw on it keeps, and bounds each and all together.

    After `keep` has returned True, call `to_give_way` and make every one of them let go. `address` says whose
    connection one is.
    """

    def __init__(
        self,
        max_bytes: int,
        each_max_bytes: int,
        min_bytes_per_s: float,
        address: Callable[[W], str],
    ) -> None:
        self.max_bytes = max_bytes
        self._each_max_bytes = each_max_bytes
        self._min_bytes_per_s = min_bytes_per_s
        self._address = address
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
            moved_bytes = size - before if kind.comes_in else before - size
            if moved_bytes > 0:
                # So many seconds of the least rate, but none of those to come.
                since = min(now, since + moved_bytes / self._min_bytes_per_s)
            kept.sizes[kind] = (size, since)
        else:
            kept.sizes.pop(kind, None)
            if not kept.sizes:
                del self._kept[who]
        return size > before and (
            self.total_bytes > self.max_bytes or kept.total_bytes > self._each_max_bytes
        )

    def moved(self, who: W, kind: Kind, now: float) -> None:
        """There was progress of this kind that the size does not show."""
        kept = self._kept.get(who)
        if kept is not None and kind in kept.sizes:
            kept.sizes[kind] = (kept.sizes[kind][0], now)

    def let_go(self, who: W) -> None:
        """`who` keeps nothing any more. Idempotent."""
        kept = self._kept.pop(who, None)
        if kept is not None:
            for kind, (size, _) in kept.sizes.items():
                self._add(kept, kind, -size)

    def to_give_way(self, now: float) -> list[tuple[W, Kind]]:
        """Who has to let go, and of what they have most; they count as having done so.

        All that have more than one may; and if all together is too much, others until it is `CLEARED_TO` of
        the bound: first those who stand still.
        """
        over, still, moving = self._sorted_out(now)
        is_full = self.total_bytes > self.max_bytes
        leaving = [(each.who, each.kind) for each in over]
        for each in over:
            self.let_go(each.who)
        if is_full:
            for some in (still, moving):
                leaving += self._clear(some)
        return leaving

    def _sorted_out(self, now: float) -> tuple[list[_Leaving[W]], ...]:
        """Those who have more than one may, those who stand still, and those who go on."""
        sorted_out: tuple[list[_Leaving[W]], ...] = ([], [], [])
        for who, kept in self._kept.items():
            weights = kept.weights(now)
            kind = max(weights, key=weights.__getitem__)
            if kept.total_bytes > self._each_max_bytes:
                place = 0
            else:
                place = 1 if now - kept.sizes[kind][1] > kind.still_s else 2
            sorted_out[place].append(_Leaving(who, kept, kind, sum(weights.values())))
        return sorted_out

    def _clear(self, some: list[_Leaving[W]]) -> list[tuple[W, Kind]]:
        """Let some of these go until there is room: each time of the address that has most the heaviest."""
        by_address: dict[str, list[_Leaving[W]]] = defaultdict(list)
        for each in sorted(some, key=lambda each: each.weight):
            by_address[self._address(each.who)].append(each)
        line = [(-sum(e.size_bytes for e in own), name) for name, own in by_address.items()]
        heapify(line)
        leaving = []
        while line and self.total_bytes > self.max_bytes * CLEARED_TO:
            minus_bytes, name = line[0]
            gone = by_address[name].pop()
            leaving.append((gone.who, gone.kind))
            self.let_go(gone.who)
            if by_address[name]:
                heapreplace(line, (minus_bytes + gone.size_bytes, name))
            else:
                heappop(line)
        return leaving

    def _add(self, kept: _Kept, kind: Kind, change_bytes: int) -> None:
        kept.total_bytes += change_bytes
        self.total_bytes += change_bytes
        self.bytes_by_kind[kind] += change_bytes
