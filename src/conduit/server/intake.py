"""What input may cost: how much of a turn of the loop there is for what one connection has sent, and for all.

A small read is handled as it comes. Of a large one, which may be thousands of frames or requests, so much is
handled in its turn as fits into a connection's share. The rest is kept, the connection is not read, and waits
in one line with others of its kind. In each turn those in the line go on, the first first, while the turn has
time for input. So nobody waits for all that somebody else has sent, and a new connection is served although
others send as fast as they can. See docs/decisions/0030.

A request that is not small may come whole with one last byte, and from thousands of connections in one turn.
So it asks first (`admits`), and waits in the same line. What the application answers waits in lanes of its
own: that work is done in later turns, where nobody looks at the clock, so a turn has so many and not so long.
There it is the turn of one tenant after the other, or of one address, where nobody is known. See
docs/decisions/0042.

Reading takes time too, before anybody can say no: only so many are read again in a turn as it has time for.
And turns of input may be short and follow one another for as long as somebody sends, so that a thread of the
store does not get Python's lock: while one needs it, such a turn leaves it to them (docs/decisions/0029).
"""

from __future__ import annotations

import asyncio
import enum
import sys
import time
from collections import deque
from collections.abc import Callable, Hashable
from typing import Protocol

from conduit.broker.turn import guarded
from conduit.core.rotation import Rotation

# Bytes of one read of a WebSocket. What a connection has in memory while it waits is at most this much.
READ_MAX_BYTES = 16 * 1024
# What one connection's input may take in a turn, and that of all. A turn takes the first at least as long as
# somebody waits: shorter ones would keep Python's lock from other threads (docs/decisions/0029).
SHARE_MAX_S = 0.001
INPUT_MAX_S = 0.003
# As many go on in a turn however many reads come when its time is over.
GO_ON_MIN_COUNT = 8
# For how long a turn leaves Python's lock to a thread that needs it: so long takes one to wake up.
LEAVE_LOCK_S = 0.000_05


class Lane(enum.IntEnum):
    """What waits, in the order of a turn."""

    PROBE = 0
    """Whether the process is well: nothing else that is asked makes these wait."""
    SCRAPE = 1
    CONTROL = 2
    """What else the application answers."""
    UPGRADE = 3
    """New WebSockets: when all clients come back they are most of what the server has to do."""
    LOST = 4
    """WebSockets that are gone: what they had goes to others."""
    INPUT = 5


# How many of each lane may begin in a turn, the longest of which take 0.3, 5, 10, 0.2 and 0.03 ms.
ADMITTED_MAX_COUNTS = (4, 1, 1, 8, 64, sys.maxsize)


class Sender(Protocol):
    """A connection that has sent more than it could have handled in one turn."""

    def go_on(self) -> None:
        """Begin what was not admitted; or handle more of what came, until the time that `Intake.begin` says,
        and wait again if that was not all."""


class Intake:
    """Who has sent more than a turn has time for. One per process, for connections of all kinds.

    `now` is a clock in seconds that goes on while a turn of the loop lasts; `needs_lock` says whether a
    thread needs Python's lock now.
    """

    __slots__ = (
        "_gone_on_count",
        "_is_due",
        "_lanes",
        "_late_count",
        "_left",
        "_line",
        "_max_count",
        "_needs_lock",
        "_until",
        "buffer",
        "now",
    )

    def __init__(self, now: Callable[[], float], needs_lock: Callable[[], bool]) -> None:
        self.now = now
        self._needs_lock = needs_lock
        # Of each lane: who waits, and how many more may begin in this turn.
        self._lanes: tuple[Rotation[Sender], ...] = tuple(Rotation() for _ in Lane)
        # Of input the one and only line.
        self._line: deque[Sender] = deque()
        self._left = list(ADMITTED_MAX_COUNTS)
        # Whether `run` is called in the next turn.
        self._is_due = False
        # When the turn has no more time for input; None before there is a large read in it.
        self._until: float | None = None
        # Whoever goes on is read again in the same turn. How many went on in the last one, how many large
        # reads came when its time was over, and how many may go on in the next one.
        self._gone_on_count = self._late_count = 0
        self._max_count = GO_ON_MIN_COUNT
        self.buffer = memoryview(bytearray(READ_MAX_BYTES))
        """What is read into: one for all, because what is read is taken or copied before the next read."""

    def begin(self) -> float:
        """Until when a connection may handle what it has read; already over if the turn's time is."""
        now = self.now()
        if self._until is None:
            self._until = now + INPUT_MAX_S
            self._schedule()
        elif now >= self._until:
            self._late_count += 1
        return min(now + SHARE_MAX_S, self._until)

    def admits(self, lane: Lane) -> bool:
        """Whether a request that is not small may begin now, and pass nobody who waits; if not, `wait`."""
        until = self.begin()
        is_late = lane is not Lane.PROBE and self.now() >= until
        line = self._line if lane is Lane.INPUT else self._lanes[lane]
        if is_late or line or not self._left[lane]:
            return False
        self._left[lane] -= 1
        return True

    def wait(
        self, sender: Sender, lane: Lane = Lane.INPUT, whose: Callable[[], Hashable] | None = None
    ) -> None:
        """Let it go on in a later turn. It sees to it that it waits once only, and is not read meanwhile.
        In other lanes than that of input those that belong together, by `whose`, wait for each other."""
        if lane is Lane.INPUT:
            self._line.append(sender)
        else:
            self._lanes[lane].put(None if whose is None else whose(), sender)
        self._schedule()

    def _schedule(self) -> None:
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._run)

    def _run(self) -> None:
        """A turn begins: those who wait go on, each once."""
        self._is_due = False
        if self._needs_lock():
            time.sleep(LEAVE_LOCK_S)
        self._left[:] = ADMITTED_MAX_COUNTS
        self._until = self.now() + INPUT_MAX_S
        for lane in Lane:
            self._begin_waiting(lane)
        # Those have taken some of it.
        self._until = until = self.now() + INPUT_MAX_S
        line = self._line
        most = min(len(line), self._most())
        self._gone_on_count = 0
        while self._gone_on_count < most:
            self._gone_on_count += 1
            guarded(line.popleft().go_on)
            if self.now() >= until:
                break
        if line or any(self._lanes) or tuple(self._left) != ADMITTED_MAX_COUNTS:
            self._schedule()
        else:
            self._until = None

    def _most(self) -> int:
        """How many may go on, so that the turn has time to read them all again."""
        if self._late_count:
            self._max_count = max(GO_ON_MIN_COUNT, self._gone_on_count - self._late_count)
        elif self._gone_on_count == self._max_count:
            self._max_count *= 2
        self._late_count = 0
        return self._max_count

    def _begin_waiting(self, lane: Lane) -> None:
        waiting = self._lanes[lane]
        while waiting and self._left[lane]:
            self._left[lane] -= 1
            _, sender = waiting.take()
            guarded(sender.go_on)
