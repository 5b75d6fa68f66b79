"""What a subscription has not settled in one topic, and can be given."""

from __future__ import annotations

from conduit.core.delivery import Delivery


def lag_of(delivery: Delivery, first_seq: int, last_seq: int) -> int:
    """Messages of `first_seq` … `last_seq` that were never handed out, and what `open_from` counts."""
    return _new_from(delivery, first_seq, last_seq) + open_from(delivery, first_seq)


def stored_lag_of(delivery: Delivery, first_seq: int, last_seq: int) -> int:
    """Messages of `first_seq` … `last_seq` that were never handed out, or are open."""
    return _new_from(delivery, first_seq, last_seq) + _stored_from(delivery, first_seq)


def open_from(delivery: Delivery, first_seq: int) -> int:
    """Open deliveries that can be given: their message is stored, from `first_seq` on, or they were redriven,
    and the dead letter has it."""
    if first_seq <= 1:
        return delivery.open_count
    count = sum(
        seq < first_seq and retry.is_redriven for seq, retry in delivery.retries.by_seq.items()
    )
    return count + _stored_from(delivery, first_seq)


def _new_from(delivery: Delivery, first_seq: int, last_seq: int) -> int:
    return max(0, last_seq - max(delivery.cursor, first_seq - 1))


def _stored_from(delivery: Delivery, first_seq: int) -> int:
    if first_seq <= 1:
        return delivery.open_count
    count = sum(
        run.last - max(run.first, first_seq) + 1 for run in delivery.runs if run.last >= first_seq
    )
    return count + sum(seq >= first_seq for seq in delivery.retries.by_seq)
