"""Handing out again as a broker does: one after the other, as long as there is room."""

from conduit.core.delivery import Delivery
from conduit.core.retries import Retries, Retry


def redeliver(delivery: Delivery, holder: int, now: float, limit: int) -> list[tuple[int, int]]:
    """Up to `limit` that are due, suspects last: (seq, attempt)."""
    handed: list[tuple[int, int]] = []
    while len(handed) < limit:
        seq = delivery.due(now)
        if seq is None:
            seq = delivery.due_suspect(now)
        if seq is None:
            break
        handed.append((seq, delivery.hand_again(seq, holder, now).attempt))
    return handed


def take_due(retries: Retries, now: float) -> list[tuple[int, Retry]]:
    """Remove all that are due, in their order."""
    taken = []
    while (seq := retries.first_due(now, range(3))) is not None:
        retry = retries.take(seq)
        assert retry is not None
        taken.append((seq, retry))
    return taken
