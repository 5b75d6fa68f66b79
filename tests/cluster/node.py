"""A node as a process of its own, for tests that stop it: tells what it does as lines on stdout.

    python -m tests.cluster.node URL NAME [AHEAD_S]

AHEAD_S is by how much its wall clock is wrong.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time

import uvloop

from tests.cluster.kit import Diary, unstarted


class Loud(Diary):
    """Says it at once."""

    def _add(self, entry: str) -> None:
        _tell(entry)


def _tell(what: str) -> None:
    os.write(1, f"{what}\n".encode())


async def _main(url: str, name: str) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with unstarted(url, name) as member:
        member.watch(Loud())
        member.store.tell = _tell
        # As soon as it goes on, and before the loop does anything.
        signal.signal(signal.SIGCONT, lambda *_: _tell(f"woke {member.holds()}"))
        await member.start()
        await ended.wait()


def _set_wrong(ahead_s: float) -> None:
    for name, units in (("time", 1), ("time_ns", 10**9)):
        right = getattr(time, name)
        setattr(time, name, lambda right=right, units=units: right() + int(ahead_s * units))


if __name__ == "__main__":
    _set_wrong(float(sys.argv[3]) if len(sys.argv) > 3 else 0.0)
    # As the server.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_main(*sys.argv[1:3]))
