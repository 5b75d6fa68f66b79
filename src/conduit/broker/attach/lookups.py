"""Acks of messages that the index has forgotten: the store is asked which delivery they mean, few at a time.

None is refused: a client may hold more than the index, and an ack in time must count. So while some are
under way the connection is not read any further. That bounds how many wait, and what the client has does
not fail meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from conduit.broker.deliver.reader import Reader

# Frames of one connection that the store is asked for at a time.
AT_ONCE_COUNT = 8

LookUp = Callable[[], Coroutine[Any, Any, None]]


class Lookups:
    """Those of one connection. `on_idle` is called when there are none any more."""

    __slots__ = ("_on_idle", "_reader", "_running_count", "_waiting", "is_busy")

    def __init__(self, reader: Reader, on_idle: Callable[[], None]) -> None:
        self._reader = reader
        self._on_idle = on_idle
        self._running_count = 0
        self._waiting: deque[LookUp] = deque()
        self.is_busy = False
        """Whether there are some: nothing more should be read."""

    def add(self, look_up: LookUp) -> None:
        """Do it when it is its turn."""
        self.is_busy = True
        self._waiting.append(look_up)
        self._go_on()

    def _go_on(self) -> None:
        while self._waiting and self._running_count < AT_ONCE_COUNT:
            self._running_count += 1
            self._reader.spawn(self._run(self._waiting.popleft()))

    async def _run(self, look_up: LookUp) -> None:
        try:
            await look_up()
        finally:
            self._running_count -= 1
            self._go_on()
            if not self._running_count:
                self.is_busy = False
                self._on_idle()
