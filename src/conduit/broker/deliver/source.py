"""Where the messages of one cursor come from: the feed's tail, a page of the log, or single reads for what is
handed out again.

Reads are made by tasks of the reader, which calls back. By then the cursor may be elsewhere: its owner checks
that, in `page_arrived` and `again_arrived`. From the first of them until `rest` it is one
of those that a connection lets read (reads.py). After that it keeps its pages as long as there is room for
them (budget.py): acks may come one by one.
"""

from __future__ import annotations

from typing import Protocol

from conduit.broker.deliver.budget import READ_BYTES
from conduit.broker.deliver.engine import Engine
from conduit.broker.deliver.entry import Entry
from conduit.broker.deliver.feed import Feed
from conduit.broker.deliver.group import Group
from conduit.broker.deliver.page import Page
from conduit.broker.deliver.reads import Reads
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
    STALLED, it could not be read; CROWDED, others of its connections read; BEHIND, it was read, and is
    handed out in steps.
    """

    __slots__ = (
        "_again",
        "_engine",
        "_feed",
        "_group",
        "_in_use_bytes",
        "_is_reading",
        "_is_reading_again",
        "_owner",
        "_reads",
        "is_busy",
        "is_fresh",
        "page",
        "stalled_until",
    )

    def __init__(self, engine: Engine, group: Group, feed: Feed, owner: Reading) -> None:
        self._engine = engine
        self._group = group
        self._feed = feed
        # None when it was closed.
        self._owner: Reading | None = owner
        # Where what is new comes from at present, if it is not the tail; and what is due again.
        self.page: Page | None = None
        self._again: Page | None = None
        self._is_reading = False
        self._is_reading_again = False
        # While it is busy, whose memory it uses, and how much.
        self._reads: Reads | None = None
        self._in_use_bytes = 0
        self.is_busy = False
        """Whether it reads, or uses what it read: `rest` has something to do. What it keeps else may go."""
        self.is_fresh = False
        """Whether something was read, and nothing of it handed out since."""
        self.stalled_until = 0.0

    def close(self) -> None:
        """Use nothing more; what is being read is dropped when it comes, and nobody is told."""
        # Each of them holds the other, and with that all that both have.
        self._owner = None
        self.drop()
        self.rest()

    def rest(self) -> None:
        """Its owner does nothing with it until something else happens: let others read."""
        reads = self._reads
        if reads is None or self._is_reading or self._is_reading_again:
            return
        for page in (self.page, self._again):
            if page is not None:
                page.end_use()
        reads.use(-self._in_use_bytes)
        self._in_use_bytes = 0
        self._reads = None
        self.is_busy = False
        reads.end()

    def drop(self) -> None:
        """Forget what was read."""
        self._take(None)
        self._take_again(None)
        self.is_fresh = False

    def stall(self, now: float) -> None:
        """Something went wrong: wait before it is tried again."""
        self.stalled_until = now + STALL_S

    # What is new ----------------------------------------------------------------------------------

    def new(self, first: int, limit: int, step_count: int, now: float) -> list[Entry] | State:
        """Up to `limit` messages from `first` on; of a page of the log, up to `step_count`."""
        entries = self._feed.slice(first, limit, self._feed.position)
        if entries:
            if self.page is not None:
                self._take(None)
            self.is_fresh = False
            return entries if len(entries) == 1 else _within_bytes(entries)
        if not self.has(first) and (self._is_reading or not self._has_cached(first)):
            return self._read(first, now)
        # With a page as without: those who have one do not pass those who have to read.
        if not self._begin(0):
            return State.CROWDED
        if not step_count:
            return State.BEHIND
        assert self.page is not None
        self.is_fresh = False
        return _within_bytes(self.page.slice(first, min(limit, step_count)))

    def has(self, seq: int) -> bool:
        """Whether the message with this number was read, to be handed out for the first time."""
        return self.page is not None and self.page.has(seq)

    def _has_cached(self, first: int) -> bool:
        """Whether somebody else has read what is to come."""
        page = self._engine.reader.cached(
            self._feed.topic, first, self._read_count(), self._feed.position
        )
        if page is not None:
            self._take(page)
        return page is not None

    def _read(self, first: int, now: float) -> State:
        if self._is_reading:
            return State.FETCHING
        if self._is_stalled(now):
            return State.STALLED
        if not self._begin(READ_BYTES - (0 if self.page is None else self.page.size_bytes)):
            return self._crowded()
        self._is_reading = True
        self._take(None)
        self.is_fresh = False
        feed = self._feed
        self._engine.breakers.ask(feed.topic)
        self._engine.reader.fetch(
            feed.topic, first, self._read_count(), feed.position, self._arrived
        )
        return State.FETCHING

    def _is_stalled(self, now: float) -> bool:
        """Whether it has to wait before it reads; as long as the log cannot be read, for whoever tries."""
        if now >= self.stalled_until:
            self.stalled_until = self._engine.breakers.opens_at(self._feed.topic)
        return now < self.stalled_until

    def _read_count(self) -> int:
        count = self._engine.backlog.pace_of(self._owner).page_count
        if self._group.waiting:
            # Others want a turn: what one turn hands out is enough, or what there is credit for, where the
            # rest would not be kept until the next turn.
            count = min(count, HAND_MAX_COUNT)
            if self._engine.budget.is_full:
                count = max(min(count, self._group.credit), 1)
        return count

    def _arrived(self, first: int, page: Page | ConduitError, last_seq: int) -> None:
        self._is_reading = False
        self._engine.breakers.heard(self._feed.topic, page)
        if self._owner is None:
            self.rest()
            return
        gone_to = None
        if isinstance(page, ConduitError):
            self._take(None)
            self.stall(self._engine.clock.now())
        else:
            self._take(page)
            self.is_fresh = not page.is_empty
            first_stored = last_seq + 1 if page.is_empty else page.first_seq
            # More may have gone since it was read.
            first_stored = max(first_stored, self._feed.topic.first_seq)
            if first_stored > first:
                gone_to = first_stored - 1
        self._owner.page_arrived(first, gone_to)

    # What comes again -----------------------------------------------------------------------------

    def again(self, seq: int, now: float) -> Entry | State:
        """The message with this number."""
        found = self._feed.slice(seq, 1, None)
        if found:
            return found[0]
        page = self._again
        if page is not None and page.has(seq):
            self.is_fresh = False
            return page.slice(seq, 1)[0]
        if self._is_reading_again:
            return State.FETCHING
        if self._is_stalled(now):
            return State.STALLED
        if not self._begin(READ_BYTES - (0 if page is None else page.size_bytes)):
            return self._crowded()
        self._is_reading_again = True
        self._take_again(None)
        name = self._group.name or ""
        self._engine.breakers.ask(self._feed.topic)
        self._engine.reader.fetch_again(self._feed.topic, name, seq, self._found_again)
        return State.FETCHING

    def _found_again(self, seq: int, page: Page | ConduitError) -> None:
        self._is_reading_again = False
        self._engine.breakers.heard(self._feed.topic, page)
        if self._owner is None:
            self.rest()
            return
        is_lost = False
        if isinstance(page, ConduitError):
            self._take_again(None)
            self.stall(self._engine.clock.now())
        else:
            self._take_again(page)
            self.is_fresh = not page.is_empty
            is_lost = not page.has(seq)
        self._owner.again_arrived(seq, is_lost=is_lost)

    # What it uses ---------------------------------------------------------------------------------

    def _begin(self, growth_bytes: int) -> bool:
        """Be one of those that read, who may use so much more; False if that is not possible now."""
        if self._reads is not None:
            if growth_bytes <= 0 or self._reads.may_use(growth_bytes):
                return True
            # What it has goes first: with that it would come here again as soon as it may read.
            self._take(None)
            self._take_again(None)
            return self._reads.may_use(READ_BYTES)
        reads = self._group.free_reads()
        if reads is None:
            return False
        reads.begin()
        self._reads = reads
        self.is_busy = True
        # From its turn before, if they are still there.
        for page in (self.page, self._again):
            if page is not None:
                page.begin_use()
        self._count()
        return True

    def _crowded(self) -> State:
        # With a read under way it keeps its place among those that read. It would find no room as often as
        # another subscriber's connection has some; what it reads is told when it comes.
        is_waiting = self._is_reading or self._is_reading_again
        return State.FETCHING if is_waiting else State.CROWDED

    def _take(self, page: Page | None) -> None:
        before, self.page = self.page, page
        self._swap(before, page)

    def _take_again(self, page: Page | None) -> None:
        before, self._again = self._again, page
        self._swap(before, page)

    def _swap(self, before: Page | None, page: Page | None) -> None:
        if self.is_busy:
            if page is not None:
                page.begin_use()
            if before is not None:
                before.end_use()
            self._count()

    def _count(self) -> None:
        assert self._reads is not None
        size = READ_BYTES * (self._is_reading + self._is_reading_again)
        for each in (self.page, self._again):
            size += 0 if each is None else each.size_bytes
        change, self._in_use_bytes = size - self._in_use_bytes, size
        self._reads.use(change)


def _within_bytes(entries: list[Entry]) -> list[Entry]:
    """As many of them as HAND_MAX_BYTES allows, at least one."""
    size = 0
    for index, entry in enumerate(entries):
        size += len(entry.frame)
        if size > HAND_MAX_BYTES:
            return entries[: max(index, 1)]
    return entries
