"""Deliveries that have come and wait for the application, and how they are kept from timing out.

The time of an attempt is meant for the application's work. A window of 256 deliveries that are worked
on one after the other would time out while it waits here, and end as dead letters. So the client
extends what waits, and starts its time anew when the application takes it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

from conduit.protocol.frames import MessageFrame

# How often to look; the shortest time of an attempt that is kept safely is twice as long.
HOLD_INTERVAL_S = 0.25
HOLD_MS = 10_000
# Then it may time out, and go to another subscriber: the application here does not move.
HOLD_MAX_S = 600.0


class Inbox(asyncio.Queue[MessageFrame | Exception]):
    """A bounded queue that can be looked into and emptied."""

    # What the base class keeps its items in; its stub does not say so.
    _queue: deque[MessageFrame | Exception]

    def messages(self) -> list[MessageFrame]:
        """What waits, oldest first."""
        return [item for item in self._queue if isinstance(item, MessageFrame)]

    def drop(self) -> None:
        """Forget what waits."""
        while not self.empty():
            self.get_nowait()


class Holds:
    """Which deliveries are extended, since when and until when. Pure: the caller reads the clock."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, int], tuple[float, float]] = {}

    def due(self, waiting: Iterable[MessageFrame], now: float) -> list[MessageFrame]:
        """Those that must be extended by HOLD_MS now. What waits no more is forgotten."""
        held: dict[tuple[str, int], tuple[float, float]] = {}
        due: list[MessageFrame] = []
        for message in waiting:
            since, until = self._held.get((message.message_id, message.attempt), (now, now))
            if until - now < HOLD_MS / 2000 and now - since < HOLD_MAX_S:
                due.append(message)
                until = now + HOLD_MS / 1000
            held[message.message_id, message.attempt] = since, until
        self._held = held
        return due

    def is_held(self, message: MessageFrame) -> bool:
        """Whether the delivery was extended while it waited."""
        return (message.message_id, message.attempt) in self._held
