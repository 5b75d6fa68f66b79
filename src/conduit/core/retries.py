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

    Those whose wait is over are in three ranks, by how often they were lost: never, once, more often.
    The times that are asked for must not go back.
    """

    __slots__ = (
        "_deadlines",
        "_over",
        "_stale_count",
        "_waiting",
        "by_seq",
        "out_count",
        "suspects_out_count",
    )

    def __init__(self) -> None:
        self.by_seq: dict[int, Retry] = {}
        self.out_count = 0
        """Of `by_seq`, those with a holder …"""
        self.suspects_out_count = 0
        """… and of these the suspects."""
        # (at, seq). An entry that its retry no longer agrees with is stale, and skipped.
        self._deadlines: list[tuple[float, int]] = []
        self._waiting: list[tuple[float, int]] = []
        # By rank. Apart from those that still wait, whose next time they would hide.
        self._over: tuple[list[tuple[float, int]], ...] = ([], [], [])
        # At most: some of them may have gone since.
        self._stale_count = 0

    def put_out(self, seq: int, retry: Retry, holder: int, deadline: float) -> None:
        """The delivery, which is not here, is with `holder` until `deadline`."""
        retry.holder, retry.at = holder, deadline
        self.by_seq[seq] = retry
        self.out_count += 1
        self.suspects_out_count += retry.is_suspect
        heappush(self._deadlines, (deadline, seq))

    def put_back(self, seq: int, retry: Retry, at: float) -> None:
        """The delivery, which is not here, is with nobody, and due at `at`."""
        if retry.holder != NOBODY:
            retry.last_holder = retry.holder
        retry.holder, retry.at = NOBODY, at
        self.by_seq[seq] = retry
        heappush(self._waiting, (at, seq))

    def take(self, seq: int) -> Retry | None:
        """Remove the delivery and return it, or None. It still names its holder."""
        retry = self.by_seq.pop(seq, None)
        if retry is None:
            return None
        if retry.holder != NOBODY:
            self.out_count -= 1
            self.suspects_out_count -= retry.is_suspect
        # Nothing else makes entries stale, and so a sweep is paid for by the takes before it.
        self._stale_count += 1
        if self._stale_count > _STALE_FACTOR * len(self.by_seq) + _STALE_FREE_COUNT:
            self._sweep()
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
        self._end_waits(now)
        for rank in ranks:
            heap = self._over[rank]
            while heap and heap[0][0] <= now:
                at, seq = heap[0]
                if self._rank(at, seq) == rank:
                    return seq
                heappop(heap)
        return None

    def next_at(self, now: float) -> float | None:
        """The earliest ack deadline, or end of a wait after `now`, or earlier: never later than either.

        A wait that is over is not counted: what it waits for is no longer the time.
        """
        self._end_waits(now)
        tops = [heap[0][0] for heap in (self._waiting, self._deadlines) if heap]
        return min(tops, default=None)

    def _end_waits(self, now: float) -> None:
        waiting = self._waiting
        while waiting and waiting[0][0] <= now:
            at, seq = heappop(waiting)
            rank = self._rank(at, seq)
            if rank is not None:
                heappush(self._over[rank], (at, seq))

    def _rank(self, at: float, seq: int) -> int | None:
        """Of a delivery that waits until `at`, or None if that is stale."""
        retry = self.by_seq.get(seq)
        if retry is None or retry.holder != NOBODY or retry.at != at:
            return None
        return min(retry.losses, SUSPECT_LOSSES)

    def _sweep(self) -> None:
        self._stale_count = 0
        for heap in (self._deadlines, self._waiting, *self._over):
            if len(heap) > _STALE_FACTOR * len(self.by_seq) + _STALE_FREE_COUNT:
                live = {(retry.at, number) for number, retry in self.by_seq.items()}
                heap[:] = live.intersection(heap)
                heapify(heap)
