"""Where a subscription begins in topics that it has not looked at yet.

A pattern may have any number of topics, and they are gone through in steps of many turns of the loop. Which
topics there are is looked at in each step. Whatever happens in a topic whose turn has not come, such as a
message or its end, has the subscription look at it first: `take` gives each topic's place once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from conduit.broker.catalog import Topic
from conduit.core.message import Progress


class Beginning(NamedTuple):
    """What is to be done first in a topic: to go on after `floor`, or as the stored progress says."""

    floor: int
    progress: Progress | None = None


class Outset:
    """What is not begun yet. `floor_of` says where topics begin that are in neither mapping; None: at their
    end.
    """

    __slots__ = (
        "_floor_of",
        "_floors",
        "_progress",
        "_seen",
        "find",
    )

    def __init__(
        self,
        find: Callable[[int], Topic | None],
        floors: Mapping[int, int],
        progress: Mapping[int, Progress],
        floor_of: Callable[[Topic], int | None],
    ) -> None:
        self.find = find
        self._floors = floors
        self._progress = progress
        self._floor_of = floor_of
        self._seen: set[int] = set()

    def take(self, topic: Topic) -> Beginning | None:
        """Where it begins in the topic; None if it has begun there, or begins at the end."""
        if not self.pass_over(topic):
            return None
        row = self._progress.get(topic.topic_id)
        if row is not None:
            return Beginning(row.floor, row)
        floor = self._floors.get(topic.topic_id)
        if floor is None:
            floor = self._floor_of(topic)
        return None if floor is None else Beginning(floor)

    def pass_over(self, topic: Topic) -> bool:
        """It has begun there in another way. False if it had before."""
        if topic.topic_id in self._seen:
            return False
        self._seen.add(topic.topic_id)
        return True
