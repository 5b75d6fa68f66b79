"""Where a message is, by its id.

The ids are in chunks by age, each a small dict: one dict for all would be copied whenever it grows,
in pauses of 100 ms at a million messages, and every publish would miss the processor's cache.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import chain

from conduit.core.message import Message

CHUNK_MAX_COUNT = 4_096


class Places:
    """Ids and their places. A stamp says in which chunk an id is, unless the clock was set back: then it
    may be in any later one, and the next that is looked for is near."""

    def __init__(self) -> None:
        self._chunks: list[dict[str, int]] = [{}]
        # Chunk n has ids added from this time (ms) on; times in order, whatever the clock does.
        self._since_ms = [0]
        # The chunk in which one was found last.
        self._found_at = 0

    def __len__(self) -> int:
        return sum(map(len, self._chunks))

    def chunk_for(self, now_ms: int) -> dict[str, int]:
        """The dict to add ids of this time to, up to a commit's worth."""
        chunk = self._chunks[-1]
        if len(chunk) >= CHUNK_MAX_COUNT:
            chunk = {}
            self._chunks.append(chunk)
            self._since_ms.append(max(now_ms, self._since_ms[-1]))
        return chunk

    def get(self, message_id: str) -> int | None:
        """The place, or None."""
        for chunk in reversed(self._chunks):
            place = chunk.get(message_id)
            if place is not None:
                return place
        return None

    def remove_all(self, messages: Sequence[Message]) -> None:
        """Forget the ids of these, of which most were added one after the other."""
        removed = 0
        while removed < len(messages):
            at = self._chunk_of(messages[removed])
            if at is None:
                removed += 1
                continue
            chunk, count = self._chunks[at], len(self._chunks[at])
            for message in messages[removed : removed + count]:
                if chunk.pop(message.message_id, None) is None:
                    break
                removed += 1
            self._found_at = at
            self._shrunk(at, count)

    def _chunk_of(self, message: Message) -> int | None:
        chunks, since_ms, at_ms = self._chunks, self._since_ms, message.published_at_ms
        last = bisect_right(since_ms, at_ms) - 1
        if message.message_id in chunks[last]:
            return last
        # Several chunks may have begun in one millisecond.
        first = max(bisect_left(since_ms, at_ms) - 1, 0)
        near = min(self._found_at, len(chunks) - 1)
        for at in chain((near,), range(last - 1, first - 1, -1), _outward(near, len(chunks))):
            if message.message_id in chunks[at]:
                return at
        return None

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


def _outward(near: int, count: int) -> Iterator[int]:
    """All indexes below `count`, those next to `near` first."""
    for distance in range(1, count):
        if near + distance < count:
            yield near + distance
        if near >= distance:
            yield near - distance
