"""One subscription in one topic: which numbers are open, where each is, and what may happen to it.

A number below `next` is settled or open. An open one is *out* with a subscriber until its deadline, or
*waits*: it may come again from `earliest` on, and must have come again by `latest` if there is credit
(redeliveries carry some jitter, which nobody outside can know).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.model.oracle.delivery import Death, Delivery, Place, Rules
from tests.model.oracle.log import Topic, Violation

if TYPE_CHECKING:
    from tests.model.oracle.subscription import Holder

JITTER = 0.1
FIRST_LOSS_WAIT_S = 1.0
LOSS_WAIT_MAX_S = 60.0
# What may not die now is out for so much longer.
PUT_OFF_S = 1.0


class Line:
    """The way of one subscription through one topic."""

    def __init__(self, topic: Topic, floor: int) -> None:
        self.topic = topic
        self.next = floor + 1
        self.low: int | None = None
        """A lower floor: it may begin anywhere from there on. Others may have written what is above."""
        self.open: dict[int, Delivery] = {}
        self.maybe: set[int] = set()
        """Numbers whose redrive ended without an answer: they may be open."""
        self.redriven: set[int] = set()
        """Numbers that were redriven, and of that nothing is stored yet."""
        self.reopened: set[int] = set()
        """Numbers that are known to be redriven since that was asked for last."""
        self.died: set[int] = set()
        """Numbers that are known to be dead, and not redriven since."""
        self.asked: set[int] = set()
        """Numbers that a call or a job may redrive at any time."""
        self.sought: set[int] = set()
        """Of these, those that a seek may have forgotten again after they were redriven."""
        self.put_off: set[int] = set()
        """Numbers that may die at any time, if a deletion does not keep them from it."""
        self.is_late = bool(topic.going)
        """Whether it began when the topic was on its way out: the broker did not see it then."""
        self.lost: dict[tuple[int, int], None] = {}
        """What was told to be lost, and may not have been heard: each subscriber is told."""
        self.moves = 0
        """How often it was moved by a seek, and that was answered to the broker."""
        self.moves_told = 0
        """Of these, those after which whoever asked was told that it is done."""
        self.stored = Place(self.next, floor)
        self._floor = floor
        self.begin(floor)

    def __str__(self) -> str:
        return f"{self.topic.name}#{self.topic.topic_id}"

    # What is known --------------------------------------------------------------------------------

    @property
    def floor(self) -> int:
        """At and below it everything is settled but what was redriven."""
        above = [seq for seq in self.open if seq > self._floor]
        above += [max(first, self._floor + 1) for first, last in self.lost if last > self._floor]
        self._floor = min(above, default=self.next) - 1
        return self._floor

    @property
    def out(self) -> list[int]:
        """The numbers that are with somebody."""
        return [seq for seq, one in self.open.items() if one.holder is not None]

    def owed(self, now: float, rules: Rules) -> int | None:
        """A number that somebody with credit must have been given by now, or None."""
        if rules.is_strict and self.open:
            lowest = min(self.open)
            is_due = not self.out and self.open[lowest].is_due(now)
            return lowest if is_due else None
        due = [one for one in self.open.items() if one[1].is_due(now)]
        for seq, one in due:
            if not one.is_suspect:
                return seq
        if self.next <= self.topic.last_known:
            return self.next
        if due and not any(self.open[seq].is_suspect for seq in self.out):
            return due[0][0]
        return None

    # Handing out ----------------------------------------------------------------------------------

    def give(self, seq: int, attempt: int, holder: Holder, now: float, rules: Rules) -> None:
        """A subscriber was given this."""
        if self.may_be_redriven(seq):
            self.redrive(seq, now)
        one = self.open.get(seq)
        if one is None:
            self._check_first(seq, attempt)
            self._check_strict(seq, rules)
            self.next = seq + 1
            if rules.is_auto:
                return
            one = self.open[seq] = Delivery(0)
        else:
            self._check_again(seq, one, attempt, now)
            self._check_strict(seq, rules)
            if rules.is_auto:
                self.settle(seq)
                return
        one.attempt = attempt
        self._put_out(one, holder, now + rules.wait(one.failures + 1))

    def _check_first(self, seq: int, attempt: int) -> None:
        self.begins_with(seq)
        if seq < self.next:
            raise Violation(f"{self} {seq} came again, and it is settled")
        if seq > self.next:
            raise Violation(f"{self} {seq} came, and {self.next} did not, without a gap")
        if attempt != 1:
            raise Violation(f"{self} {seq} came for the first time as attempt {attempt}")

    def _check_again(self, seq: int, one: Delivery, attempt: int, now: float) -> None:
        if one.holder is not None:
            raise Violation(f"{self} {seq} came to a second one while it is out")
        if now < one.earliest:
            raise Violation(f"{self} {seq} came {one.earliest - now:.3f} s too early")
        if attempt != one.attempt + 1:
            raise Violation(f"{self} {seq} came as attempt {attempt} after {one.attempt}")

    def _check_strict(self, seq: int, rules: Rules) -> None:
        if not rules.is_strict:
            return
        others = [number for number in self.open if number != seq]
        if any(number < seq or self.open[number].holder is not None for number in others):
            raise Violation(f"{self} {seq} came, and {sorted(others)} are open: not strict")

    # Settling -------------------------------------------------------------------------------------

    def settle(self, seq: int) -> Delivery:
        """It is done with, whatever became of it."""
        one = self.open.pop(seq)
        self.put_off.discard(seq)
        self._take_in(one)
        return one

    def fail(self, seq: int, wait: tuple[float, float], reason: str, rules: Rules) -> Death | None:
        """The attempt failed; the next one is due between the two times, unless it was the last."""
        one = self.open[seq]
        one.failures += 1
        if one.failures >= rules.max_attempts:
            return Death(seq, self.settle(seq).attempt, reason)
        self._wait(one, *wait)
        return None

    def extend(self, seq: int, deadline: float) -> None:
        """It may stay out until then."""
        self.open[seq].earliest = deadline

    def expire(self, now: float, rules: Rules, *, is_going: bool) -> Iterator[Death]:
        """Deadlines up to now have passed. While the topic or the subscription `is_going` nothing dies."""
        late = [seq for seq in self.out if self.open[seq].earliest <= now]
        for seq in late:
            one = self.open[seq]
            if is_going and one.failures + 1 >= rules.max_attempts:
                one.earliest = now + PUT_OFF_S
                self.put_off.add(seq)
                continue
            latest = now + JITTER * rules.wait(one.failures + 1)
            death = self.fail(seq, (one.earliest, latest), "ack_timeout", rules)
            if death is not None:
                yield death

    def release(self, holder: Holder, now: float) -> None:
        """The holder left in good order: what it had may come again at once."""
        for one in self.open.values():
            if one.holder is holder:
                self._wait(one, now, now)

    def lose(self, holder: Holder, now: float, rules: Rules, *, is_going: bool) -> Iterator[Death]:
        """The holder's connection broke. While the topic or the subscription `is_going` nothing dies."""
        lost = [seq for seq, one in self.open.items() if one.holder is holder]
        for seq in lost:
            one = self.open[seq]
            one.losses += 1
            if rules.max_lost is not None and one.losses >= rules.max_lost:
                if is_going:
                    self.put_off.add(seq)
                    self._wait(one, now, now + LOSS_WAIT_MAX_S)
                    continue
                yield Death(seq, self.settle(seq).attempt, "connection_lost")
                continue
            wait_s = 0.0
            if one.losses > 1:
                wait_s = min(FIRST_LOSS_WAIT_S * 2.0 ** (one.losses - 2), LOSS_WAIT_MAX_S)
            self._wait(one, now + wait_s, now + wait_s)

    def may_be_redriven(self, seq: int) -> bool:
        """Whether it is settled, and a redrive may have opened it again."""
        is_open = seq >= self.next or seq in self.open
        return not is_open and self.is_doubtful(seq)

    def is_doubtful(self, seq: int) -> bool:
        """Whether it may be redriven at any time, or may have been."""
        return seq in self.maybe or seq in self.asked

    def mark(self, seq: int, now: float, *, is_certain: bool) -> None:
        """Its dead letter is to be marked as redriven: at the latest now it was opened again. It is not
        `is_certain` that this was not another redrive's."""
        if seq in self.reopened or not self.may_be_redriven(seq):
            return
        if is_certain and seq not in self.sought:
            self.redrive(seq, now)
        else:
            self.maybe.add(seq)
            self.died.discard(seq)

    # Jumping --------------------------------------------------------------------------------------

    def redrive(self, seq: int, now: float) -> None:
        """A dead delivery is open again."""
        self.maybe.discard(seq)
        self.redriven.add(seq)
        self.reopened.add(seq)
        self.died.discard(seq)
        assert self.floor >= 0
        self.open[seq] = Delivery(0, earliest=now, latest=now, is_redriven=True)

    def learn_floor(self, floor: int, now: float) -> None:
        """The broker's floor: where it is lower than what is known, a redrive that is under way keeps it."""
        lowest = floor + 1
        if floor >= self.floor:
            return
        if lowest in self.open:
            self._floor = floor
        elif self.is_doubtful(lowest):
            self.redrive(lowest, now)
            self._floor = floor

    def seek(self, floor: int) -> None:
        """Begin anew after `floor`; what was open is forgotten."""
        for seq in tuple(self.open):
            self.settle(seq)
        self.next, self._floor = floor + 1, floor
        self.lost.clear()
        self.redriven.clear()
        self.died.clear()
        self.sought |= self.asked
        self.begin(floor)

    def begin(self, floor: int) -> None:
        """It begins after `floor`, or after what the broker knows, if others have written more."""
        self.low = self.topic.last_known if self.topic.last_known < floor else None

    def begins_with(self, seq: int) -> None:
        """This is the first number of it that somebody hears of."""
        if self.low is not None and self.low < seq < self.next:
            if not self.moves and self.stored == Place(self.next, self._floor):
                # The store has known better than the model where it began.
                self.stored = Place(seq, seq - 1)
            self.next, self._floor = seq, seq - 1
        self.low = None

    def gap(self, from_seq: int, to_seq: int) -> None:
        """A subscriber was told that these cannot be given."""
        if not self.topic.is_gone(to_seq):
            raise Violation(f"{self} told a gap {from_seq}..{to_seq}, and it is stored")
        if self._is_lost(from_seq, to_seq):
            return
        self.begins_with(from_seq)
        if from_seq == self.next:
            self.next = to_seq + 1
        elif from_seq == to_seq and (from_seq in self.open or self.is_doubtful(from_seq)):
            if from_seq not in self.open:
                self.redrive(from_seq, 0.0)
            self.maybe.discard(from_seq)
            self.settle(from_seq)
        else:
            raise Violation(f"{self} told a gap {from_seq}..{to_seq} before {self.next}")
        self.lost[from_seq, to_seq] = None

    def pass_over(self, last_seq: int) -> None:
        """The broker has seen that nothing up to this number can be given, and whoever was to be told
        has left before: it is owed to who comes."""
        if last_seq >= self.next and self.topic.is_gone(last_seq):
            self.lost[self.next, last_seq] = None
            self.next = last_seq + 1

    def hear(self, from_seq: int, to_seq: int) -> None:
        """It is known that somebody has heard that these are lost."""
        self.lost.pop((from_seq, to_seq), None)

    def _is_lost(self, from_seq: int, to_seq: int) -> bool:
        """Whether these are known to be lost. What was told in parts may be told as one when it is told again
        to another subscriber."""
        parts = [one for one in self.lost if from_seq <= one[0] and one[1] <= to_seq]
        if sum(last - first + 1 for first, last in parts) != to_seq - from_seq + 1:
            return False
        for part in parts:
            del self.lost[part]
        self.lost[from_seq, to_seq] = None
        return True

    # Storing --------------------------------------------------------------------------------------

    def snapshot(self) -> Place:
        """What a store would have of it now."""
        kept = {seq: replace(one, holder=None, last=None) for seq, one in self.open.items()}
        for seq, one in self.open.items():
            if one.holder is not None:
                kept[seq].earliest = kept[seq].latest = 0.0
        maybe, redriven = set(self.maybe), set(self.redriven)
        return Place(self.next, self.floor, kept, maybe, redriven, self.moves, dict(self.lost))

    def restore(self, now: float) -> None:
        """What is stored is all that is left: what was out comes again."""
        low = self.low
        self.seek(self.stored.floor)
        if self.moves == self.stored.moves:
            # Nobody has heard of its beginning yet.
            self.low = low
        self.moves = self.stored.moves
        self.lost = dict(self.stored.lost)
        self.reopened.clear()
        self.next, self.maybe = self.stored.next, set(self.stored.maybe)
        for seq, one in self.stored.open.items():
            earliest, latest = max(one.earliest, now), max(one.latest, now)
            self.open[seq] = replace(one, earliest=earliest, latest=latest, may_be_stored=True)

    def nobody_is_there(self) -> None:
        """It may be unloaded, and loaded again."""
        for seq, one in self.open.items():
            one.goes_to_store(self.stored.open.get(seq))

    def clock_set(self, by_s: float, now: float) -> None:
        """The wall clock was set."""
        for one in self.stored.open.values():
            one.clock_set(by_s, now)
        for one in self.open.values():
            if one.may_be_stored:
                one.clock_set(by_s, now)

    def refuse(self, now: float) -> None:
        """Its progress is another's: what is stored is all that is left, but a redrive may go on."""
        # The redrive of what is not stored as redriven is still under way.
        maybe, redriven = self.maybe, {seq for seq in self.redriven if seq < self.stored.next}
        self.restore(now)
        self.maybe |= maybe | redriven

    # Parts ----------------------------------------------------------------------------------------

    def _put_out(self, one: Delivery, holder: Holder, deadline: float) -> None:
        one.holder, one.earliest = holder, deadline
        one.may_be_stored, one.grace_s = False, 0.0
        holder.out += 1

    def _take_in(self, one: Delivery) -> None:
        if one.holder is not None:
            one.holder.out -= 1
            one.holder = None

    def _wait(self, one: Delivery, earliest: float, latest: float) -> None:
        one.last = one.holder or one.last
        self._take_in(one)
        one.earliest, one.latest = earliest, latest
