"""Many gaps, told to a subscriber as fast as its socket drains, before it gets anything else.

A start may ask for 10,000 positions that are not there. Written at once, the frames of so many gaps are more
than a connection may have unsent: it would be dropped, and dropped again each time it comes back. Until they
are written they are the connection's: it may be one of many that do not read.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Literal

import msgspec

from conduit.broker.deliver.engine import Engine
from conduit.broker.deliver.subscriber import Outlet
from conduit.protocol.codec import encode_json, server_frame
from conduit.protocol.frames import Gap

# Gaps that are told in one turn of the loop: with the longest names about 70 KB.
GAPS_AT_ONCE_COUNT = 100
# What a gap takes that is not packed.
GAP_BYTES = 300

# A gap's fields.
Reason = Literal["retention", "epoch_changed", "log_lost"]
_unpack = msgspec.json.Decoder(list[tuple[str, int, int | None, Reason, str, str | None]]).decode


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
        self._gaps = deque(gaps)
        # What is told before those, in parts with how many gaps each has.
        self._packed: deque[tuple[int, bytes]] = deque()
        # Frames that came meanwhile: the order of what is told is kept.
        self._behind: deque[bytes] = deque()
        self._told: Callable[[], None] | None = told
        self.size_bytes = GAP_BYTES * len(gaps)
        """What waits takes so much memory, about."""
        self.waiting_count = len(gaps)
        """Gaps that are not written."""
        self.over = asyncio.Event()
        """Set when there is nothing more to be told."""

    @property
    def writable(self) -> bool:
        """See `Outlet.writable`."""
        return self._told is None and self._peer.writable

    @property
    def heard_until(self) -> float:
        """See `Outlet.heard_until`."""
        return self._peer.heard_until

    @property
    def node_name(self) -> str | None:
        """See `Outlet.node_name`."""
        return self._peer.node_name

    def write(self, data: bytes) -> None:
        """See `Outlet.write`; behind the gaps."""
        if self._told is None:
            self._peer.write(data)
        else:
            self._behind.append(data)
            self._count(1, len(data))

    async def pack(self) -> None:
        """Have the gaps as text, which takes an eighth of the memory where nobody else has them too."""
        while gaps := self._take():
            packed = encode_json([msgspec.structs.astuple(gap) for gap in gaps])
            self._packed.append((len(gaps), packed))
            self._count(0, len(packed) - GAP_BYTES * len(gaps))
            await asyncio.sleep(0)

    def run(self) -> None:
        """Tell some of them, if the socket drains; `Turn` calls."""
        if self._told is None or not self._peer.writable:
            return
        if self._packed or self._gaps:
            self._tell_gaps()
        else:
            data = self._behind.popleft()
            self._count(-1, -len(data))
            self._peer.write(data)
        if self.waiting_count:
            self._engine.turn.add(self)
            return
        go_on = self._told
        self.cancel()
        go_on()

    def cancel(self) -> None:
        """Tell nothing more: all is told, or the subscriber has left. Idempotent."""
        self._told = None
        for waiting in (self._gaps, self._packed, self._behind):
            waiting.clear()
        self.waiting_count = self.size_bytes = 0
        self.over.set()

    def _tell_gaps(self) -> None:
        if self._packed:
            count, packed = self._packed.popleft()
            gaps = [Gap(*each) for each in _unpack(packed)]
            self._count(-count, -len(packed))
        else:
            gaps = self._take()
            self._count(-len(gaps), -GAP_BYTES * len(gaps))
        self._engine.stats.gap_count += len(gaps)
        self._peer.write(b"".join(map(server_frame, gaps)))

    def _take(self) -> list[Gap]:
        gaps = self._gaps
        return [gaps.popleft() for _ in range(min(len(gaps), GAPS_AT_ONCE_COUNT))]

    def _count(self, change: int, change_bytes: int) -> None:
        self.waiting_count += change
        self.size_bytes += change_bytes
