"""What input may cost: how much of a turn of the loop there is for what one connection has sent, and for all.

A small read is handled as it comes. Of a large one, which may be thousands of frames or requests, so much is
handled in its turn as fits into a connection's share. The rest is kept, the connection is not read, and waits
in one line with others of its kind. In each turn those in the line go on, the first first, while the turn has
time for input. So nobody waits for all that somebody else has sent, and a new connection is served although
others send as fast as they can. See docs/decisions/0030.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from conduit.broker.turn import guarded

# Bytes of one read of a WebSocket. What a connection has in memory while it waits is at most this much.
READ_MAX_BYTES = 16 * 1024
# What one connection's input may take in a turn, and that of all. A turn takes the first at least as long as
# somebody waits: shorter ones would keep Python's lock from other threads (docs/decisions/0029).
SHARE_MAX_S = 0.001
INPUT_MAX_S = 0.005


class Sender(Protocol):
    """A connection that has sent more than it could have handled in one turn."""

    def go_on(self) -> None:
        """Handle more of it, until the time that `Intake.begin` says; wait again if that was not all."""


class Intake:
    """Who has sent more than a turn has time for. One per process, for connections of all kinds.

    `now` is a clock in seconds that goes on while a turn of the loop lasts.
    """

    __slots__ = ("_is_due", "_line", "_until", "buffer", "now")

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self._line: deque[Sender] = deque()
        # Whether `run` is called in the next turn.
        self._is_due = False
        # When the turn has no more time for input; None before there is a large read in it.
        self._until: float | None = None
        self.buffer = memoryview(bytearray(READ_MAX_BYTES))
        """What is read into: one for all, because what is read is taken or copied before the next read."""

    def begin(self) -> float:
        """Until when a connection may handle what it has read; already over if the turn's time is."""
        now = self.now()
        if self._until is None:
            self._until = now + INPUT_MAX_S
            self._schedule()
        return min(now + SHARE_MAX_S, self._until)

    def wait(self, sender: Sender) -> None:
        """Let it go on in a later turn. It sees to it that it waits once only, and is not read meanwhile."""
        self._line.append(sender)
        self._schedule()

    def _schedule(self) -> None:
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._run)

    def _run(self) -> None:
        """A turn begins: those in the line go on, each once."""
        line = self._line
        self._is_due = False
        self._until = until = self.now() + INPUT_MAX_S
        for _ in range(len(line)):
            guarded(line.popleft().go_on)
            if self.now() >= until:
                break
        if line:
            self._schedule()
        else:
            self._until = None
