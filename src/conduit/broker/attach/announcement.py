"""Many gaps, told to a subscriber as fast as its socket drains, before it gets anything else.

A start may ask for 10,000 positions that are not there. Written at once, the frames of so many gaps are more
than a connection may have unsent: it would be dropped, and dropped again each time it comes back.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from conduit.broker.deliver.engine import Engine
from conduit.broker.deliver.subscriber import Outlet
from conduit.protocol.codec import server_frame
from conduit.protocol.frames import Gap

# Gaps that are told in one turn of the loop: with the longest names about 70 KB.
GAPS_AT_ONCE_COUNT = 100


class Announcement:
    """The outlet of a subscriber that is told gaps first: it is not writable until they are written.

    `told` is called then, once, unless it is cancelled. Let it go on by `engine.turn.add` when the peer's
    `writable` has changed.
    """

    def __init__(
        self, engine: Engine, peer: Outlet, gaps: list[Gap], told: Callable[[], None]
    ) -> None:
        self._engine = engine
        self._peer = peer
        # And frames that came meanwhile: the order of what is told is kept.
        self._gaps: deque[Gap | bytes] = deque(gaps)
        self._told: Callable[[], None] | None = told
        self.over = asyncio.Event()
        """Set when there is nothing more to be told."""

    @property
    def waiting_count(self) -> int:
        """Gaps that are not written."""
        return len(self._gaps)

    @property
    def writable(self) -> bool:
        """See `Outlet.writable`."""
        return self._told is None and self._peer.writable

    @property
    def is_heard(self) -> bool:
        """See `Outlet.is_heard`."""
        return self._peer.is_heard

    def write(self, data: bytes) -> None:
        """See `Outlet.write`; behind the gaps."""
        if self._told is None:
            self._peer.write(data)
        else:
            self._gaps.append(data)

    def run(self) -> None:
        """Tell some of them, if the socket drains; `Turn` calls."""
        if self._told is None or not self._peer.writable:
            return
        for _ in range(min(len(self._gaps), GAPS_AT_ONCE_COUNT)):
            told = self._gaps.popleft()
            if isinstance(told, Gap):
                self._engine.stats.gap_count += 1
                told = server_frame(told)
            self._peer.write(told)
        if self._gaps:
            self._engine.turn.add(self)
            return
        go_on = self._told
        self.cancel()
        go_on()

    def cancel(self) -> None:
        """Tell nothing more: all is told, or the subscriber has left. Idempotent."""
        self._told = None
        self._gaps.clear()
        self.over.set()
