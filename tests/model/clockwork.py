"""An event loop whose time passes only when it is told to, and that knows when nothing moves any more.

The loop asks its selector whether there is something to read, and how long it may wait for that. A wait
means that no callback is ready: the loop is idle. So the selector here never waits. It wakes those who
wait for idleness; if there are none, it lets the time jump to the next timer. Only calls that run in
threads (`outside`) are waited for as they are elsewhere.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Mapping
from typing import Any

# Longer than any call of a store takes: a test that hangs must say so.
OUTSIDE_MAX_S = 20.0


class _Selector(selectors.BaseSelector):
    """The real one, asked only when threads may have something to say."""

    def __init__(self) -> None:
        self._real = selectors.DefaultSelector()
        self.loop: VirtualLoop

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            return []
        if self.loop.outside:
            events = self._real.select(OUTSIDE_MAX_S)
            assert events, "a thread does not answer"
            return events
        self.loop.nothing_moves(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """`jump` moves its time, `idle` waits until nothing moves; neither takes any."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._waiters: list[asyncio.Future[None]] = []
        self.outside = 0
        """Calls under way in threads: while there are any, the loop is not idle."""
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self._seconds

    def jump(self, seconds: float) -> None:
        """Let so much time pass at once: what is due by then runs in the next turn, once."""
        self._seconds += seconds

    async def idle(self) -> None:
        """Return when no callback is ready and no thread works; timers that are not due may be left."""
        waiter = self.create_future()
        self._waiters.append(waiter)
        await waiter

    def nothing_moves(self, until_next_timer: float | None) -> None:
        """For the selector: wake who waits for this, or go on to the next timer."""
        if self._waiters:
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)
        elif until_next_timer is None:
            raise RuntimeError("everybody waits, and for nothing")
        else:
            self._seconds += until_next_timer
