"""What a node has heard of the log, at least."""

from __future__ import annotations

import time

from tests.model.oracle.log import Topic

# After that a node has looked at the log itself (about a second, with much room for a busy machine).
HEARD_WITHIN_S = 5.0


class Knowledge:
    """Of all nodes, by their numbers."""

    def __init__(self) -> None:
        self._heard: dict[tuple[int, int], int] = {}
        self._published: dict[int, list[tuple[float, int]]] = {}

    def heard(self, node: int, topic: Topic, seq: int) -> None:
        """The node has taken or handed out this number."""
        place = (node, topic.topic_id)
        self._heard[place] = max(self._heard.get(place, 0), seq)

    def published(self, topic: Topic, seq: int) -> None:
        """It is stored now, wherever."""
        self._published.setdefault(topic.topic_id, []).append((time.monotonic(), seq))

    def forget(self, node: int) -> None:
        """It starts anew."""
        self._heard = {place: seq for place, seq in self._heard.items() if place[0] != node}

    def of(self, node: int, topic: Topic) -> int:
        """The last number that it must have heard of."""
        until = time.monotonic() - HEARD_WITHIN_S
        old = [seq for at, seq in self._published.get(topic.topic_id, ()) if at <= until]
        return max(*old, self._heard.get((node, topic.topic_id), 0), 0)
