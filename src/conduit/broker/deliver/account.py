"""What a running subscription has taken of its topics, told to its lag (lags.py)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from conduit.broker.catalog import Topic
from conduit.broker.deliver.lags import Lag, Place
from conduit.broker.deliver.marks import Recorded
from conduit.broker.deliver.stored import open_in
from conduit.broker.deliver.unopened import Unopened
from conduit.broker.turn import Turn, each
from conduit.core.message import Progress


class Account:
    """Of one subscription; an ephemeral one has no lag, and nothing is told."""

    __slots__ = ("_has_begun", "_lag", "_left", "_taken", "_trims")

    def __init__(self, lag: Lag | None = None) -> None:
        self._lag = lag
        self._has_begun = False
        # Of one that was closed.
        self._left: dict[int, Place] = {}
        if lag is not None:
            lag.runs()
        # What was found in the topics that it has looked at, less what was known before; since when.
        self._taken = Place(0, 0)
        self._trims = 0

    def opens(self, topic: Topic) -> None:
        """It has a cursor now in a topic that it had taken whole."""
        if self._lag is not None:
            self._lag.put(topic, Place(topic.last_seq, 0))

    def waits(self, topic: Topic, floor: int, progress: Progress | None) -> None:
        """It has something to do in the topic from here on, as was counted."""
        if self._lag is not None:
            self._lag.put(topic, place_in(topic, floor, progress))

    def moved(self, topic: Topic, floor: int) -> None:
        """It has no cursor, and begins anew after `floor`."""
        if self._lag is None:
            return
        if topic.last_seq > floor:
            self._lag.put(topic, place_in(topic, floor, None), Place(topic.last_seq, 0))
        else:
            self._lag.drop(topic)

    def took_all(self, topic: Topic) -> None:
        """It has nothing to do any more in the topic."""
        if self._lag is not None:
            self._lag.drop(topic)

    def begin(self) -> None:
        """It begins to look at all its topics."""
        self._has_begun = False
        if self._lag is not None:
            self._taken = Place(-self._lag.taken, -self._lag.open_count)
            self._trims = self._lag.coverage.trims

    def found(self, topic: Topic, floor: int, progress: Progress | None) -> None:
        """It has looked at this one."""
        if self._lag is not None and self._has_begun:
            # Made since: it was counted as if nobody had taken anything, and some may be gone already.
            if topic.last_seq > floor:
                self._lag.put(topic, place_in(topic, floor, progress), Place(0, 0))
        elif self._lag is not None:
            taken, open_count = place_in(topic, floor, progress)
            self._taken = Place(self._taken.taken + taken, self._taken.open_count + open_count)

    def has_begun(self) -> None:
        """It has looked at all: what it lacks is known, with what has changed since in some of them."""
        self._has_begun = True
        lag = self._lag
        if lag is not None and lag.coverage.reached is None:
            taken, open_count = (
                self._taken.taken + lag.taken,
                self._taken.open_count + lag.open_count,
            )
            lag.know(taken, open_count, self._trims)

    def look_again(
        self, turn: Turn, cursors: Mapping[int, Recorded], unopened: Mapping[int, Unopened]
    ) -> None:
        """Count what it has to do anew, in as many turns of the loop as that takes."""
        if self._lag is None:
            return
        self._lag.trims = self._lag.coverage.trims
        whose = self._lag.coverage.allowance
        turn.spread(each(tuple(unopened.items()), partial(self._count_unopened, unopened)), whose)
        turn.spread(each(tuple(cursors.values()), self._count), whose)

    def _count(self, cursor: Recorded) -> None:
        if self._lag is not None:
            self._lag.look(cursor.topic, cursor.delivery)

    def _count_unopened(self, unopened: Mapping[int, Unopened], item: tuple[int, Unopened]) -> None:
        topic_id, one = item
        if unopened.get(topic_id) is one:
            self.waits(one.topic, one.floor, one.progress)

    def close(self) -> None:
        """It does not run any more, and what it has taken by now is stored."""
        if self._lag is not None:
            self._lag.rests()
            self._left = self._lag.places
            self._lag.places = {}
            self._lag = None

    def forget(self) -> Iterator[None]:
        """Give up what is left of it, in steps; it was closed."""
        while self._left:
            self._left.popitem()
            yield


def place_in(topic: Topic, floor: int, progress: Progress | None) -> Place:
    """How far a subscription is in a topic that it has not opened."""
    first_seq = topic.first_seq
    if progress is None:
        return Place(max(floor, first_seq - 1), 0)
    return Place(max(progress.cursor, first_seq - 1), open_in(progress, first_seq))
