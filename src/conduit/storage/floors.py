"""What a `Start` means for one topic: the same in every store."""

from __future__ import annotations

from collections.abc import Callable

from conduit.storage.base import Extent, Start


def floor_of(start: Start, topic: Extent, seq_at: Callable[[int, int], int]) -> int:
    """The last number before the first to be delivered, from 0 to the topic's `last_seq`.

    `seq_at` is the store's, from topic id and time; it is asked only for a start by time.
    """
    first = topic.last_seq + 1
    place = start.positions.get(topic.name) if start.positions is not None else None
    if place is not None:
        first = place.first_seq if place.topic_id == topic.topic_id else topic.first_seq
    elif start.earliest:
        first = topic.first_seq
    elif start.seq is not None:
        first = start.seq
    elif start.time_ms is not None:
        is_lost = topic.first_seq > 1 and topic.trimmed_ms >= start.time_ms
        # Which was the first of those that are gone, nobody knows any more.
        first = 1 if is_lost else seq_at(topic.topic_id, start.time_ms)
    return min(max(first - 1, 0), topic.last_seq)
