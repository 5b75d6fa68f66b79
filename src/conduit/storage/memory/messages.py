"""A topic's messages: a list that loses its oldest ones at little cost."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from conduit.core.message import Message

# A list that is cut at its beginning moves all that stays, 8 MB of a million messages. So it is cut when
# an eighth is gone; until then the places of those that are gone refer to one message that is none.
CUT_SHARE = 8
# How many `oldest` looks at in one piece: most who ask need few.
PIECE_COUNT = 64

_NONE = Message("", 0, 0, b"")


class Messages:
    """Messages in the order of their numbers; positions count from the oldest."""

    __slots__ = ("_gone_count", "_items", "append")

    def __init__(self) -> None:
        self._items: list[Message] = []
        self._gone_count = 0
        # The list's own: it is called for every message.
        self.append = self._items.append

    def __len__(self) -> int:
        return len(self._items) - self._gone_count

    def __getitem__(self, at: int) -> Message:
        return self._items[self._gone_count + at]

    def slice(self, start: int, stop: int) -> list[Message]:
        """Those from `start` up to `stop`, neither below 0."""
        return self._items[self._gone_count + start : self._gone_count + stop]

    def oldest(self) -> Iterator[Message]:
        """From the oldest on, while nothing is taken."""
        for start in range(self._gone_count, len(self._items), PIECE_COUNT):
            yield from self._items[start : start + PIECE_COUNT]

    def take(self, count: int) -> list[Message]:
        """Remove the `count` oldest, or as many as there are, and return them."""
        start = self._gone_count
        taken = self._items[start : start + count]
        self._gone_count = gone_count = start + len(taken)
        self._items[start:gone_count] = [_NONE] * len(taken)
        if gone_count * CUT_SHARE >= len(self._items):
            del self._items[:gone_count]
            self._gone_count = 0
        return taken

    def position_at(self, time_ms: int) -> int:
        """The first position whose message was published at or after `time_ms`."""
        found = bisect_left(
            self._items, time_ms, lo=self._gone_count, key=lambda message: message.published_at_ms
        )
        return found - self._gone_count
