"""Who waits in one subscription to hand something out, and whose turn it is.

Four lines with one order. Who could hand out at once, were there credit, stands in the line for credit.
Who has to read the log first, while the subscription reads as much as it may, stands in the line for
reads: it holds up nobody who needs no read. Who has only something new, while too many of the subscription's
deliveries wait for their next attempt, stands in the line for room. Who was given its turn, read, and found
the credit gone when its page came, is first of all when there is credit again.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Protocol


class Waiting(Protocol):
    """What wants credit."""

    def serve(self) -> None:
        """There is credit, and it is your turn: take some of it; wait again if you want more."""


class Line:
    """Gives turns in the order of coming. `waiting` is everybody; it is for asking whether somebody waits."""

    __slots__ = ("_came_count", "_first", "_for_credit", "_for_reads", "_for_room", "waiting")

    def __init__(self) -> None:
        # Each with the order of its coming. In a plain dict the first is the dearer to find, the more went
        # before it.
        self._first: OrderedDict[Waiting, int] = OrderedDict()
        self._for_credit: OrderedDict[Waiting, int] = OrderedDict()
        self._for_reads: OrderedDict[Waiting, int] = OrderedDict()
        self._for_room: OrderedDict[Waiting, int] = OrderedDict()
        self._came_count = 0
        # With the line that it stands in.
        self.waiting: dict[Waiting, OrderedDict[Waiting, int]] = {}

    def wait(self, who: Waiting) -> None:
        """Give it a turn when there is credit. Whoever stands there already keeps its place."""
        self._stand(who, self._for_credit)

    def wait_first(self, who: Waiting) -> None:
        """As above, but before all others: it has had its turn, and used it to read."""
        self._stand(who, self._first)

    def wait_to_read(self, who: Waiting) -> None:
        """Give it a turn when there is credit, and a read may be begun."""
        self._stand(who, self._for_reads)

    def wait_for_room(self, who: Waiting) -> None:
        """Give it a turn when there is credit, and something new may be handed out."""
        self._stand(who, self._for_room)

    def leave(self, who: Waiting) -> None:
        """It does not want a turn any more. Idempotent."""
        line = self.waiting.pop(who, None)
        if line is not None:
            del line[who]

    def take(self, *, may_read: bool, has_room: bool) -> Waiting | None:
        """Whose turn it is, which has left the line then; None if nobody can use one."""
        line = self._first or self._for_credit
        if line is not self._first:
            for other, is_open in ((self._for_reads, may_read), (self._for_room, has_room)):
                if is_open and other and (not line or _came(other) < _came(line)):
                    line = other
        for who in line:
            self.leave(who)
            return who
        return None

    def _stand(self, who: Waiting, line: OrderedDict[Waiting, int]) -> None:
        if self.waiting.get(who) is line:
            return
        self.leave(who)
        self._came_count += 1
        line[who] = self._came_count
        self.waiting[who] = line


def _came(line: OrderedDict[Waiting, int]) -> int:
    """When the first of the line did."""
    return next(iter(line.values()))
