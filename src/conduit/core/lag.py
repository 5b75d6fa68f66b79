"""What a subscription has not settled of the messages that are stored in one topic."""

from __future__ import annotations

from conduit.core.delivery import Delivery


def lag_of(delivery: Delivery, first_seq: int, last_seq: int) -> int:
    """Messages of `first_seq` … `last_seq` that were never handed out, or are open."""
    return max(0, last_seq - max(delivery.cursor, first_seq - 1)) + open_from(delivery, first_seq)


def open_from(delivery: Delivery, first_seq: int) -> int:
    """Open deliveries whose message is stored: `first_seq` is the first that is."""
    if first_seq <= 1:
        return delivery.open_count
    count = sum(
        run.last - max(run.first, first_seq) + 1 for run in delivery.runs if run.last >= first_seq
    )
    return count + sum(seq >= first_seq for seq in delivery.retries.by_seq)
