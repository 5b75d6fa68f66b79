"""Where the messages of one cursor come from: the feed's tail, a page of the log, or single reads for what is
handed out again.

Reads are made by tasks of the reader, which calls back. By then the cursor may be closed or elsewhere:
its owner checks that, in `page_arrived` and `again_arrived`.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Protocol

from conduit.broker.deliver.engine import Engine
from conduit.broker.deliver.entry import Entry
from conduit.broker.deliver.feed import Feed
from conduit.broker.deliver.group import READS_MAX_COUNT, Group
from conduit.broker.deliver.reader import Page
from conduit.errors import ConduitError

# What is written to one subscriber at a time, so that competing ones take turns and a socket that fills
# up is noticed before much more is queued on it.
HAND_MAX_COUNT = 64
HAND_MAX_BYTES = 128 << 10
# After a read that failed the store is given this long.
STALL_S = 0.25


class Lack(Enum):
    """Why there is no message to hand out now."""

    READING = auto()
    """A page is being read; `page_arrived` is called."""
    STALLED = auto()
    """The log could not be read, and is not asked again before `stalled_until`."""
    CROWDED = auto()
    """The subscription reads as much as it may at a time."""
    NOT_YET = auto()
    """There is a page; messages of it are handed out in steps."""


class Reading(Protocol):
    """Whose messages they are."""

    def page_arrived(self, first: int, gone_to: int | None) -> None:
        """The page from `first` on is here, or could not be read. `gone_to`: the log has lost everything
        from `first` up to that number."""

    def again_arrived(self, seq: int, *, is_lost: bool) -> None:
        """The message that was asked for is here, or could not be read, or is lost for ever."""


class Source:
    """Finds messages for one cursor. `stalled_until` is the time before which nothing is read."""

    __slots__ = (
        "_again",
        "_engine",
        "_feed",
        "_group",
        "_is_reading",
        "_is_reading_again",
        "_owner",
        "page",
        "stalled_until",
    )

    def __init__(self, engine: Engine, group: Group, feed: Feed, owner: Reading) -> None:
        self._engine = engine
        self._group = group
        self._feed = feed
        self._owner = owner
        # Where what is new comes from at present, if it is not the tail.
        self.page: Page | None = None
        self._is_reading = False
        # What is due again, by number.
        self._again: dict[int, Entry] = {}
        self._is_reading_again = False
        self.stalled_until = 0.0

    def close(self) -> None:
        """Keep nothing; what is being read is dropped."""
        self.page = None
        self._again = {}

    def stall(self, now: float) -> None:
        """Something went wrong: wait before it is tried again."""
        self.stalled_until = now + STALL_S

    # What is new ----------------------------------------------------------------------------------

    def new(self, first: int, limit: int, step_count: int, now: float) -> list[Entry] | Lack:
        """Up to `limit` messages from `first` on; of a page of the log, up to `step_count`."""
        entries = self._feed.slice(first, limit, self._feed.position)
        if entries:
            self.page = None
            return entries if len(entries) == 1 else _within_bytes(entries)
        if self.page is None or not self.page.has(first):
            return self._read(first, now)
        if not step_count:
            return Lack.NOT_YET
        return _within_bytes(self.page.slice(first, min(limit, step_count)))

    def _read(self, first: int, now: float) -> Lack:
        if self._is_reading:
            return Lack.READING
        if now < self.stalled_until:
            return Lack.STALLED
        if self._group.reads_count >= READS_MAX_COUNT:
            return Lack.CROWDED
        self._is_reading = True
        self.page = None
        self._group.reads_count += 1
        count = self._engine.backlog.pace_of(self._owner).page_count
        feed = self._feed
        self._engine.reader.fetch(feed.topic, first, count, feed.position, self._arrived)
        return Lack.READING

    def _arrived(self, first: int, page: Page | ConduitError, last_seq: int) -> None:
        self._is_reading = False
        self._group.reads_count -= 1
        self._group.freed()
        gone_to = None
        if isinstance(page, ConduitError):
            self.stall(self._engine.clock.now())
        else:
            self.page = page
            first_stored = page.first_seq or last_seq + 1
            if first_stored > first:
                gone_to = first_stored - 1
        self._owner.page_arrived(first, gone_to)

    # What comes again -----------------------------------------------------------------------------

    def again(self, seq: int, now: float) -> Entry | Lack:
        """The message with this number."""
        found = self._feed.slice(seq, 1, None)
        if found:
            return found[0]
        entry = self._again.get(seq)
        if entry is not None:
            return entry
        if self._is_reading_again:
            return Lack.READING
        if now < self.stalled_until:
            return Lack.STALLED
        self._is_reading_again = True
        name = self._group.name or ""
        self._engine.reader.fetch_again(self._feed.topic, name, seq, self._found_again)
        return Lack.READING

    def nothing_again(self) -> None:
        """Nothing is due again: what was read for that is not needed."""
        if self._again:
            self._again = {}

    def _found_again(self, seq: int, entries: dict[int, Entry] | ConduitError) -> None:
        self._is_reading_again = False
        is_lost = False
        if isinstance(entries, ConduitError):
            self.stall(self._engine.clock.now())
        else:
            self._again = entries
            is_lost = seq not in entries
        self._owner.again_arrived(seq, is_lost=is_lost)


def _within_bytes(entries: list[Entry]) -> list[Entry]:
    """As many of them as HAND_MAX_BYTES allows, at least one."""
    size = 0
    for index, entry in enumerate(entries):
        size += len(entry.frame)
        if size > HAND_MAX_BYTES:
            return entries[: max(index, 1)]
    return entries
