"""The delivery machine: how far one subscription is in one topic.

Theory of operation. Numbers are handed out in order; `cursor` is the last one handed. Each number up
to `cursor` is either settled or open: out with a holder, or waiting to be handed out again
(core/open_deliveries.py).

An attempt runs from the moment it is written, so whoever calls `hand` or `hand_again` writes at once. It
fails by its deadline or by `nack`. Each failure doubles the wait; failure number `max_attempts` is a
death: the number is settled and stands in `take_dead`.

An attempt that ends with its connection has not failed. If the connection was lost, that is counted
apart, for a message that kills its consumers must end. It comes again at once, then after 1, 2, 4 …
60 s, and loss number `max_lost` is a death. Lost more than once, it is a suspect: it waits behind
everything else, and is the only suspect that is out, so that others which were only near it get a chance.

Everything at or below `floor` is settled, but for redriven numbers, and `floor` never moves back.

Rules for whoever edits this file: nothing here waits, reads a clock or rolls dice; memory is
proportional to what is open, never to what is settled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import islice

from conduit.core.backoff import lost_wait_s
from conduit.core.lost import Lost
from conduit.core.open_deliveries import OpenDeliveries
from conduit.core.pages import Moment, Page, Pages, Snapshot
from conduit.core.policy import PUT_OFF_S, REASON_LOST, REASON_TIMEOUT, Dead, Policy
from conduit.core.retries import NOBODY, Retries, Retry, Tally
from conduit.errors import StateError

# Deliveries that fail at one call: the others do at the next, so that nobody waits for all of them.
EXPIRE_MAX_COUNT = 1_000
_ALL_ARE_HEARD: Mapping[int, float] = {}


class Delivery(OpenDeliveries):
    """The progress of one subscription in one topic; the module's text has the rules.

    Holders are positive numbers that the owner gives to its subscribers. `in_flight` maps each to the
    deliveries it has out; the owner passes one dict to all topics of a subscription, because a
    subscriber's window spans them. So it does with `waiting`, which counts what waits for an attempt.
    """

    __slots__ = (
        "_first_wait_s",
        "_floor",
        "cursor",
        "dead",
        "lost",
        "pages",
        "policy",
    )

    def __init__(
        self,
        policy: Policy,
        floor: int,
        in_flight: dict[int, int],
        waiting: Tally | None = None,
        *,
        is_stored: bool = True,
    ) -> None:
        super().__init__(in_flight, waiting, is_stored=is_stored)
        self.cursor = floor
        self.pages = Pages(self.retries)
        self.lost = Lost()
        self.dead: list[Dead] = []
        """The deaths since `take_dead`. Every ack looks at it: to be read only."""
        self._floor = floor
        self.set_policy(policy)

    def set_policy(self, policy: Policy) -> None:
        """Use another policy from the next hand-out on; deadlines that run keep theirs."""
        self.policy = policy
        self._first_wait_s = self.policy.wait_s(1)
        # A later run may now end before an earlier one; among retries each has its own deadline.
        for run in self.runs.take_all():
            for seq in range(run.first, run.last + 1):
                self._put_out(seq, Retry(attempt=1), run.holder, run.deadline)

    @property
    def floor(self) -> int:
        """The number at and below which everything is settled, or known to be lost; redriven ones apart."""
        return self._raise_floor()

    # Handing out ----------------------------------------------------------------------------------

    def hand(self, first: int, last: int, holder: int, now: float) -> float:
        """Record the first deliveries `first`..`last`; `first` must be `cursor + 1`. Returns their deadline.
        `now` may be coarse: runs with an equal `now` and holder are merged."""
        if first != self.cursor + 1 or last < first:
            raise StateError(f"handed {first}..{last} after {self.cursor}")
        deadline = now + self._first_wait_s
        self.cursor = last
        self.runs.hand(first, last, holder, deadline)
        return deadline

    def handed_at(self, seq: int) -> float | None:
        """When a number was handed out that is out for the first time, and was not extended; else None."""
        run = self.runs.find(seq)
        # What is in a run was handed out under the policy that holds.
        return None if run is None else run.deadline - self._first_wait_s

    def pass_over(self, last: int) -> None:
        """Nothing after `cursor` up to `last` needs settling: it went to a subscriber that does not ack,
        or is `lost`. What is open stays so, and is found missing when it is handed out again."""
        self.cursor = max(self.cursor, last)

    def hand_again(self, seq: int, holder: int, now: float) -> Retry:
        """Hand out a number that waits; returns its history, with the attempt that begins now."""
        retry = self.retries.by_seq.get(seq)
        if retry is None or retry.holder != NOBODY:
            raise StateError(f"{seq} does not wait to be handed out again")
        self.retries.take(seq)
        retry.attempt += 1
        retry.is_late = False
        self._put_out(seq, retry, holder, now + self.policy.wait_s(retry.failures + 1))
        return retry

    # Settling -------------------------------------------------------------------------------------

    def nack(
        self, seq: int, now: float, delay_s: float | None, reason: str, jitter: float = 0.0
    ) -> bool:
        """The attempt failed: try again after `delay_s`, or after a backoff. False if the number is not out.

        At failure number `max_attempts` it dies; see `is_last`.
        """
        retry = self._take_out(seq)
        if retry is None:
            return False
        if delay_s is None:
            delay_s = self.policy.nack_wait_s(retry.failures + 1, jitter)
        self._fail(seq, retry, reason, now + delay_s)
        return True

    def reject(self, seq: int, reason: str) -> bool:
        """Dead-letter now. False if the number is not open."""
        retry = self.history(seq)
        if retry is None:
            return False
        self.ack(seq)
        self.dead.append(Dead(seq, retry.attempt, reason))
        return True

    def extend(self, seq: int, now: float, wait_s: float | None) -> bool:
        """Move the ack deadline to `wait_s` from now, or to the attempt's wait. False if not out."""
        retry = self._take_out(seq)
        if retry is None:
            return False
        wait = self.policy.wait_s(retry.failures + 1) if wait_s is None else wait_s
        retry.is_late = False
        self._put_out(seq, retry, retry.holder, now + wait)
        return True

    def is_last(self, seq: int) -> bool:
        """Whether the next failure of this open number is its death."""
        retry = self.history(seq)
        return retry is not None and self.policy.kills_failed(retry.failures + 1)

    def take_dead(self) -> list[Dead]:
        """The deaths since the last call."""
        dead, self.dead = self.dead, []
        return dead

    # Time and change ------------------------------------------------------------------------------

    def expire(
        self,
        now: float,
        jitter: float = 0.0,
        deaths_max: float = math.inf,
        heard_until: Mapping[int, float] = _ALL_ARE_HEARD,
    ) -> int:
        """Fail the deliveries whose ack deadline has passed, EXPIRE_MAX_COUNT at most; returns how many.
        `jitter` in [0, 1) spreads the next attempts over a tenth of the wait that has passed. What a holder
        has stays out for PUT_OFF_S more if it may have acked it in time (it is known what it has said by
        `heard_until`, by holder; where none is given, all is); and so does what should die beyond
        `deaths_max`."""

        def time_out(seq: int, retry: Retry, at: float) -> bool:
            """One attempt, which still names its holder, took too long: fail it, or put that off."""
            is_death = self.policy.kills_failed(retry.failures + 1)
            overdue_at = retry.at - PUT_OFF_S if retry.is_late else retry.at
            is_heard = heard_until.get(retry.holder, math.inf) >= overdue_at
            if not is_heard or (is_death and len(self.dead) >= deaths_max):
                retry.is_late = True
                self._put_out(seq, retry, retry.holder, now + PUT_OFF_S)
                return False
            self._fail(seq, retry, REASON_TIMEOUT, at)
            return True

        failed, left_count = 0, EXPIRE_MAX_COUNT
        for run in self.runs.take_expired(now, left_count):
            left_count -= run.count
            at = now + self.policy.spread_s(1, jitter)
            for seq in range(run.first, run.last + 1):
                retry = Retry(attempt=1, at=run.deadline, holder=run.holder)
                failed += time_out(seq, retry, at)
        for seq, retry in islice(self.retries.take_expired(now), left_count):
            self.in_flight[retry.holder] -= 1
            at = now + self.policy.spread_s(retry.failures + 1, jitter)
            failed += time_out(seq, retry, at)
        return failed

    def release(
        self, holder: int, now: float, *, lost: bool = False, deaths_max: float = math.inf
    ) -> int:
        """The holder is gone: what it had waits to be handed out again, without having failed.
        At once, unless its connection was `lost` and that is not the first time. Of those that were lost
        too often, `deaths_max` may die, and the others wait like the rest. Returns how many it had."""
        count = 0
        for run in self.runs.take_from(holder):
            for seq in range(run.first, run.last + 1):
                count += 1
                can_die = len(self.dead) < deaths_max
                self._give_back(seq, Retry(attempt=1), now, lost=lost, can_die=can_die)
        for seq, retry in self.retries.take_held(holder):
            count += 1
            self.in_flight[holder] -= 1
            self._give_back(seq, retry, now, lost=lost, can_die=len(self.dead) < deaths_max)
        return count

    def redrive(self, seq: int, now: float) -> bool:
        """Open a settled number again, with no attempt made. False if it is open or was never handed."""
        if not 0 < seq <= self.cursor or self.is_open(seq):
            return False
        self._raise_floor()
        self.retries.put_back(seq, Retry(attempt=0, is_redriven=True), now)
        return True

    def forget(self) -> None:
        """Everything open is gone, unsettled: whoever had something out has its credit back."""
        if self.is_idle:
            return
        self.runs.take_all()
        for retry in self.retries.by_seq.values():
            if retry.holder != NOBODY:
                self.in_flight[retry.holder] -= 1
        self.retries.waiting.add(-self.waiting_count)
        self._begin_retries()

    def seek(self, floor: int) -> None:
        """Begin anew after `floor`; whatever was open is forgotten, as it is in the store."""
        self.forget()
        self._begin_retries()
        self.lost.clear()
        self.cursor = self._floor = floor

    def snapshot(self, at: Moment) -> tuple[Snapshot, dict[int, Page]]:
        """What is to be stored beside `floor` and `cursor`: what is open, and the pages that changed since
        the last call. `pages` is to be told what became of these."""
        page, pages = self.pages.take_changes(at)
        runs = [(run.first, run.last) for run in self.runs]
        return Snapshot(runs, page=page, lost=self.lost.joined()), pages

    def restore(
        self, floor: int, cursor: int, stored: tuple[Snapshot, dict[int, Page]], at: Moment
    ) -> None:
        """Take over stored progress. What was out waits to be handed out again at once."""
        self.seek(floor)
        self.cursor = cursor
        self.pages.restore(*stored, at)
        for seq, retry in self.retries.by_seq.items():
            # Versions before did not say it of each.
            retry.is_redriven = retry.is_redriven or seq <= floor
        self.lost.restore(stored[0].lost)

    # Parts ----------------------------------------------------------------------------------------

    def _raise_floor(self) -> int:
        lowest = self.runs.lowest
        if lowest is None:
            lowest = self.cursor + 1
        # An open number at or below the floor can only have been redriven.
        retry = self.retries.lowest_above(self._floor)
        if retry is not None and retry < lowest:
            lowest = retry
        self._floor = self.lost.lowest(self._floor, lowest) - 1
        return self._floor

    def _fail(self, seq: int, retry: Retry, reason: str, at: float) -> None:
        """One attempt has failed and is with nobody any more: wait for the next, or die."""
        retry.failures += 1
        if self.policy.kills_failed(retry.failures):
            self.dead.append(Dead(seq, retry.attempt, reason))
            return
        retry.reason = reason
        self.retries.put_back(seq, retry, at)

    def _give_back(self, seq: int, retry: Retry, now: float, *, lost: bool, can_die: bool) -> None:
        """One attempt has ended with its connection and is with nobody any more."""
        retry.holder = retry.last_holder = NOBODY
        retry.losses += lost
        if lost and can_die and self.policy.kills_lost(retry.losses):
            self.dead.append(Dead(seq, retry.attempt, REASON_LOST))
            return
        self.retries.put_back(seq, retry, now + (lost_wait_s(retry.losses) if lost else 0.0))

    def _begin_retries(self) -> None:
        self.retries = Retries(self.retries.waiting, is_stored=self._is_stored)
        self.pages = Pages(self.retries)
