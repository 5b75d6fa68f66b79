"""What one delivery has gone through, the settings that decide what follows, and what a store keeps of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.model.oracle.subscription import Holder

NACK_WAIT_S = 1.0
# Lost so often, a delivery is suspected of killing its consumers: it comes last, and alone.
SUSPECT_LOSSES = 2
# Longer than any wait of the model's deliveries.
GRACE_MAX_S = 70.0


@dataclass
class Rules:
    """What a subscription's settings say about attempts. `max_lost` None: never."""

    wait_s: float
    wait_max_s: float
    max_attempts: int
    max_lost: int | None
    is_strict: bool
    is_auto: bool

    def wait(self, nth: int) -> float:
        """Seconds that the attempt after so many failures, less one, has."""
        return min(self.wait_s * 2.0 ** (nth - 1), self.wait_max_s)

    def nack_wait(self, nth: int) -> float:
        """Seconds until the next attempt, when the failure was told and not waited for."""
        return min(min(self.wait_s, NACK_WAIT_S) * 2.0 ** (nth - 1), self.wait_max_s)


@dataclass(slots=True)
class Delivery:
    """An open number. `attempt` is the last hand-out; 0 after a redrive."""

    attempt: int
    failures: int = 0
    losses: int = 0
    holder: Holder | None = None
    earliest: float = 0.0
    """Of one that is out: its deadline."""
    latest: float = 0.0
    last: Holder | None = None
    """Who had it last, if it waits."""
    may_be_stored: bool = False
    """It waits, and may do so in the store only: what is left of the wait is told by the wall clock then."""
    grace_s: float = 0.0
    """The wall clock was set back meanwhile: so much later it may come, from when there is credit for it."""
    unsure_losses: int = 0
    """How many of `losses` a crash may have lost."""
    is_unsure: bool = False
    """A crash may have lost what became of it last: the next frame says how often it was handed out."""
    is_redriven: bool = False
    """Its dead letter has the message, also when the log has it no more."""

    def is_due(self, now: float) -> bool:
        """Whether it must have come by now, where there is credit for it."""
        if self.holder is not None or self.latest > now:
            return False
        if self.grace_s:
            self.latest, self.grace_s = now + self.grace_s, 0.0
            return False
        return True

    def clock_set(self, by_s: float, now: float) -> None:
        """The wall clock was set forward or back while this may be stored."""
        if by_s > 0:
            self.earliest = min(self.earliest, now)
        else:
            self.grace_s = min(self.grace_s - by_s, GRACE_MAX_S)

    def goes_to_store(self, stored: Delivery | None) -> None:
        """Nobody is there who could be given it: what is stored may be all that is left of it."""
        self.may_be_stored = True
        if stored is not None:
            self.earliest = min(self.earliest, stored.earliest)
            self.grace_s = max(self.grace_s, stored.grace_s)

    @property
    def is_suspect(self) -> bool:
        """Whether it was lost so often that it may be the reason."""
        return self.losses >= SUSPECT_LOSSES


@dataclass
class Death:
    """What must become a dead letter."""

    seq: int
    attempts: int
    reason: str


@dataclass
class Place:
    """What is stored of a line: all that is left of it after a crash."""

    next: int
    floor: int
    open: dict[int, Delivery] = field(default_factory=dict)
    maybe: set[int] = field(default_factory=set)
    redriven: set[int] = field(default_factory=set)
    """What was redriven before, and is stored with this."""
    moves: int = 0
    """How often it had been moved by then."""
    lost: dict[tuple[int, int], None] = field(default_factory=dict)

    def has_settled(self, seq: int) -> bool:
        """Whether a crash leaves this number settled."""
        return seq < self.next and seq not in self.open

    def keep_grace(self, before: Place) -> None:
        """What nothing happened to since may stay as it was stored `before`, by the clock of then."""
        for seq, one in self.open.items():
            was = before.open.get(seq)
            if was is not None and one.attempt == was.attempt and one.failures == was.failures:
                one.grace_s = max(one.grace_s, was.grace_s)
