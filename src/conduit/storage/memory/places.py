"""Where a message is, by its id.

The ids are in chunks by age, each a small dict: one dict for all would be copied whenever it grows,
in pauses of 100 ms at a million messages, and every publish would miss the processor's cache.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from conduit.core.message import Message

CHUNK_MAX_COUNT = 4_096


class Places:
    """Ids and their places, added in the order of their times."""

    def __init__(self) -> None:
        self._chunks: list[dict[str, int]] = [{}]
        # Chunk n has ids added from this time (ms) on.
        self._since_ms = [0]

    def __len__(self) -> int:
        return sum(map(len, self._chunks))

    def chunk_for(self, now_ms: int) -> dict[str, int]:
        """The dict to add ids of this time to, up to a commit's worth."""
        chunk = self._chunks[-1]
        if len(chunk) >= CHUNK_MAX_COUNT:
            chunk = {}
            self._chunks.append(chunk)
            self._since_ms.append(now_ms)
        return chunk

    def get(self, message_id: str) -> int | None:
        """The place, or None."""
        for chunk in reversed(self._chunks):
            place = chunk.get(message_id)
            if place is not None:
                return place
        return None

    def remove(self, message_id: str, added_ms: int) -> None:
        """Forget an id that was added at this time."""
        # Several chunks may have begun in one millisecond.
        for at in range(bisect_right(self._since_ms, added_ms) - 1, -1, -1):
            count = len(self._chunks[at])
            if self._chunks[at].pop(message_id, None) is not None:
                self._shrunk(at, count)
                return

    def remove_all(self, messages: Sequence[Message]) -> None:
        """Forget the ids of these, of which most were added one after the other."""
        removed = 0
        while removed < len(messages):
            first = messages[removed]
            at = bisect_right(self._since_ms, first.published_at_ms) - 1
            chunk, count = self._chunks[at], len(self._chunks[at])
            for message in messages[removed : removed + count]:
                if chunk.pop(message.message_id, None) is None:
                    break
                removed += 1
            if len(chunk) < count:
                self._shrunk(at, count)
            else:
                self.remove(first.message_id, first.published_at_ms)
                removed += 1

    def _shrunk(self, at: int, count_before: int) -> None:
        """Give memory back each time a chunk has halved, and join what is small to its neighbour.

        So what a few quiet topics leave of many chunks takes the room of a few.
        """
        chunk, count = self._chunks[at], len(self._chunks[at])
        if count.bit_length() == count_before.bit_length() or at == len(self._chunks) - 1:
            return
        if at and len(self._chunks[at - 1]) + count <= CHUNK_MAX_COUNT:
            self._chunks[at - 1].update(chunk)
            del self._chunks[at], self._since_ms[at]
        else:
            self._chunks[at] = dict(chunk)
