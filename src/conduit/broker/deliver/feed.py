"""The tail of a topic: frames are built once, and written to every subscriber that is at the end.

Subscribers at one position form the live set. At the end of the turn the frames of the turn are joined
once, and the same bytes go to each. A subscriber that is full or slow leaves the set, is brought forward
by its `Stream` from the tail kept here or from the log, and joins again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from conduit.broker.deliver.entry import Entry, make_entry
from conduit.core.message import NewMessage

if TYPE_CHECKING:
    from conduit.broker.catalog import Topic
    from conduit.broker.deliver.cursor import Stream
    from conduit.broker.deliver.router import Hub

# The tail that is kept in memory for those who are a little behind.
TAIL_MAX_COUNT = 1_024
TAIL_MAX_BYTES = 1 << 20


class Feed:
    """The tail of one topic and the streams that follow it.

    `position` is the last number that went to the live set; the tail may have newer ones for a moment.
    Streams that are live have exactly that position.
    """

    __slots__ = (
        "_tail",
        "_tail_bytes",
        "followers",
        "hub",
        "live",
        "position",
        "subscriber_count",
        "topic",
        "topic_name",
    )

    def __init__(self, topic: Topic, hub: Hub, position: int) -> None:
        self.topic = topic
        self.hub = hub
        self.topic_name = topic.name.encode()
        self.position = position
        # Consecutive numbers, the last one being the newest that this node knows.
        self._tail: list[Entry] = []
        self._tail_bytes = 0
        # Streams that take the joined frames of a turn as they are, and all others.
        self.live: dict[Stream, None] = {}
        self.followers: dict[Stream, None] = {}
        self.subscriber_count = 0

    @property
    def is_followed(self) -> bool:
        """Whether anybody wants the next message."""
        return bool(self.live or self.followers)

    def extend(self, messages: Sequence[NewMessage], first_seq: int) -> None:
        """Take over newly committed messages, to be written at the end of the turn."""
        if first_seq != self._next_seq():
            self._begin_anew()
        put, topic_id = self.hub.index.put, self.topic.topic_id
        for seq, message in enumerate(messages, first_seq):
            entry = make_entry(self.topic_name, message, seq)
            put(message.message_id, topic_id, seq)
            self._tail.append(entry)
            self._tail_bytes += len(entry.frame)
        self.hub.turn.add(self)

    def run(self) -> None:
        """Write the frames of this turn to the live set, and let the other streams go on."""
        tail = self._tail
        if tail and tail[0].seq > self.position + 1:
            # There was a hole before the tail: nobody is live, and all catch up from the log.
            self.position = tail[-1].seq
        entries = self.slice(self.position + 1, len(tail), None)
        if entries:
            data = b"".join([entry.frame for entry in entries])
            self.position = entries[-1].seq
            if self.live:
                self.hub.catch_up.live(self)
            # A copy: a write can fill a socket, and its stream then leaves the set at once.
            for stream in tuple(self.live):
                stream.write_live(entries, data)
        for stream in tuple(self.followers):
            stream.pump()
        self._trim()

    def slice(self, from_seq: int, limit: int, to_seq: int | None) -> list[Entry]:
        """Up to `limit` entries of the tail, beginning exactly with `from_seq`, or none."""
        tail = self._tail
        start = from_seq - tail[0].seq if tail else -1
        if start < 0:
            return []
        end = start + limit
        if to_seq is not None:
            end = min(end, to_seq - tail[0].seq + 1)
        return tail[start:end]

    def skip_to(self, last_seq: int) -> None:
        """Messages were committed while nobody followed: the tail begins anew after them."""
        self._tail.clear()
        self._tail_bytes = 0
        self.position = last_seq

    def _next_seq(self) -> int:
        """The number that follows the newest one known here."""
        return (self._tail[-1].seq if self._tail else self.position) + 1

    def _begin_anew(self) -> None:
        """Others have written to the topic in between: who is live reads that from the log first."""
        for stream in tuple(self.live):
            stream.leave_live()
        self._tail.clear()
        self._tail_bytes = 0

    def _trim(self) -> None:
        # Half of the bound is cut off at once, so that the cost per message is constant.
        if len(self._tail) <= TAIL_MAX_COUNT and self._tail_bytes <= TAIL_MAX_BYTES:
            return
        keep_count, keep_bytes, size = 0, 0, 0
        for entry in reversed(self._tail):
            size = keep_bytes + len(entry.frame)
            if keep_count >= TAIL_MAX_COUNT // 2 or (keep_count and size > TAIL_MAX_BYTES // 2):
                break
            keep_count, keep_bytes = keep_count + 1, size
        del self._tail[: len(self._tail) - keep_count]
        self._tail_bytes = keep_bytes
