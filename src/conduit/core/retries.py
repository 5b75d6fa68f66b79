"""Deliveries with a history: out with a holder until a deadline, or waiting for their next attempt."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush

import msgspec

# The holder of a delivery that no subscriber has.
NOBODY = 0
# Stale heap entries are swept out when they outnumber the live ones by this factor, plus a few.
_STALE_FACTOR = 2
_STALE_FREE_COUNT = 64


class Retry(msgspec.Struct, gc=False, array_like=True):
    """An open delivery with a history. `attempt` is the last one handed out, 0 for none."""

    attempt: int
    at: float = 0.0
    """With a holder: the ack deadline. With NOBODY: the earliest time of the next attempt."""
    holder: int = NOBODY
    reason: str = ""
    """Why the attempt before failed."""
    failures: int = 0
    """Attempts that failed; the others ended with their connection."""


class Retries:
    """Retries by number, with the two orders in which time reaches them."""

    __slots__ = ("_deadlines", "_waiting", "by_seq")

    def __init__(self) -> None:
        self.by_seq: dict[int, Retry] = {}
        # (at, seq). An entry that its retry no longer agrees with is stale, and skipped.
        self._deadlines: list[tuple[float, int]] = []
        self._waiting: list[tuple[float, int]] = []

    def put_out(self, seq: int, retry: Retry, holder: int, deadline: float) -> None:
        """The delivery is with `holder` until `deadline`."""
        retry.holder, retry.at = holder, deadline
        self.by_seq[seq] = retry
        self._push(self._deadlines, deadline, seq)

    def put_back(self, seq: int, retry: Retry, at: float) -> None:
        """The delivery is with nobody, and due at `at`."""
        retry.holder, retry.at = NOBODY, at
        self.by_seq[seq] = retry
        self._push(self._waiting, at, seq)

    def take_expired(self, now: float) -> Iterator[tuple[int, Retry]]:
        """Those whose ack deadline has passed. They must be put back or dropped by the receiver."""
        while self._deadlines and self._deadlines[0][0] <= now:
            at, seq = heappop(self._deadlines)
            retry = self.by_seq.get(seq)
            if retry is not None and retry.holder != NOBODY and retry.at == at:
                yield seq, retry

    def take_due(self, now: float) -> Iterator[tuple[int, Retry]]:
        """Those whose wait is over, earliest first. They must be put out by the receiver."""
        while self._waiting and self._waiting[0][0] <= now:
            at, seq = heappop(self._waiting)
            retry = self.by_seq.get(seq)
            if retry is not None and retry.holder == NOBODY and retry.at == at:
                yield seq, retry

    def next_at(self) -> float | None:
        """The earliest time at which one of the two has something, or earlier."""
        return min((heap[0][0] for heap in (self._deadlines, self._waiting) if heap), default=None)

    def _push(self, heap: list[tuple[float, int]], at: float, seq: int) -> None:
        heappush(heap, (at, seq))
        if len(heap) > _STALE_FACTOR * len(self.by_seq) + _STALE_FREE_COUNT:
            live = {(retry.at, number) for number, retry in self.by_seq.items()}
            heap[:] = live.intersection(heap)
            heapify(heap)
