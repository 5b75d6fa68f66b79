"""What this node has of the log in memory to deliver it: the tails of topics, and pages that were read.

All of it together stays within one bound. What nobody hands out from at the moment can go at any time, for
the log has it; whoever needs it again reads it again. Pages have half of the bound, and give way first when
they have more; else the tail goes that has not grown for longest. Pages that are being read or handed out are
in use, and cannot go: when they are as much as may be, whoever wants to read waits.
"""

from __future__ import annotations

import abc
from collections import OrderedDict
from collections.abc import Hashable
from typing import Protocol

from conduit.broker.stats import Stats
from conduit.broker.turn import Turn
from conduit.core.rotation import Rotation

# What a read is counted as until its page is here, whose size is about that at most (reader.py).
READ_BYTES = 256 << 10
# How many of those who wait are told in one turn of the loop.
TOLD_MAX_COUNT = 4


class Kept(Protocol):
    """What can be dropped."""

    def drop(self) -> None:
        """Keep it no longer: what is in the log, and not in use."""


class Waking(Protocol):
    """Who waits until it may read."""

    @property
    def whose(self) -> Hashable:
        """The tenant that it is for."""

    def freed(self) -> None:
        """It may be so now; wait again if it is not."""


class Shelf:
    """Things that are kept, with their sizes; the one that was used last is the last to go."""

    __slots__ = ("_sizes", "size_bytes")

    def __init__(self) -> None:
        self._sizes: OrderedDict[Kept, int] = OrderedDict()
        self.size_bytes = 0

    def put(self, what: Kept, size: int) -> None:
        """It was used now, and has this size."""
        self.size_bytes += size - self._sizes.get(what, 0)
        self._sizes[what] = size
        self._sizes.move_to_end(what)

    def take(self, what: Kept) -> None:
        """It is here no longer. Idempotent."""
        self.size_bytes -= self._sizes.pop(what, 0)

    def drop_oldest(self) -> None:
        """Let the one go that was not used for longest; there must be one."""
        what, size = self._sizes.popitem(last=False)
        self.size_bytes -= size
        what.drop()


class WaitingLine(abc.ABC):
    """Those who wait until they may read, in the order of coming, tenants in turn. A few are told in each
    turn of the loop, as long as they may; so one that needs no read any more holds up nobody."""

    __slots__ = ("_turn", "_waiting")

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._waiting: Rotation[Waking] = Rotation()

    @abc.abstractmethod
    def _may_tell(self) -> bool:
        """Whether the next one may read."""

    def wait(self, who: Waking) -> None:
        """Have it told. Whoever waits already keeps its place."""
        self._waiting.put(who.whose, who)

    def freed(self) -> None:
        """They may read, perhaps."""
        if self._waiting:
            self._turn.add(self)

    def run(self) -> None:
        """Tell the next ones; `Turn` calls."""
        for _ in range(TOLD_MAX_COUNT):
            if not self._waiting or not self._may_tell():
                return
            _, who = self._waiting.take()
            who.freed()
        self.freed()


class Budget(WaitingLine):
    """Counts all of it, and lets go what is too much."""

    def __init__(self, turn: Turn, stats: Stats, max_bytes: int) -> None:
        super().__init__(turn)
        self._stats = stats
        self._max_bytes = max_bytes
        self._tails = Shelf()
        self._pages = Shelf()
        self._in_use_bytes = 0

    @property
    def held_bytes(self) -> int:
        """All that is kept or in use."""
        return self._tails.size_bytes + self._pages.size_bytes + self._in_use_bytes

    @property
    def is_full(self) -> bool:
        """Whether what is read now takes the place of something else."""
        return self.held_bytes + READ_BYTES > self._max_bytes

    @property
    def may_read(self) -> bool:
        """Whether one more may read."""
        return not self._in_use_bytes or self._in_use_bytes + READ_BYTES <= self._max_bytes

    def _may_tell(self) -> bool:
        return self.may_read

    def keep_tail(self, tail: Kept, size: int) -> None:
        """The tail has grown to this size."""
        self._tails.put(tail, size)
        self._let_go()

    def forget_tail(self, tail: Kept) -> None:
        """It is kept no longer. Idempotent."""
        self._tails.take(tail)

    def keep_page(self, page: Kept, size: int) -> None:
        """Nobody uses the page now; or it was just looked at."""
        self._pages.put(page, size)
        self._let_go()

    def take_page(self, page: Kept) -> None:
        """The page is in use, and counted as that by whoever uses it; or it is gone."""
        self._pages.take(page)

    def use(self, change_bytes: int) -> None:
        """So much more is in use, or less."""
        self._in_use_bytes += change_bytes
        if change_bytes > 0:
            self._let_go()
        else:
            self.freed()

    def _let_go(self) -> None:
        tails, pages, stats = self._tails, self._pages, self._stats
        while self.held_bytes > self._max_bytes:
            has_pages_too_many = pages.size_bytes + self._in_use_bytes > self._max_bytes // 2
            if pages.size_bytes and (has_pages_too_many or not tails.size_bytes):
                pages.drop_oldest()
                stats.dropped_page_count += 1
            elif tails.size_bytes:
                tails.drop_oldest()
                stats.dropped_tail_count += 1
            else:
                return
