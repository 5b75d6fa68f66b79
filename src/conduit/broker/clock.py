"""The clocks: one for deadlines, one for stamps, and what joins them over restarts.

A deadline is on `now`, which nobody can set. A stamp is what the wall clock says at the moment. Ages are
neither: `store_time.py`. A lease, which others count as well, is on `boot_s`.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from conduit.core.timeline import Reading

# Linux gives it anew at each boot; containers see that of their host.
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# Goes on while the machine sleeps, which the monotonic clock of Linux does not.
_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Clock(Protocol):
    """Where the broker's time comes from; tests have one that they move by hand."""

    def now(self) -> float:
        """Seconds that neither jump nor go back: for deadlines. Only differences mean anything, and
        only within this process."""

    def wall_ms(self) -> int:
        """Milliseconds since the epoch, UTC, as the machine has it at this moment: for stamps. It jumps
        when the machine's clock is set."""

    def reading(self) -> Reading:
        """The wall clock, and how long the machine has been up."""


class SystemClock:
    """The machine's clocks."""

    def __init__(self) -> None:
        # So that a time in a log or a debugger looks like one.
        self._offset_s = time.time() - time.monotonic()
        self._boot_id = _boot_id()

    def now(self) -> float:
        """See `Clock.now`."""
        return time.monotonic() + self._offset_s

    def wall_ms(self) -> int:
        """See `Clock.wall_ms`."""
        return time.time_ns() // 1_000_000

    def reading(self) -> Reading:
        """See `Clock.reading`."""
        return Reading(self.wall_ms(), self._boot_id, _boot_ms())


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        # Elsewhere: as if the machine were booted with each process.
        return uuid4().hex


def _boot_ms() -> int:
    return time.clock_gettime_ns(_BOOT_CLOCK) // 1_000_000


def boot_s() -> float:
    """Seconds that the machine has been up, asleep or not, as far as its system has such a clock. They do not
    go back, and go on while this process is stopped: for what others count as well."""
    return time.clock_gettime(_BOOT_CLOCK)
