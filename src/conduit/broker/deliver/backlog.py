"""Cursors that hand out from the log take turns: one of them makes one short step in a turn of the loop.

However many are behind, and however far, what is new waits for one step and not for all of them. Tenants take
turns, and the cursors of each in theirs. While
a commit is under way they all wait, but not for long: the thread that commits then has Python's lock
for itself. Steps and pages are the smaller, the more they would disturb: subscribers at the end of the
log, publishers, or nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import NamedTuple, Protocol

from conduit.broker.commits import Commits
from conduit.broker.turn import guarded
from conduit.core.rotation import Rotation

# Publishers can keep the store busy without a pause: then there is one step in this time.
GIVE_WAY_S = 0.002
# So long after a commit, or a message to somebody at the end of the log, the next one is still expected.
QUIET_AFTER_S = 0.1


class Pace(NamedTuple):
    """How much is done at once for those who are behind."""

    step_count: int
    """Messages that are handed out in one turn of the loop."""
    page_count: int
    """Messages that are read at once. The thread that reads them delays a commit whose sync ends on the
    core that it runs on, and needs Python's lock at the end."""


# Measured beside ten subscribers at the end of the log (bench catchup): with BUSY their p99 was 80 % above
# the one without anybody behind, with GENTLE a third. A subscription that is behind its own publisher
# (bench durable) gets half as much again with BUSY, and one alone with QUIET twice what GENTLE gives.
QUIET = Pace(step_count=64, page_count=512)
BUSY = Pace(step_count=64, page_count=128)
GENTLE = Pace(step_count=16, page_count=32)


class Behind(Protocol):
    """What has messages of the log to hand out."""

    @property
    def whose(self) -> Hashable:
        """The tenant that it is for."""

    def step(self, max_count: int) -> None:
        """Hand out so many at most; add yourself again if there are more."""


class Backlog:
    """Who is behind, in the order of their turns; they wait while `commits` are under way."""

    __slots__ = (
        "_busy_until",
        "_commits",
        "_live",
        "_live_until",
        "_patience",
        "_scheduled",
        "_waiting",
    )

    def __init__(self, commits: Commits) -> None:
        self._commits = commits
        self._waiting: Rotation[Behind] = Rotation()
        self._scheduled = False
        # Runs out when a commit takes long, or one follows the other.
        self._patience: asyncio.TimerHandle | None = None
        # On the loop's clock: how long commits are expected, and messages to somebody at the end of the
        # log; and who that is, None if there are several.
        self._busy_until = 0.0
        self._live_until = 0.0
        self._live: object = None

    def pace_of(self, behind: object) -> Pace:
        """The one for now; `behind` does not have to be gentle with itself."""
        now = asyncio.get_running_loop().time()
        if now < self._live_until and self._live is not behind:
            return GENTLE
        return BUSY if now < self._busy_until else QUIET

    def live(self, who: object) -> None:
        """Somebody got a message and is at the end of the log: one cursor, or all of a feed's live set."""
        now = asyncio.get_running_loop().time()
        if now >= self._live_until:
            self._live = who
        elif self._live is not who:
            self._live = None
        self._live_until = now + QUIET_AFTER_S

    def add(self, behind: Behind) -> None:
        """Let it make a step when its turn comes; does nothing if it waits for that already."""
        self._waiting.put(behind.whose, behind)
        self._schedule()

    def discard(self, behind: Behind) -> None:
        """It has nothing to hand out from the log now."""
        self._waiting.discard(behind.whose, behind)

    def committed(self) -> None:
        """Nothing is being committed any more."""
        self._busy_until = asyncio.get_running_loop().time() + QUIET_AFTER_S
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
            self._schedule()

    def _schedule(self) -> None:
        if self._waiting and not self._scheduled and self._patience is None:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._take_turn)

    def _take_turn(self) -> None:
        self._scheduled = False
        if self._commits.is_busy:
            loop = asyncio.get_running_loop()
            self._busy_until = loop.time() + QUIET_AFTER_S
            self._patience = loop.call_later(GIVE_WAY_S, self._give_way_no_more)
        else:
            self._step()

    def _give_way_no_more(self) -> None:
        self._patience = None
        self._step()

    def _step(self) -> None:
        if not self._waiting:
            return
        _, behind = self._waiting.take()
        guarded(behind.step, self.pace_of(behind).step_count)
        self._schedule()
