"""How much of the log one connection may have in use, whatever it has subscribed to.

A cursor that is behind begins to read in its turn, and is busy until it has handed out what it read, or found
no credit for the rest. Only so many cursors of a connection's subscriptions are busy at a time, with so many
bytes. A subscription that several connections share reads for each of them.
"""

from __future__ import annotations

from collections.abc import Hashable

from conduit.broker.deliver.budget import READ_BYTES, Budget, WaitingLine, Waking
from conduit.broker.turn import Turn

# Cursors that read, or hand out what they read.
BUSY_MAX_COUNT = 3
# What they have in use. With what a socket takes before it is not writable any more, and what may be handed
# out at once then (server/websocket.py, source.py), a connection stays under 1 MiB.
IN_USE_MAX_BYTES = 768 << 10


class Reads(WaitingLine):
    """Counts who is busy, and with how much. Who finds it not free waits here, and is told."""

    __slots__ = ("_budget", "_busy_count", "_in_use_bytes", "whose")

    def __init__(self, turn: Turn, budget: Budget, whose: Hashable = None) -> None:
        """`whose`: the tenant of the connection."""
        super().__init__(turn)
        self.whose = whose
        self._budget = budget
        self._busy_count = 0
        self._in_use_bytes = 0

    @property
    def is_free(self) -> bool:
        """Whether one more may read."""
        return self._budget.may_read and (
            not self._busy_count
            or (
                self._busy_count < BUSY_MAX_COUNT
                and self._in_use_bytes + READ_BYTES <= IN_USE_MAX_BYTES
            )
        )

    def may_use(self, more_bytes: int) -> bool:
        """Whether one that is busy may use so much more. If it is the only one, it may."""
        return self._busy_count == 1 or self._in_use_bytes + more_bytes <= IN_USE_MAX_BYTES

    def wait(self, who: Waking) -> None:
        """Have it told when one more may read."""
        super().wait(who)
        if not self._budget.may_read:
            self._budget.wait(self)

    def begin(self) -> None:
        """One more is busy, which only may be if `is_free`."""
        self._busy_count += 1

    def use(self, change_bytes: int) -> None:
        """Those who are busy have so much more in use, or less."""
        self._in_use_bytes += change_bytes
        if change_bytes < 0:
            self.freed()

    def end(self) -> None:
        """One is not busy any more, and has nothing in use."""
        self._busy_count -= 1
        self.freed()

    def _may_tell(self) -> bool:
        if not self._budget.may_read:
            self._budget.wait(self)
        return self.is_free
