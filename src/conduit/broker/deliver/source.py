"""Where the messages of one cursor come from: the feed's tail, a page of the log, or single reads for what is
handed out again.

Reads are made by tasks of the reader, which calls back. By then the cursor may be closed or elsewhere:
its owner checks that, in `page_arrived` and `again_arrived`. From the first of them until `rest` it is one
of those that the subscription lets read (reads.py).
"""

from __future__ import annotations

from typing import Protocol

from conduit.broker.deliver.engine import Engine
from conduit.broker.deliver.entry import Entry
from conduit.broker.deliver.feed import Feed
from conduit.broker.deliver.group import Group
from conduit.broker.deliver.reader import Page
from conduit.broker.deliver.states import State
from conduit.errors import ConduitError

# What is written to one subscriber at a time, so that competing ones take turns and a socket that fills
# up is noticed before much more is queued on it.
HAND_MAX_COUNT = 64
HAND_MAX_BYTES = 128 << 10
# After a read that failed the store is given this long.
STALL_S = 0.25


class Reading(Protocol):
    """Whose messages they are."""

    def page_arrived(self, first: int, gone_to: int | None) -> None:
        """The page from `first` on is here, or could not be read. `gone_to`: the log has lost everything
        from `first` up to that number."""

    def again_arrived(self, seq: int, *, is_lost: bool) -> None:
        """The message that was asked for is here, or could not be read, or is lost for ever."""


class Source:
    """Finds messages for one cursor. `stalled_until` is the time before which nothing is read.

    Where there is none to hand out now, the cursor's next state says why: FETCHING, the log is being read;
    STALLED, it could not be read; CROWDED, others of the subscription read; BEHIND, it was read, and is
    handed out in steps.
    """

    __slots__ = (
        "_again",
        "_engine",
        "_feed",
        "_group",
        "_is_busy",
        "_is_reading",
        "_is_reading_again",
        "_owner",
        "is_fresh",
        "is_holding",
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
        # Whether it is one of those that read.
        self._is_busy = False
        self.is_holding = False
        """Whether it reads or has something of the log: `rest` has something to do."""
        self.is_fresh = False
        """Whether something was read, and nothing of it handed out since."""
        self.stalled_until = 0.0

    def close(self) -> None:
        """Keep nothing; what is being read is dropped."""
        self.drop()
        self.rest(0)

    def rest(self, first: int) -> None:
        """Its owner does nothing with it until something else happens: let others read. What is to be
        handed out next is `first`."""
        if self._is_reading or self._is_reading_again:
            return
        if not self.has(first):
            self.page = None
        size = 0 if self.page is None else self.page.size_bytes
        size += sum(len(entry.frame) for entry in self._again.values())
        if size:
            self._group.reads.keep(self, size)
        else:
            self._group.reads.forget(self)
        self.is_holding = size > 0
        if self._is_busy:
            self._is_busy = False
            self._group.reads.end()

    def drop(self) -> None:
        """Forget what was read."""
        self.page = None
        self._again = {}
        self.is_fresh = False

    def stall(self, now: float) -> None:
        """Something went wrong: wait before it is tried again."""
        self.stalled_until = now + STALL_S

    # What is new ----------------------------------------------------------------------------------

    def new(self, first: int, limit: int, step_count: int, now: float) -> list[Entry] | State:
        """Up to `limit` messages from `first` on; of a page of the log, up to `step_count`."""
        entries = self._feed.slice(first, limit, self._feed.position)
        if entries:
            self.page = None
            self.is_fresh = False
            return entries if len(entries) == 1 else _within_bytes(entries)
        if not self.has(first):
            return self._read(first, now)
        assert self.page is not None
        if not step_count:
            return State.BEHIND
        self.is_fresh = False
        return _within_bytes(self.page.slice(first, min(limit, step_count)))

    def has(self, seq: int) -> bool:
        """Whether the message with this number was read, to be handed out for the first time."""
        return self.page is not None and self.page.has(seq)

    def _read(self, first: int, now: float) -> State:
        if self._is_reading:
            return State.FETCHING
        if self._is_stalled(now):
            return State.STALLED
        if not self._begin():
            return State.CROWDED
        self._is_reading = True
        self.page = None
        self.is_fresh = False
        count = self._engine.backlog.pace_of(self._owner).page_count
        if self._group.waiting:
            # Others want a turn: what one turn hands out is enough.
            count = min(count, HAND_MAX_COUNT)
        feed = self._feed
        self._engine.breakers.ask(feed.topic)
        self._engine.reader.fetch(feed.topic, first, count, feed.position, self._arrived)
        return State.FETCHING

    def _is_stalled(self, now: float) -> bool:
        """Whether it has to wait before it reads; as long as the log cannot be read, for whoever tries."""
        if now >= self.stalled_until:
            self.stalled_until = self._engine.breakers.opens_at(self._feed.topic)
        return now < self.stalled_until

    def _begin(self) -> bool:
        """Become one of those that read; False if they are as many as may."""
        reads = self._group.reads
        if not self._is_busy:
            if not reads.is_free:
                return False
            reads.begin()
            self._is_busy = self.is_holding = True
        return True

    def _arrived(self, first: int, page: Page | ConduitError, last_seq: int) -> None:
        self._is_reading = False
        self._engine.breakers.heard(self._feed.topic, page)
        gone_to = None
        if isinstance(page, ConduitError):
            self.stall(self._engine.clock.now())
        else:
            self.page = page
            self.is_fresh = page.first_seq is not None
            first_stored = page.first_seq or last_seq + 1
            if first_stored > first:
                gone_to = first_stored - 1
        self._owner.page_arrived(first, gone_to)

    # What comes again -----------------------------------------------------------------------------

    def again(self, seq: int, now: float) -> Entry | State:
        """The message with this number."""
        found = self._feed.slice(seq, 1, None)
        if found:
            return found[0]
        entry = self._again.get(seq)
        if entry is not None:
            self.is_fresh = False
            return entry
        if self._is_reading_again:
            return State.FETCHING
        if self._is_stalled(now):
            return State.STALLED
        if not self._begin():
            return State.CROWDED
        self._is_reading_again = True
        name = self._group.name or ""
        self._engine.breakers.ask(self._feed.topic)
        self._engine.reader.fetch_again(self._feed.topic, name, seq, self._found_again)
        return State.FETCHING

    def nothing_again(self) -> None:
        """Nothing is due again: what was read for that is not needed."""
        if self._again:
            self._again = {}

    def _found_again(self, seq: int, entries: dict[int, Entry] | ConduitError) -> None:
        self._is_reading_again = False
        self._engine.breakers.heard(self._feed.topic, entries)
        is_lost = False
        if isinstance(entries, ConduitError):
            self.stall(self._engine.clock.now())
        else:
            self._again = entries
            self.is_fresh = bool(entries)
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
