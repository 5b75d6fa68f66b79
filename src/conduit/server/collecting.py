"""Python's garbage collector, kept from holding up the loop.

Theory of operation. Almost everything here is freed by its last reference; the collector is for cycles, of
which a server that runs makes next to none (tests/server/test_leaving_nothing.py). But its full collections
visit all that the server keeps, and the more that is, the longer the loop stands still: 0.1 s for each
million objects. So whatever a full collection has left over is frozen, and not visited again: the next
one visits what has come since, which is little, because it comes soon. What is frozen is freed by its last
reference as ever. A cycle that breaks away after it was frozen stays; should so many of them come that memory
doubles, everything is collected once, which is logged.

Python collects when so many objects more have been made than freed, and of those that were frozen it counts
that they are freed. So when all clients are lost and come back, it takes nothing for new until it visits all
of them at once: 0.1 s for 5,000. Therefore it is asked to collect whenever some WebSockets have come for
others.
"""

from __future__ import annotations

import gc
import logging
import os
from time import perf_counter

import msgspec

logger = logging.getLogger(__name__)

# Python's own: so many objects more before the young are collected, and so often before the middle-aged are.
YOUNG_COUNT = 700
MIDDLE_COUNT = 10
# Every second time all are that are not frozen: at most 15,000, in a few milliseconds. Python's own is 10.
FULL_COUNT = 0
_FULL = 2
# WebSockets, of some fifty objects each, that may come for others before there is a collection.
REPLACED_MAX_COUNT = 128

# Everything is collected when resident memory has grown by this factor, and by so much, since the last time.
GROWTH_FACTOR = 2.0
GROWTH_MIN_BYTES = 512 << 20


class Pauses(msgspec.Struct):
    """How long the collector has held up everything, since the start."""

    count: int = 0
    total_s: float = 0.0
    longest_s: float = 0.0

    def add(self, pause_s: float) -> None:
        """There was one more."""
        self.count += 1
        self.total_s += pause_s
        self.longest_s = max(self.longest_s, pause_s)


class Growth:
    """Whether memory has grown beyond reason since everything was collected."""

    def __init__(self, resident_bytes: int) -> None:
        self._base_bytes = resident_bytes

    def is_beyond_reason(self, resident_bytes: int) -> bool:
        """Whether there may be so much garbage that everything should be collected."""
        base_bytes = self._base_bytes
        return resident_bytes >= max(GROWTH_FACTOR * base_bytes, base_bytes + GROWTH_MIN_BYTES)

    def collected(self, resident_bytes: int) -> None:
        """Everything was, and so much is left."""
        self._base_bytes = resident_bytes


class Collecting:
    """The collector of this process, from `start` to `stop`. Call `look` about once a second."""

    def __init__(self) -> None:
        self.pauses = Pauses()
        # WebSockets that are gone and not replaced; and those that came for others since the last collection.
        self._left_count = self._replaced_count = 0
        self._growth = Growth(_resident_bytes())
        self._began_s = 0.0
        self._thresholds = gc.get_threshold()

    def start(self) -> None:
        """Freeze all that there is: imports and the API, and what was loaded from the store. There is next to
        no garbage in it. Python begins to collect by itself if it did not."""
        gc.set_threshold(YOUNG_COUNT, MIDDLE_COUNT, FULL_COUNT)
        _freeze_all()
        gc.enable()
        self._growth.collected(_resident_bytes())
        gc.callbacks.append(self._called)

    def stop(self) -> None:
        """Have it collect as Python does; what is frozen stays so. Idempotent."""
        if self._is_running:
            gc.callbacks.remove(self._called)
            gc.set_threshold(*self._thresholds)

    def came(self) -> None:
        """There is a WebSocket more."""
        if not self._left_count:
            return
        self._left_count -= 1
        self._replaced_count += 1
        if self._replaced_count >= REPLACED_MAX_COUNT and self._is_running:
            self._replaced_count = 0
            gc.collect()

    def left(self) -> None:
        """And one less."""
        self._left_count += 1

    @property
    def _is_running(self) -> bool:
        return self._called in gc.callbacks

    def look(self) -> None:
        """Collect everything if memory has grown beyond reason."""
        if not self._growth.is_beyond_reason(before_bytes := _resident_bytes()):
            return
        began_s = perf_counter()
        found_count = _collect_all()
        took_s = perf_counter() - began_s
        after_bytes = _resident_bytes()
        self._growth.collected(after_bytes)
        logger.info(
            "memory has grown to %d MiB: collected %d objects of garbage in %.0f ms, %d MiB are left",
            before_bytes >> 20,
            found_count,
            1000 * took_s,
            after_bytes >> 20,
        )

    def _called(self, phase: str, info: dict[str, int]) -> None:
        """The collector begins or has ended, in any thread; it calls."""
        if phase == "start":
            self._began_s = perf_counter()
            return
        if info["generation"] == _FULL:
            gc.freeze()
        self.pauses.add(perf_counter() - self._began_s)


def _collect_all() -> int:
    """Collect what is frozen too, and freeze what is left; how many objects were garbage."""
    gc.unfreeze()
    found_count = gc.collect()
    _freeze_all()
    return found_count


def _freeze_all() -> None:
    """Freeze what there is, garbage too."""
    gc.freeze()
    # Python waits with the next full collection until a quarter of what the last one left over has come
    # anew, also if that is frozen by now. After this one that is nothing.
    gc.collect()


def _resident_bytes() -> int:
    """Of this process; 0 where the system does not say."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
