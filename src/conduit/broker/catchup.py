"""Streams that hand out from the log take turns: one of them makes one short step in a turn of the loop.

However many are behind, and however far, what is new waits for one step and not for all of them. While
a commit is under way they all wait, but not for long: the thread that commits then has Python's lock
for itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from conduit.broker.turn import guarded

# Publishers can keep the store busy without a pause: then there is one step in this time.
GIVE_WAY_S = 0.002


class Behind(Protocol):
    """What has messages of the log to hand out."""

    def step(self) -> None:
        """Hand out a few; add yourself again if there are more."""


class CatchUp:
    """Who is behind, in the order of their turns. `is_committing` says whether to wait."""

    __slots__ = ("_patience", "_scheduled", "_waiting", "is_committing")

    def __init__(self) -> None:
        self.is_committing: Callable[[], bool] = lambda: False
        self._waiting: dict[Behind, None] = {}
        self._scheduled = False
        # Runs out when a commit takes long, or one follows the other.
        self._patience: asyncio.TimerHandle | None = None

    def add(self, behind: Behind) -> None:
        """Let it make a step when its turn comes; does nothing if it waits for that already."""
        self._waiting[behind] = None
        self._schedule()

    def committed(self) -> None:
        """Nothing is being committed any more."""
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
        if self.is_committing():
            self._patience = asyncio.get_running_loop().call_later(
                GIVE_WAY_S, self._give_way_no_more
            )
        else:
            self._step()

    def _give_way_no_more(self) -> None:
        self._patience = None
        self._step()

    def _step(self) -> None:
        behind = next(iter(self._waiting))
        del self._waiting[behind]
        guarded(behind.step)
        self._schedule()
