"""What a seek means: where a subscription is in each topic after it, and what comes again or never."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from conduit.broker.catalog import Topic
from conduit.core.delivery import Delivery
from conduit.core.lag import lag_of, stored_lag_of
from conduit.core.message import SubscriptionRecord
from conduit.protocol.codec import format_time
from conduit.protocol.records import Moved, NumberIs, TopicMove
from conduit.storage.base import Store


class Move:
    """Adds up the topics of one seek. `moved` has none yet; `shown_count` of them are shown, or none if there
    are more."""

    def __init__(self, record: SubscriptionRecord, moved: Moved, shown_count: int) -> None:
        self._record = record
        self._moved = moved
        self._shown_count = shown_count
        self._topics: list[tuple[Topic, TopicMove]] = []
        if moved.dry_run:
            moved.again_count = moved.skipped_count = 0

    def add(self, topic: Topic, floor: int, now: Delivery | None = None) -> None:
        """One topic, and its new floor; of a dry run, where the subscription is in it now."""
        moved = self._moved
        move = move_of(topic, floor, now)
        moved.lag += move.lag
        if moved.dry_run:
            moved.again_count = (moved.again_count or 0) + (move.again_count or 0)
            moved.skipped_count = (moved.skipped_count or 0) + (move.skipped_count or 0)
        moved.more_topics = moved.more_topics or len(self._topics) >= self._shown_count
        if moved.more_topics:
            self._topics.clear()
        else:
            self._topics.append((topic, move))

    async def told(self, store: Store) -> Moved:
        """All of it; of a dry run, with the messages at which it would go on. Raises StoreUnavailable."""
        self._topics.sort(key=lambda shown: shown[1].topic)
        for topic, move in self._topics:
            shown = await _looked_up(store, topic, move) if self._moved.dry_run else move
            self._moved.topics.append(shown)
        return self._moved


def move_of(topic: Topic, floor: int, now: Delivery | None) -> TopicMove:
    """Where a subscription is in a topic when it is moved to `floor`, and what that means for it as it is."""
    first_seq, last_seq = topic.first_seq, topic.last_seq
    lag = max(0, last_seq - max(floor, first_seq - 1))
    if now is None:
        return TopicMove(topic.name, floor, last_seq, lag)
    # What is not settled behind the new floor comes in any case, but for what only dead letters have: what is
    # open is forgotten.
    kept_count = stored_lag_of(now, max(first_seq, floor + 1), last_seq)
    skipped_count = lag_of(now, first_seq, last_seq) - kept_count
    return TopicMove(topic.name, floor, last_seq, lag, now.floor, lag - kept_count, skipped_count)


class _Next(NamedTuple):
    """What follows a floor: the first message that is stored, and what became of the number behind it."""

    seq: int | None
    at: str | None
    state: NumberIs


async def _looked_up(store: Store, topic: Topic, move: TopicMove) -> TopicMove:
    behind = {floor: await _next_behind(store, topic, floor) for floor in _floors(move)}
    before, after = behind[move.floor_before or 0], behind[move.floor]
    return msgspec.structs.replace(
        move,
        next_before_seq=before.seq,
        next_before_at=before.at,
        next_before_is=before.state,
        next_seq=after.seq,
        next_at=after.at,
        next_is=after.state,
    )


def _floors(move: TopicMove) -> set[int]:
    return {move.floor, move.floor_before or 0}


async def _next_behind(store: Store, topic: Topic, floor: int) -> _Next:
    found = await store.read(topic.topic_id, floor + 1, limit=1, max_bytes=1)
    if not found:
        return _Next(None, None, "removed" if floor < topic.last_seq else "not_published")
    first = found[0]
    state: NumberIs = "stored" if first.seq == floor + 1 else "removed"
    return _Next(first.seq, format_time(first.published_at_ms), state)
