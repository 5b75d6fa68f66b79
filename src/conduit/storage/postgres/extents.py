"""Where a topic's messages are: which segments hold which of its numbers.

What is known never becomes wrong: a number stays in its segment. Only the last extent may turn out to
end, when others have begun a new segment, and the first ones to be gone.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from conduit.storage.postgres.database import Connection

# Topics whose extents are remembered.
TOPICS_MAX_COUNT = 100_000

_LOAD = """
SELECT first_seq, segment FROM conduit.extents WHERE topic_id = $1 ORDER BY first_seq
"""
# Beyond every number.
END_SEQ = 1 << 62


class Span(NamedTuple):
    """Consecutive numbers of a topic in one segment, both ends included."""

    segment: int
    first_seq: int
    last_seq: int


class Extents:
    """Remembers the extents of topics that were read."""

    def __init__(self) -> None:
        self._by_topic: dict[int, list[tuple[int, int]]] = {}

    def forget(self, topic_id: int) -> None:
        """Something was not where it was said to be."""
        self._by_topic.pop(topic_id, None)

    async def spans(self, connection: Connection, topic_id: int) -> list[Span]:
        """All of the topic's spans in order; the last one is open-ended."""
        known = self._by_topic.get(topic_id)
        if known is None:
            known = [(row[0], row[1]) for row in await connection.fetch(_LOAD, topic_id)]
            if len(self._by_topic) >= TOPICS_MAX_COUNT:
                self._by_topic.clear()
            # A topic without messages gets its first extent later.
            if known:
                self._by_topic[topic_id] = known
        ends = [first_seq - 1 for first_seq, _ in known[1:]]
        return [
            Span(segment, first_seq, end)
            for (first_seq, segment), end in zip(known, [*ends, END_SEQ], strict=False)
        ]


def span_at(spans: list[Span], seq: int) -> int:
    """The place of the span that holds `seq`; 0 if it is before all of them. `spans` has some."""
    return max(bisect_right(spans, seq, key=lambda span: span.first_seq) - 1, 0)
