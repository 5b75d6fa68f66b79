"""How long a delivery may stay unacked before it is tried again, and how long after a lost connection."""

from __future__ import annotations

# Stretches at most this much, so that redeliveries that fell due together do not stay together.
JITTER_MAX = 0.1
# 2^63 times a millisecond is longer than any cap; a larger power would overflow a float some day.
_DOUBLINGS_MAX = 63
# After a second lost connection, and at most.
LOST_WAIT_S = 1.0
LOST_WAIT_MAX_S = 60.0


def ack_wait_s(attempt: int, ack_wait_s: float, max_ack_wait_s: float, jitter: float) -> float:
    """Seconds that attempt 1, 2, 3 … waits for its ack.

    `ack_wait_s` doubles with each attempt up to `max_ack_wait_s`, then is stretched by up to 10 %:
    `jitter` in [0, 1) says how far, 0 not at all. With 1 s and five attempts: 1 + 2 + 4 + 8 + 16 s.
    """
    doublings = min(attempt - 1, _DOUBLINGS_MAX)
    wait_s = min(ack_wait_s * 2.0**doublings, max_ack_wait_s)
    return wait_s * (1.0 + JITTER_MAX * jitter)


def lost_wait_s(losses: int) -> float:
    """Seconds until a delivery is handed out again after its first, second … lost connection: none, then
    1, 2, 4 … up to 60."""
    if losses <= 1:
        return 0.0
    return ack_wait_s(losses - 1, LOST_WAIT_S, LOST_WAIT_MAX_S, 0.0)
