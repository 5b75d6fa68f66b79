"""Handing out again what a delivery machine has due, in the order that it gives, as the broker does."""

from conduit.core.delivery import Delivery


def redelivered(delivery: Delivery, holder: int, now: float, limit: int) -> list[tuple[int, int]]:
    """Give the holder up to `limit` of what is due; returns numbers and attempts.

    Suspects come last, and one at a time.
    """
    handed: list[tuple[int, int]] = []
    while len(handed) < limit:
        seq = delivery.due(now)
        if seq is None:
            seq = delivery.due_suspect(now)
        if seq is None:
            break
        handed.append((seq, delivery.hand_again(seq, holder, now).attempt))
    return handed
