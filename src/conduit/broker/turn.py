"""What is to be done once at the end of the loop's turn, however often it was asked for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import ParamSpec, Protocol

from conduit.errors import Unavailable

P = ParamSpec("P")

# Done in one turn of the loop; what is more comes in the next ones, so that nobody else waits for all of it.
TURN_MAX_COUNT = 500

logger = logging.getLogger(__name__)


class Work(Protocol):
    """Something that collects during a turn and acts at its end."""

    def run(self) -> None:
        """Act on what was collected."""


def guarded(call: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
    """Call it as the root of its work: a bug there is logged, and costs nobody else their turn."""
    try:
        call(*args, **kwargs)
    except Exception:
        logger.exception("a callback failed")


def log_failure(log: logging.Logger, what: str, error: Exception) -> None:
    """A store that cannot be used is one line; anything else is a bug, with its trace."""
    if isinstance(error, Unavailable):
        log.warning("%s: %s", what, error)
    else:
        log.error(what, exc_info=error)


class Turn:
    """Coalesces: writes join per connection and turn, acks that came in one read share one pass."""

    __slots__ = ("_scheduled", "_work")

    def __init__(self) -> None:
        # Insertion order is the order of execution.
        self._work: dict[Work, None] = {}
        self._scheduled = False

    def add(self, work: Work) -> None:
        """Run `work` when the callbacks of this turn are through."""
        self._work[work] = None
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self.run)

    def run(self) -> None:
        """Do it, the oldest first. Work that is added meanwhile belongs to the next turn."""
        work, self._work = self._work, {}
        self._scheduled = len(work) > TURN_MAX_COUNT
        if self._scheduled:
            items = list(work)
            work = dict.fromkeys(items[:TURN_MAX_COUNT])
            self._work = dict.fromkeys(items[TURN_MAX_COUNT:])
            asyncio.get_running_loop().call_soon(self.run)
        for item in work:
            guarded(item.run)
