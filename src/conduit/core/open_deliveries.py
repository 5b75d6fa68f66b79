"""Which deliveries of one subscription in one topic are open, and where each is.

An open number is in exactly one of two places:

- `runs`: first deliveries that are out and have no history (core/runs.py).
- `retries`: any delivery with a history: failed, given back, extended, redriven (core/retries.py).
  It is out with a holder until `at`, or waits until `at` to be handed out again.

What is settled is in neither. Why a delivery goes from one place to the other is decided in delivery.py.
"""

from __future__ import annotations

from collections.abc import Iterator

from conduit.core.retries import NOBODY, SUSPECT_LOSSES, Retries, Retry, Tally
from conduit.core.runs import Runs

# Ranks of waiting retries: those that come before new messages, and those that come after.
_READY = range(SUSPECT_LOSSES)
_SUSPECTS = range(SUSPECT_LOSSES, SUSPECT_LOSSES + 1)


class OpenDeliveries:
    """Finds, takes and puts them, and keeps the holders' credit in `in_flight`.

    `Delivery` is one, and does not have one: an ack is one call, and a cursor one object.
    """

    __slots__ = ("_is_stored", "in_flight", "retries", "runs")

    def __init__(
        self, in_flight: dict[int, int], waiting: Tally | None, *, is_stored: bool
    ) -> None:
        self.in_flight = in_flight
        self.runs = Runs(in_flight)
        self._is_stored = is_stored
        self.retries = Retries(waiting, is_stored=is_stored)

    # What is known --------------------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        """Whether nothing is open."""
        return not self.runs and not self.retries.by_seq

    @property
    def open_count(self) -> int:
        """Unsettled deliveries: out or waiting."""
        return self.runs.count + len(self.retries.by_seq)

    @property
    def out_count(self) -> int:
        """Deliveries that somebody has."""
        return self.runs.count + self.retries.out_count

    @property
    def waiting_count(self) -> int:
        """Deliveries that wait for their next attempt."""
        return len(self.retries.by_seq) - self.retries.out_count

    def is_open(self, seq: int) -> bool:
        """Whether the number was handed out and is not settled."""
        return seq in self.retries.by_seq or self.runs.find(seq) is not None

    def lowest_open(self) -> int | None:
        """The lowest unsettled number, or None."""
        lowest, other = self.runs.lowest, self.retries.lowest()
        return other if lowest is None or (other is not None and other < lowest) else lowest

    def open_numbers(self, last: int | None = None) -> Iterator[int]:
        """All of them, or those up to `last`, in no order. Nothing may change meanwhile."""
        for run in self.runs:
            if last is not None and run.last >= last:
                yield from range(run.first, last + 1)
                break
            yield from range(run.first, run.last + 1)
        yield from (seq for seq in self.retries.by_seq if last is None or seq <= last)

    def history(self, seq: int) -> Retry | None:
        """Attempts and state of an open number, or None for one that is settled or not handed out."""
        if (retry := self.retries.by_seq.get(seq)) is not None:
            return retry
        if (run := self.runs.find(seq)) is not None:
            return Retry(attempt=1, at=run.deadline, holder=run.holder)
        return None

    def next_deadline(self, now: float) -> float | None:
        """The earliest ack deadline, or end of a wait after `now`; perhaps an earlier time, never a later
        one. It is told even if something else is due already: in strict order that one must wait."""
        deadline = self.runs.deadline
        if not self.retries.by_seq:
            return deadline
        at = self.retries.next_at(now)
        if at is None or deadline is None:
            return deadline if at is None else at
        return min(at, deadline)

    def due(self, now: float) -> int | None:
        """The number to be handed out again next, before what is new; None if there is none."""
        return self.retries.first_due(now, _READY)

    def due_suspect(self, now: float) -> int | None:
        """The suspect to be handed out next, after what is new; None while one is out."""
        if self.retries.suspects_out_count:
            return None
        return self.retries.first_due(now, _SUSPECTS)

    # Settling -------------------------------------------------------------------------------------

    def ack(self, seq: int) -> bool:
        """Settle one number, out or waiting. False if it is not open."""
        return self.runs.take(seq) or self._drop_retry(seq) is not None

    def ack_through(self, seq: int, holder: int) -> int:
        """Settle every number up to and with `seq` that `holder` has, or had last before it failed.
        Returns how many."""
        settled = self.runs.take_through(seq, holder)
        for retry in self.retries.take_through(seq, holder):
            settled += 1
            if retry.holder != NOBODY:
                self.in_flight[holder] -= 1
        return settled

    # For whoever decides --------------------------------------------------------------------------

    def _take_out(self, seq: int) -> Retry | None:
        """Take a number that is out from where it is, as a retry that still names its holder."""
        retry = self.history(seq)
        if retry is None or retry.holder == NOBODY:
            return None
        self.ack(seq)
        return retry

    def _put_out(self, seq: int, retry: Retry, holder: int, deadline: float) -> None:
        self.in_flight[holder] = self.in_flight.get(holder, 0) + 1
        self.retries.put_out(seq, retry, holder, deadline)

    def _drop_retry(self, seq: int) -> Retry | None:
        retry = self.retries.take(seq)
        if retry is not None and retry.holder != NOBODY:
            self.in_flight[retry.holder] -= 1
        return retry
