"""A lease as its holder sees it: whether it may still act as the one that has it.

A renewal prolongs the lease from the moment at which it was sent, by less than what the store gives it: the
store counts from when it got the renewal, which is later. So the holder gives up before the store says that
the lease is over, however late an answer is, and in whatever order the answers come. All times are seconds of
one clock that does not go back, and goes on while the process is stopped or the machine sleeps.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple

# What a store gives with a renewal, by its own clock.
LEASE_S = 3.0
# Between two renewals.
RENEW_INTERVAL_S = 1.0
# By so much the holder gives up earlier. Clocks differ by less than a thousandth, so 3 ms would do for that;
# the rest is for what is decided before the end and done after it.
MARGIN_S = 0.1


class Turn(Enum):
    """What becomes of a term. Each term has one of each, in this order."""

    HELD = auto()
    LOST = auto()


class Renewal(NamedTuple):
    """One that was sent."""

    number: int
    sent_at: float

    @property
    def good_until(self) -> float:
        """Until when its answer prolongs the lease; an answer that comes later says nothing of now."""
        return self.sent_at + LEASE_S - MARGIN_S


class Lease:
    """Not held at first. Whoever calls acts on the turns that are returned, in their order, before anything
    else that the call was about."""

    __slots__ = ("_holds_until", "_is_held", "_sent_count", "_void_count", "term")

    def __init__(self) -> None:
        self.term = 0
        """Grows with each lease that follows one that was lost: who began something under another one has
        to begin anew. 0: none was held yet."""
        self._is_held = False
        self._holds_until = float("-inf")
        self._sent_count = 0
        # The renewals up to this one count no more.
        self._void_count = 0

    def holds(self, now: float) -> bool:
        """Whether it is held."""
        return self._is_held and now < self._holds_until

    @property
    def holds_until(self) -> float | None:
        """When it lapses, unless it is prolonged; None if it is not held. `look` then."""
        return self._holds_until if self._is_held else None

    def sent(self, now: float) -> Renewal:
        """A renewal is about to be sent."""
        self._sent_count += 1
        return Renewal(self._sent_count, now)

    def granted(self, renewal: Renewal, now: float) -> tuple[Turn, ...]:
        """The store has prolonged it, as its answer to this renewal says, which arrives now. A lease that
        lapsed before is lost, also if the answer would have come in time to prolong it: then a new term
        begins."""
        turns = self.look(now)
        until = renewal.good_until
        if renewal.number <= self._void_count or until <= max(now, self._holds_until):
            return turns
        self._holds_until = until
        if self._is_held:
            return turns
        self._is_held = True
        self.term += 1
        return (*turns, Turn.HELD)

    def look(self, now: float) -> tuple[Turn, ...]:
        """LOST, once, if it has lapsed."""
        if not self._is_held or now < self._holds_until:
            return ()
        self._is_held = False
        return (Turn.LOST,)

    def give_up(self) -> tuple[Turn, ...]:
        """It is not held from now on, whatever is still answered of what was sent. LOST if it was."""
        self._void_count = self._sent_count
        self._holds_until = float("-inf")
        was_held, self._is_held = self._is_held, False
        return (Turn.LOST,) if was_held else ()
