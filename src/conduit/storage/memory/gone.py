"""What became of the dead letters that are gone, in memory."""

from __future__ import annotations

import heapq
from collections.abc import Mapping

import msgspec

from conduit.storage.dead import GONE_MAX_COUNT
from conduit.storage.dead_letters import FORGOTTEN

# Of all topics together: some 20 MB. Beyond it the topic that was first to have any forgets them.
ALL_MAX_COUNT = 10 * GONE_MAX_COUNT


class _Topic(msgspec.Struct):
    """`fates` has DROPPED or DISCARDED by number and subscription; at and below `forgotten_seq` nothing is
    remembered any more."""

    fates: dict[tuple[int, str], str] = {}
    forgotten_seq: int = 0


class GoneLetters:
    """By topic, the highest numbers."""

    def __init__(self) -> None:
        self._topics: dict[int, _Topic] = {}
        # Those that have fates, in the order in which they had the first.
        self._filled: dict[int, None] = {}
        self._count = 0

    def fate(self, subscription: str, topic_id: int, seq: int) -> str | None:
        """What became of a delivery whose dead letter is gone; None if it had none."""
        topic = self._topics.get(topic_id)
        if topic is None:
            return None
        return FORGOTTEN if seq <= topic.forgotten_seq else topic.fates.get((seq, subscription))

    def remember(self, subscription: str, topic_id: int, seq: int, fate: str) -> None:
        """The letter of this delivery is gone."""
        topic = self._topics.setdefault(topic_id, _Topic())
        if seq > topic.forgotten_seq:
            if (seq, subscription) not in topic.fates:
                self._count += 1
            topic.fates[seq, subscription] = fate
            self._filled.setdefault(topic_id)
        # Not one by one: what is over is found by looking at all of them.
        if len(topic.fates) > GONE_MAX_COUNT + GONE_MAX_COUNT // 8:
            lowest = heapq.nlargest(GONE_MAX_COUNT + 1, topic.fates)[-1]
            self._forget_through(topic_id, lowest[0])
        while self._count > ALL_MAX_COUNT:
            first = next(iter(self._filled))
            self._forget_through(first, max(self._topics[first].fates)[0])

    def is_back(self, subscription: str, topic_id: int, seq: int) -> None:
        """The delivery has a letter again, or is open again."""
        topic = self._topics.get(topic_id)
        if topic is not None and topic.fates.pop((seq, subscription), None) is not None:
            self._count -= 1
            if not topic.fates:
                del self._filled[topic_id]

    def are_back(self, subscription: str, floors: Mapping[int, int]) -> None:
        """Its deliveries above these floors, by topic id, are before it again."""
        for topic_id in [each for each in self._filled if each in floors]:
            floor = floors[topic_id]
            back = [
                seq
                for seq, name in self._topics[topic_id].fates
                if seq > floor and name == subscription
            ]
            for seq in back:
                self.is_back(subscription, topic_id, seq)

    def forget_topic(self, topic_id: int) -> None:
        """The topic is deleted: nobody asks for its deliveries any more."""
        topic = self._topics.pop(topic_id, None)
        if topic is not None:
            self._count -= len(topic.fates)
            self._filled.pop(topic_id, None)

    def _forget_through(self, topic_id: int, seq: int) -> None:
        topic = self._topics[topic_id]
        kept = {key: fate for key, fate in topic.fates.items() if key[0] > seq}
        self._count -= len(topic.fates) - len(kept)
        topic.fates, topic.forgotten_seq = kept, seq
        if not kept:
            del self._filled[topic_id]
