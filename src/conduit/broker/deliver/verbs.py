"""What a subscriber may do to a delivery, as values: acked, nacked, rejected, extended.

They say what is meant, not how it is reached, so that they can come from a connection of this node or
from another one.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import ClassVar

import msgspec

from conduit.broker.stats import Stats
from conduit.core.delivery import Delivery


class Outcome(Enum):
    """What became of a verb."""

    DONE = auto()
    UNKNOWN = auto()
    """The delivery is not open, or not this subscriber's."""
    STALE = auto()
    """The verb names an earlier attempt than the last one."""
    FULL = auto()
    """It would be a death, and too many wait for the store: nothing has changed."""


class Verb(msgspec.Struct, frozen=True):
    """Base of the four. `attempt` is the one that is meant; None: whichever is the last."""

    attempt: int | None = None

    may_kill: ClassVar[bool] = False
    """Whether `kills` may be true of some delivery."""
    is_ack: ClassVar[bool] = False
    """Whether it says that the message is done."""
    title: ClassVar[str | None] = None
    """What a trace calls it; None: it settles nothing."""

    def settle(self, delivery: Delivery, seq: int, holder: int) -> Outcome:
        """Do it, if the delivery's state allows it."""
        if self.attempt is not None:
            held = delivery.history(seq)
            if held is not None and held.attempt != self.attempt:
                return Outcome.STALE
        return Outcome.DONE if self._apply(delivery, seq, holder) else Outcome.UNKNOWN

    def kills(self, delivery: Delivery, seq: int, holder: int) -> bool:
        """Whether `settle` would make it a dead letter."""
        return False

    def _is_meant(self, delivery: Delivery, seq: int, holder: int) -> bool:
        """Whether the attempt that runs is this subscriber's: only its own may it fail or extend."""
        held = delivery.history(seq)
        return held is not None and held.holder == holder and self.attempt in (None, held.attempt)

    def _apply(self, delivery: Delivery, seq: int, holder: int) -> bool:
        raise NotImplementedError

    def count(self, stats: Stats) -> None:
        """Count that it was done."""
        raise NotImplementedError


class Acked(Verb, frozen=True):
    """Done. Whoever has handled the message may say so, even if it has gone to another since."""

    is_ack: ClassVar[bool] = True
    title: ClassVar[str | None] = "ack"

    def _apply(self, delivery: Delivery, seq: int, holder: int) -> bool:
        return delivery.ack(seq)

    def count(self, stats: Stats) -> None:
        """See `Verb.count`."""
        stats.acked_count += 1


ACKED = Acked()
"""Whichever attempt is the last."""


class Nacked(Verb, frozen=True, kw_only=True):
    """The attempt failed: try again after `delay_s`, or after the attempt's wait."""

    may_kill: ClassVar[bool] = True
    title: ClassVar[str | None] = "nack"

    now: float
    delay_s: float | None
    reason: str
    jitter: float

    def _apply(self, delivery: Delivery, seq: int, holder: int) -> bool:
        return self._is_meant(delivery, seq, holder) and delivery.nack(
            seq, self.now, self.delay_s, self.reason, self.jitter
        )

    def kills(self, delivery: Delivery, seq: int, holder: int) -> bool:
        """See `Verb.kills`."""
        return self._is_meant(delivery, seq, holder) and delivery.is_last(seq)

    def count(self, stats: Stats) -> None:
        """See `Verb.count`."""
        stats.nacked_count += 1


class Rejected(Verb, frozen=True, kw_only=True):
    """A dead letter now."""

    may_kill: ClassVar[bool] = True
    title: ClassVar[str | None] = "reject"

    reason: str

    def _apply(self, delivery: Delivery, seq: int, holder: int) -> bool:
        return self._is_meant(delivery, seq, holder) and delivery.reject(seq, self.reason)

    def kills(self, delivery: Delivery, seq: int, holder: int) -> bool:
        """See `Verb.kills`."""
        return self._is_meant(delivery, seq, holder)

    def count(self, stats: Stats) -> None:
        """See `Verb.count`."""
        stats.rejected_count += 1


class Extended(Verb, frozen=True, kw_only=True):
    """More time: `wait_s` from `now`, or the attempt's wait once more."""

    now: float
    wait_s: float | None

    def _apply(self, delivery: Delivery, seq: int, holder: int) -> bool:
        return self._is_meant(delivery, seq, holder) and delivery.extend(seq, self.now, self.wait_s)

    def count(self, stats: Stats) -> None:
        """See `Verb.count`."""
        stats.extended_count += 1
