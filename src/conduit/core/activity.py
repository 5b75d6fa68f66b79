"""What was published and delivered in each of the last rounds, of one topic."""

from __future__ import annotations

from array import array

ROUND_S = 10
# Five minutes.
ROUNDS_COUNT = 30
# What counts as lately: a minute.
LATELY_ROUNDS_COUNT = 6
# What one round can hold: beyond it, it stays there.
COUNT_MAX = (1 << 32) - 1

# Of a topic through which nothing went.
NO_ROUNDS = (0,) * ROUNDS_COUNT


class Activity:
    """It begins with round `number`; 0.5 KB."""

    __slots__ = ("_delivered", "_published", "_round", "_until", "lately")

    def __init__(self, number: int) -> None:
        self._published = array("I", bytes(4 * ROUNDS_COUNT))
        self._delivered = array("I", bytes(4 * ROUNDS_COUNT))
        self._round = number
        # The last round in which anything happened.
        self._until = number
        self.lately = 0
        """Published and delivered in the last minute."""

    def add(self, number: int, published_count: int, delivered_count: int) -> None:
        """So much in round `number`, which is one after that of the last call, or the first."""
        self._round = number
        place, leaving = number % ROUNDS_COUNT, (number - LATELY_ROUNDS_COUNT) % ROUNDS_COUNT
        published, delivered = self._published, self._delivered
        published[place] = min(published_count, COUNT_MAX)
        delivered[place] = min(delivered_count, COUNT_MAX)
        self.lately += published[place] + delivered[place]
        self.lately -= published[leaving] + delivered[leaving]
        if published_count or delivered_count:
            self._until = number

    @property
    def is_quiet(self) -> bool:
        """Whether nothing has happened in any of the rounds."""
        return self._round - self._until >= ROUNDS_COUNT

    def published(self, count: int = ROUNDS_COUNT) -> list[int]:
        """Of the last so many rounds, oldest first."""
        return self._last(self._published, count)

    def delivered(self, count: int = ROUNDS_COUNT) -> list[int]:
        """The same of what was delivered."""
        return self._last(self._delivered, count)

    def _last(self, counts: array[int], count: int) -> list[int]:
        end = self._round + 1
        return [counts[number % ROUNDS_COUNT] for number in range(end - count, end)]
