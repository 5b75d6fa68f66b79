"""The delivery machine: how far one subscription is in one topic.

Theory of operation. Numbers are handed out in order; `cursor` is the last one handed. Each number up
to `cursor` is either settled or open, and an open one is in exactly one of two places:

- a *run*: consecutive first deliveries that went to one holder and share a deadline. A settled number
  leaves its run, at an edge or by splitting it in two. Runs are sorted by number and never overlap, so
  a window of in-order acks costs no memory per message.
- a *retry*: any delivery with a history: failed, released by a lost connection, extended, redriven.
  It is out with a holder until `at`, or waits until `at` to be handed out again.

An attempt fails by its deadline or by `nack`, never by a lost connection. Each failure doubles the wait;
failure number `max_attempts` is a death: the number is settled and stands in `take_dead`.

Everything at or below `floor` is settled, but for redriven numbers, and `floor` never moves back.

Rules for whoever edits this file: nothing here waits, reads a clock or rolls dice; memory is
proportional to what is open, never to what is settled; every operation leaves runs sorted.
"""

from __future__ import annotations

from bisect import bisect_right
from operator import attrgetter

import msgspec

from conduit.core.backoff import ack_wait_s
from conduit.core.retries import NOBODY, Retries, Retry
from conduit.errors import StateError

REASON_TIMEOUT = "ack_timeout"

_first = attrgetter("first")


class Policy(msgspec.Struct, frozen=True):
    """When an unsettled delivery fails, and how often it may."""

    ack_wait_s: float = 1.0
    max_ack_wait_s: float = 60.0
    max_attempts: int = 5


class Dead(msgspec.Struct, frozen=True):
    """A delivery whose attempts are exhausted or that was rejected."""

    seq: int
    attempts: int
    reason: str


class Run(msgspec.Struct, gc=False):
    """First deliveries `first`..`last`, all open, with one holder and one deadline."""

    first: int
    last: int
    holder: int
    deadline: float


class Snapshot(msgspec.Struct, array_like=True):
    """What is open, for storage: runs as (first, last), and the retries with their numbers."""

    runs: list[tuple[int, int]] = []
    retries: list[tuple[int, Retry]] = []


class Delivery:
    """The progress of one subscription in one topic; the module's text has the rules.

    Holders are positive numbers that the owner gives to its subscribers. `in_flight` maps each to the
    deliveries it has out; the owner passes one dict to all topics of a subscription, because a
    subscriber's window spans them.
    """

    __slots__ = (
        "_dead",
        "_first_wait_s",
        "_floor",
        "_policy",
        "cursor",
        "in_flight",
        "retries",
        "runs",
    )

    def __init__(self, policy: Policy, floor: int, in_flight: dict[int, int]) -> None:
        self.cursor = floor
        self.in_flight = in_flight
        self.runs: list[Run] = []
        self.retries = Retries()
        self._dead: list[Dead] = []
        self._floor = floor
        self.set_policy(policy)

    def set_policy(self, policy: Policy) -> None:
        """Use another policy from the next hand-out on; deadlines that run keep theirs."""
        self._policy = policy
        self._first_wait_s = self._wait_s(1)
        # A later run may now end before an earlier one; among retries each has its own deadline.
        for run in self.runs:
            for seq in range(run.first, run.last + 1):
                self.retries.put_out(seq, Retry(attempt=1), run.holder, run.deadline)
        self.runs.clear()

    # What is known --------------------------------------------------------------------------------

    @property
    def floor(self) -> int:
        """The number at and below which everything is settled, redriven ones apart."""
        return self._raise_floor()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is open."""
        return not self.runs and not self.retries.by_seq

    @property
    def open_count(self) -> int:
        """Unsettled deliveries: out or waiting."""
        return sum(run.last - run.first + 1 for run in self.runs) + len(self.retries.by_seq)

    @property
    def waiting_count(self) -> int:
        """Deliveries that wait for their next attempt."""
        return sum(retry.holder == NOBODY for retry in self.retries.by_seq.values())

    def is_open(self, seq: int) -> bool:
        """Whether the number was handed out and is not settled."""
        return seq in self.retries.by_seq or self._run_at(seq) >= 0

    def history(self, seq: int) -> Retry | None:
        """Attempts and state of an open number, or None for one that is settled or not handed out."""
        if (retry := self.retries.by_seq.get(seq)) is not None:
            return retry
        if (index := self._run_at(seq)) >= 0:
            run = self.runs[index]
            return Retry(attempt=1, at=run.deadline, holder=run.holder)
        return None

    def next_deadline(self) -> float | None:
        """The earliest time at which `expire` or `redeliver` has work, never later than that work."""
        at = self.retries.next_at()
        if not self.runs:
            return at
        deadline = self.runs[0].deadline
        return deadline if at is None or deadline < at else at

    # Handing out ----------------------------------------------------------------------------------

    def hand(self, first: int, last: int, holder: int, now: float) -> None:
        """Record the first deliveries `first`..`last`; `first` must be `cursor + 1`.

        `now` may be coarse: runs with an equal `now` and holder are merged.
        """
        if first != self.cursor + 1 or last < first:
            raise StateError(f"handed {first}..{last} after {self.cursor}")
        deadline = now + self._first_wait_s
        self.cursor = last
        self.in_flight[holder] = self.in_flight.get(holder, 0) + last - first + 1
        if self.runs:
            tail = self.runs[-1]
            if tail.last == first - 1 and tail.holder == holder and tail.deadline == deadline:
                tail.last = last
                return
        self.runs.append(Run(first, last, holder, deadline))

    def pass_over(self, last: int) -> None:
        """Nothing after `cursor` up to `last` needs settling: it went to a subscriber that does not ack,
        or the log has lost it. What is open stays so, and is found missing when it is handed out again.
        """
        self.cursor = max(self.cursor, last)

    def redeliver(self, holder: int, now: float, limit: int) -> list[tuple[int, int]]:
        """Hand out again up to `limit` deliveries that are due: (seq, attempt), oldest due first.

        They are out with `holder` from `now` on; the caller writes them.
        """
        handed: list[tuple[int, int]] = []
        if limit <= 0:
            return handed
        for seq, retry in self.retries.take_due(now):
            retry.attempt += 1
            self._put_out(seq, retry, holder, now + self._wait_s(retry.failures + 1))
            handed.append((seq, retry.attempt))
            if len(handed) == limit:
                break
        return handed

    # Settling -------------------------------------------------------------------------------------

    def ack(self, seq: int) -> bool:
        """Settle one number, out or waiting. False if it is not open."""
        runs = self.runs
        if runs and runs[0].first <= seq <= runs[0].last:
            self._leave_run(0, seq)
            return True
        if (index := self._run_at(seq)) >= 0:
            self._leave_run(index, seq)
            return True
        return self._drop_retry(seq) is not None

    def ack_through(self, seq: int) -> int:
        """Settle every open number up to and with `seq`; returns how many.

        Redriven ones that were not handed out since stay open: nobody can have meant them.
        """
        settled = 0
        while self.runs and self.runs[0].first <= seq:
            run = self.runs[0]
            last = min(run.last, seq)
            self.in_flight[run.holder] -= last - run.first + 1
            settled += last - run.first + 1
            run.first = last + 1
            if run.first > run.last:
                del self.runs[0]
        retries = self.retries.by_seq.items()
        for low in [number for number, retry in retries if number <= seq and retry.attempt > 0]:
            self._drop_retry(low)
            settled += 1
        return settled

    def nack(
        self, seq: int, now: float, delay_s: float | None, reason: str, jitter: float = 0.0
    ) -> bool:
        """The attempt failed: try again after `delay_s`, or after the attempt's wait. False if the
        number is not out."""
        retry = self._take_out(seq)
        if retry is None:
            return False
        wait_s = self._wait_s(retry.failures + 1, jitter) if delay_s is None else delay_s
        self._fail(seq, retry, reason, now + wait_s)
        return True

    def reject(self, seq: int, reason: str) -> bool:
        """Dead-letter now. False if the number is not open."""
        retry = self.history(seq)
        if retry is None:
            return False
        self.ack(seq)
        self._dead.append(Dead(seq, retry.attempt, reason))
        return True

    def extend(self, seq: int, now: float, wait_s: float | None) -> bool:
        """Move the ack deadline to `wait_s` from now, or to the attempt's wait. False if not out."""
        retry = self._take_out(seq)
        if retry is None:
            return False
        wait = self._wait_s(retry.failures + 1) if wait_s is None else wait_s
        self._put_out(seq, retry, retry.holder, now + wait)
        return True

    @property
    def has_dead(self) -> bool:
        """Whether `take_dead` has something."""
        return bool(self._dead)

    def take_dead(self) -> list[Dead]:
        """The deaths since the last call."""
        dead, self._dead = self._dead, []
        return dead

    # Time and change ------------------------------------------------------------------------------

    def expire(self, now: float, jitter: float = 0.0) -> int:
        """Fail every delivery whose ack deadline has passed; returns how many. `jitter` in [0, 1)
        spreads the next attempts over a tenth of the wait that has passed."""
        failed = 0
        while self.runs and self.runs[0].deadline <= now:
            run = self.runs.pop(0)
            failed += run.last - run.first + 1
            self.in_flight[run.holder] -= run.last - run.first + 1
            at = now + self._spread_s(1, jitter)
            for seq in range(run.first, run.last + 1):
                self._fail(seq, Retry(attempt=1), REASON_TIMEOUT, at)
        for seq, retry in self.retries.take_expired(now):
            failed += 1
            self.in_flight[retry.holder] -= 1
            self._fail(seq, retry, REASON_TIMEOUT, now + self._spread_s(retry.failures + 1, jitter))
        return failed

    def release(self, holder: int, now: float) -> int:
        """The holder is gone: what it had waits to be handed out again, at once and without having
        failed. Returns how many."""
        released = 0
        for run in self.runs:
            if run.holder == holder:
                for seq in range(run.first, run.last + 1):
                    self.retries.put_back(seq, Retry(attempt=1), now)
                released += run.last - run.first + 1
        self.runs = [run for run in self.runs if run.holder != holder]
        for seq, retry in self.retries.by_seq.items():
            if retry.holder == holder:
                self.retries.put_back(seq, retry, now)
                released += 1
        self.in_flight.pop(holder, None)
        return released

    def redrive(self, seq: int, now: float) -> bool:
        """Open a settled number again, with no attempt made. False if it is open or was never handed."""
        if seq > self.cursor or self.is_open(seq):
            return False
        self._raise_floor()
        self.retries.put_back(seq, Retry(attempt=0), now)
        return True

    def seek(self, floor: int) -> None:
        """Begin anew after `floor`; whatever was open is forgotten."""
        self.ack_through(self.cursor)
        # What is left waits, and is in nobody's count.
        self.retries = Retries()
        self.cursor = self._floor = floor

    def snapshot(self) -> Snapshot:
        """What is open, for storage beside `floor` and `cursor`."""
        runs = [(run.first, run.last) for run in self.runs]
        return Snapshot(runs, list(self.retries.by_seq.items()))

    def restore(self, floor: int, cursor: int, snapshot: Snapshot, now: float) -> None:
        """Take over stored progress. What was out waits to be handed out again at once."""
        self.seek(floor)
        self.cursor = cursor
        for first, last in snapshot.runs:
            for seq in range(first, last + 1):
                self.retries.put_back(seq, Retry(attempt=1), now)
        for seq, retry in snapshot.retries:
            at = max(retry.at, now) if retry.holder == NOBODY else now
            self.retries.put_back(seq, retry, at)

    # Parts ----------------------------------------------------------------------------------------

    def _raise_floor(self) -> int:
        lowest = self.runs[0].first if self.runs else self.cursor + 1
        for seq in self.retries.by_seq:
            # An open number at or below the floor can only have been redriven.
            if self._floor < seq < lowest:
                lowest = seq
        self._floor = lowest - 1
        return self._floor

    def _run_at(self, seq: int) -> int:
        """The index of the run that has `seq`, or -1."""
        index = bisect_right(self.runs, seq, key=_first) - 1
        return index if index >= 0 and seq <= self.runs[index].last else -1

    def _leave_run(self, index: int, seq: int) -> None:
        run = self.runs[index]
        self.in_flight[run.holder] -= 1
        if seq == run.first:
            if seq == run.last:
                del self.runs[index]
            else:
                run.first = seq + 1
        elif seq == run.last:
            run.last = seq - 1
        else:
            self.runs.insert(index + 1, Run(seq + 1, run.last, run.holder, run.deadline))
            run.last = seq - 1

    def _drop_retry(self, seq: int) -> Retry | None:
        retry = self.retries.by_seq.pop(seq, None)
        if retry is not None and retry.holder != NOBODY:
            self.in_flight[retry.holder] -= 1
        return retry

    def _take_out(self, seq: int) -> Retry | None:
        """Take a number that is out from where it is, as a retry that still names its holder."""
        retry = self.history(seq)
        if retry is None or retry.holder == NOBODY:
            return None
        self.ack(seq)
        return retry

    def _fail(self, seq: int, retry: Retry, reason: str, at: float) -> None:
        """One attempt has failed and is with nobody any more: wait for the next, or die."""
        retry.failures += 1
        if retry.failures >= self._policy.max_attempts:
            self.retries.by_seq.pop(seq, None)
            self._dead.append(Dead(seq, retry.attempt, reason))
            return
        retry.reason = reason
        self.retries.put_back(seq, retry, at)

    def _put_out(self, seq: int, retry: Retry, holder: int, deadline: float) -> None:
        self.in_flight[holder] = self.in_flight.get(holder, 0) + 1
        self.retries.put_out(seq, retry, holder, deadline)

    def _wait_s(self, attempt: int, jitter: float = 0.0) -> float:
        policy = self._policy
        return ack_wait_s(attempt, policy.ack_wait_s, policy.max_ack_wait_s, jitter)

    def _spread_s(self, attempt: int, jitter: float) -> float:
        return self._wait_s(attempt, jitter) - self._wait_s(attempt)
