"""Deliveries with a history: out with a holder until a deadline, or waiting for their next attempt."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush

import msgspec

# The holder of a delivery that no subscriber has.
NOBODY = 0
# Lost with its connection so often, a delivery is suspected of killing its consumers.
SUSPECT_LOSSES = 2
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
    losses: int = 0
    """Attempts that ended with a connection that was lost."""
    last_holder: int = NOBODY
    """Who had it last."""

    @property
    def is_suspect(self) -> bool:
        """Whether it was lost so often that it may be the reason."""
        return self.losses >= SUSPECT_LOSSES


class Retries:
    """Retries by number, with the two orders in which time reaches them.

    Those that wait are in three ranks, by how often they were lost: never, once, more often.
    """

    __slots__ = ("_deadlines", "_waiting", "by_seq", "out_count", "suspects_out_count")

    def __init__(self) -> None:
        self.by_seq: dict[int, Retry] = {}
        self.out_count = 0
        """Of `by_seq`, those with a holder …"""
        self.suspects_out_count = 0
        """… and of these the suspects."""
        # (at, seq). An entry that its retry no longer agrees with is stale, and skipped.
        self._deadlines: list[tuple[float, int]] = []
        self._waiting: tuple[list[tuple[float, int]], ...] = ([], [], [])

    def put_out(self, seq: int, retry: Retry, holder: int, deadline: float) -> None:
        """The delivery, which is not here, is with `holder` until `deadline`."""
        retry.holder, retry.at = holder, deadline
        self.by_seq[seq] = retry
        self.out_count += 1
        self.suspects_out_count += retry.is_suspect
        self._push(self._deadlines, deadline, seq)

    def put_back(self, seq: int, retry: Retry, at: float) -> None:
        """The delivery, which is not here, is with nobody, and due at `at`."""
        if retry.holder != NOBODY:
            retry.last_holder = retry.holder
        retry.holder, retry.at = NOBODY, at
        self.by_seq[seq] = retry
        self._push(self._waiting[_rank(retry)], at, seq)

    def take(self, seq: int) -> Retry | None:
        """Remove the delivery and return it, or None. It still names its holder."""
        retry = self.by_seq.pop(seq, None)
        if retry is not None and retry.holder != NOBODY:
            self.out_count -= 1
            self.suspects_out_count -= retry.is_suspect
        return retry

    def take_expired(self, now: float) -> Iterator[tuple[int, Retry]]:
        """Remove those whose ack deadline has passed."""
        while self._deadlines and self._deadlines[0][0] <= now:
            at, seq = heappop(self._deadlines)
            retry = self.by_seq.get(seq)
            if retry is not None and retry.holder != NOBODY and retry.at == at:
                self.take(seq)
                yield seq, retry

    def first_due(self, now: float, ranks: range) -> int | None:
        """The number whose wait has been over for longest, in the first of the ranks that has one."""
        for rank in ranks:
            first = self._first_waiting(rank)
            if first is not None and first[0] <= now:
                return first[1]
        return None

    def next_at(self, now: float) -> float | None:
        """The earliest ack deadline, or end of a wait after `now`, or earlier: never later than either.

        A wait that is over is not counted, nor are those behind it in its rank: what the rank waits for
        is no longer the time.
        """
        at = self._deadlines[0][0] if self._deadlines else None
        for rank in range(len(self._waiting)):
            first = self._first_waiting(rank)
            if first is not None and first[0] > now and (at is None or first[0] < at):
                at = first[0]
        return at

    def _first_waiting(self, rank: int) -> tuple[float, int] | None:
        """The earliest of those that wait in the rank: (at, seq)."""
        heap = self._waiting[rank]
        while heap:
            at, seq = heap[0]
            retry = self.by_seq.get(seq)
            if (
                retry is not None
                and retry.holder == NOBODY
                and retry.at == at
                and _rank(retry) == rank
            ):
                return heap[0]
            heappop(heap)
        return None

    def _push(self, heap: list[tuple[float, int]], at: float, seq: int) -> None:
        heappush(heap, (at, seq))
        if len(heap) > _STALE_FACTOR * len(self.by_seq) + _STALE_FREE_COUNT:
            live = {(retry.at, number) for number, retry in self.by_seq.items()}
            heap[:] = live.intersection(heap)
            heapify(heap)


def _rank(retry: Retry) -> int:
    return min(retry.losses, SUSPECT_LOSSES)
