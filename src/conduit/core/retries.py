"""Deliveries with a history: out with a holder until a deadline, or waiting for their next attempt.

Every question has a heap of its own, so that an answer costs what it says and not what is open. A delivery
that is taken leaves its entries behind: they are stale, skipped where they are met, and swept out when
they outnumber the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush

import msgspec

# The holder of a delivery that no subscriber has.
NOBODY = 0
# Lost with its connection so often, a delivery is suspected of killing its consumers.
SUSPECT_LOSSES = 2
# Retries are stored in pages of so many numbers. They have 20 to 30 bytes, and mostly change with their
# neighbours.
PAGE_COUNT = 128
# Stale heap entries are swept out when they outnumber the live ones by this factor, plus a few.
_STALE_FACTOR = 2
_STALE_FREE_COUNT = 64


# Of those who have no retries. Nothing is ever put in.
_NO_TIMES: list[tuple[float, int]] = []
_NO_NUMBERS: list[int] = []
_NOBODY_HOLDS: dict[int, list[int]] = {}


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
    is_late: bool = False
    """Whether the attempt is overdue, and `at` is when it is judged again."""
    is_redriven: bool = False
    """Whether it was a dead letter, which has the message also when the log has it no more."""

    @property
    def is_suspect(self) -> bool:
        """Whether it was lost so often that it may be the reason."""
        return self.losses >= SUSPECT_LOSSES


class Tally:
    """A number that several count, and that may be a part of a larger one."""

    __slots__ = ("_whole", "count")

    def __init__(self, whole: Tally | None = None) -> None:
        self._whole = whole
        self.count = 0

    def add(self, change: int) -> None:
        """So many more, or fewer."""
        self.count += change
        if self._whole is not None:
            self._whole.add(change)


class Retries:
    """Retries by number, with the two orders in which time reaches them.

    `waiting` counts those that are with nobody; the owner passes one to all topics of a subscription.
    `changed` has the pages whose retries changed, for storing them; nothing, unless `is_stored`.

    Those whose wait is over are in three ranks, by how often they were lost: never, once, more often.
    The times that are asked for must not go back.
    """

    __slots__ = (
        "_deadlines",
        "_held",
        "_is_stored",
        "_numbers",
        "_over",
        "_redriven",
        "_stale_count",
        "_waits",
        "by_seq",
        "changed",
        "out_count",
        "suspects_out_count",
        "waiting",
    )

    def __init__(self, waiting: Tally | None = None, *, is_stored: bool = True) -> None:
        self.waiting = Tally() if waiting is None else waiting
        self._is_stored = is_stored
        self.changed: set[int] = set()
        self.by_seq: dict[int, Retry] = {}
        self.out_count = 0
        """Of `by_seq`, those with a holder …"""
        self.suspects_out_count = 0
        """… and of these the suspects."""
        # (at, seq). An entry that its retry no longer agrees with is stale, and skipped.
        self._deadlines = _NO_TIMES
        self._waits = _NO_TIMES
        # By rank. Apart from those that still wait, whose next time they would hide.
        self._over = (_NO_TIMES, _NO_TIMES, _NO_TIMES)
        # The lowest numbers: those that `lowest_above` has found at or below a floor, and the others.
        self._redriven = _NO_NUMBERS
        self._numbers = _NO_NUMBERS
        # Holder → numbers that it has, or had last.
        self._held = _NOBODY_HOLDS
        # At most: some of them may have gone since.
        self._stale_count = 0

    def _begin(self) -> None:
        """There is one for the first time. Most never have one, and what they have none of is shared: what
        Python's garbage collector has to visit is what a cursor costs."""
        self._deadlines, self._waits, self._over = [], [], ([], [], [])
        self._redriven, self._numbers, self._held = [], [], {}

    def put_out(self, seq: int, retry: Retry, holder: int, deadline: float) -> None:
        """The delivery, which is not here, is with `holder` until `deadline`."""
        if self._numbers is _NO_NUMBERS:
            self._begin()
        retry.holder, retry.at = holder, deadline
        self.by_seq[seq] = retry
        self.out_count += 1
        self.suspects_out_count += retry.is_suspect
        heappush(self._deadlines, (deadline, seq))
        self._put(seq, holder)

    def put_back(self, seq: int, retry: Retry, at: float) -> None:
        """The delivery, which is not here, is with nobody, and due at `at`."""
        if self._numbers is _NO_NUMBERS:
            self._begin()
        if retry.holder != NOBODY:
            retry.last_holder = retry.holder
        retry.holder, retry.at = NOBODY, at
        self.by_seq[seq] = retry
        self.waiting.add(1)
        heappush(self._waits, (at, seq))
        self._put(seq, retry.last_holder)

    def take(self, seq: int) -> Retry | None:
        """Remove the delivery and return it, or None. It still names its holder."""
        retry = self.by_seq.pop(seq, None)
        if retry is None:
            return None
        if retry.holder != NOBODY:
            self.out_count -= 1
            self.suspects_out_count -= retry.is_suspect
        else:
            self.waiting.add(-1)
        if self._is_stored:
            self.changed.add(seq // PAGE_COUNT)
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

    def take_through(self, seq: int, holder: int) -> list[Retry]:
        """Remove those up to and with `seq` that the holder has, or had last."""
        numbers, taken = self._held.get(holder), []
        while numbers and numbers[0] <= seq:
            number = heappop(numbers)
            retry = self.by_seq.get(number)
            if retry is not None and _is_of(retry, holder):
                self.take(number)
                taken.append(retry)
                # A sweep may have made another one.
                numbers = self._held.get(holder)
        return taken

    def take_held(self, holder: int) -> Iterator[tuple[int, Retry]]:
        """Remove, one by one, those that the holder has. It is gone: nothing is remembered as its own."""
        for seq in sorted(set(self._held.pop(holder, ()))):
            retry = self.by_seq.get(seq)
            if retry is not None and retry.holder == holder:
                self.take(seq)
                yield seq, retry

    def lowest(self) -> int | None:
        """The lowest number, or None."""
        lowest = None
        for heap in (self._numbers, self._redriven):
            while heap and heap[0] not in self.by_seq:
                heappop(heap)
            if heap and (lowest is None or heap[0] < lowest):
                lowest = heap[0]
        return lowest

    def lowest_above(self, floor: int) -> int | None:
        """The lowest number above the floor, which never goes back, or None."""
        heap = self._numbers
        while heap:
            if heap[0] in self.by_seq:
                if heap[0] > floor:
                    return heap[0]
                heappush(self._redriven, heap[0])
            heappop(heap)
        return None

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
        tops = [heap[0][0] for heap in (self._waits, self._deadlines) if heap]
        return min(tops, default=None)

    def _end_waits(self, now: float) -> None:
        waits = self._waits
        while waits and waits[0][0] <= now:
            at, seq = heappop(waits)
            rank = self._rank(at, seq)
            if rank is not None:
                heappush(self._over[rank], (at, seq))

    def _rank(self, at: float, seq: int) -> int | None:
        """Of a delivery that waits until `at`, or None if that is stale."""
        retry = self.by_seq.get(seq)
        if retry is None or retry.holder != NOBODY or retry.at != at:
            return None
        return min(retry.losses, SUSPECT_LOSSES)

    def _put(self, seq: int, holder: int) -> None:
        """It is here, and the holder has it, or had it last."""
        heappush(self._numbers, seq)
        if holder != NOBODY:
            heappush(self._held.setdefault(holder, []), seq)
        if self._is_stored:
            self.changed.add(seq // PAGE_COUNT)

    def _sweep(self) -> None:
        self._stale_count = 0
        for heap in (self._deadlines, self._waits, *self._over):
            if len(heap) > _STALE_FACTOR * len(self.by_seq) + _STALE_FREE_COUNT:
                live = {(retry.at, number) for number, retry in self.by_seq.items()}
                heap[:] = live.intersection(heap)
                heapify(heap)
        # Sorted, they are heaps.
        self._numbers, self._redriven, self._held = sorted(self.by_seq), [], {}
        for number in self._numbers:
            retry = self.by_seq[number]
            holder = retry.holder or retry.last_holder
            if holder != NOBODY:
                self._held.setdefault(holder, []).append(number)


def _is_of(retry: Retry, holder: int) -> bool:
    """Whether the holder has it, or had it last."""
    return holder == (retry.holder or retry.last_holder)
