"""When an unsettled delivery fails, how long it waits then, and after what it dies."""

from __future__ import annotations

import msgspec

from conduit.core.backoff import ack_wait_s

# The longest time until a second attempt that was asked for by `nack`.
NACK_WAIT_S = 1.0
# What is overdue and may not fail yet stays out for so much longer.
PUT_OFF_S = 1.0

REASON_TIMEOUT = "ack_timeout"
REASON_LOST = "connection_lost"


class Policy(msgspec.Struct, frozen=True):
    """A subscription's rules; `max_attempts` counts failures. No `max_lost`: it may be lost without end."""

    ack_wait_s: float = 1.0
    max_ack_wait_s: float = 60.0
    max_attempts: int = 5
    max_lost: int | None = 20

    def wait_s(self, attempt: int, jitter: float = 0.0) -> float:
        """How long attempt 1, 2, 3 … may take; `jitter` as in `backoff.ack_wait_s`."""
        return ack_wait_s(attempt, self.ack_wait_s, self.max_ack_wait_s, jitter)

    def spread_s(self, attempt: int, jitter: float) -> float:
        """By how much `jitter` stretches that."""
        return self.wait_s(attempt, jitter) - self.wait_s(attempt)

    def nack_wait_s(self, failure: int, jitter: float) -> float:
        """How long it waits after failure 1, 2, 3 …: as long as an attempt may take, from NACK_WAIT_S on at
        most, because who says that it failed has not been waited for."""
        first_s = min(self.ack_wait_s, NACK_WAIT_S)
        return ack_wait_s(failure, first_s, self.max_ack_wait_s, jitter)

    def kills_failed(self, failures: int) -> bool:
        """Whether a delivery that failed so often is dead."""
        return failures >= self.max_attempts

    def kills_lost(self, losses: int) -> bool:
        """Whether a delivery that was lost so often is dead."""
        return self.max_lost is not None and losses >= self.max_lost


class Dead(msgspec.Struct, frozen=True):
    """A delivery that failed or was lost too often, or that was rejected."""

    seq: int
    attempts: int
    reason: str
