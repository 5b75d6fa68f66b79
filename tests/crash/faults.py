"""What can go wrong, brought about once by `strike`, with what an operator does about it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from random import Random
from typing import ClassVar, Literal

import asyncpg

from tests.crash.history import History
from tests.crash.proxy import HIT_WITHIN_S, WAYS
from tests.crash.rig import Rig

Name = Literal["server", "postmaster", "stop", "reset", "disk"]
# The disk stays full for so long: after the first publish was refused, and after PostgreSQL gave up.
FULL_S = 2.0
# A publish must be refused in this time.
REFUSED_WITHIN_S = 30.0
# Of the killed servers, those that leave an append behind which comes late.
LATE_SHARE = 0.5
# More than is left of the segments of WAL that exist already.
_WRITE_WAL = "SELECT pg_logical_emit_message(false, 'full', repeat('x', 16000000))"


class Fault:
    """A base for all of them. `pause_s` is for those that last as long as one likes."""

    name: ClassVar[Name]
    store_fails: ClassVar[bool] = True
    """Whether clients may be told that the store is not available."""
    proxied: ClassVar[bool] = False
    small_disk: ClassVar[bool] = False

    def __init__(self, rig: Rig, history: History, random: Random, pause_s: float) -> None:
        self.rig = rig
        self.history = history
        self.random = random
        self.pause_s = pause_s

    async def strike(self) -> float:
        """Do it, and undo it; when it was over, on the monotonic clock."""
        raise NotImplementedError

    async def acked_in(self, seconds: float, *, sent_before: bool = True) -> int:
        """Wait, and count the publishes that are acked meanwhile, also those that were sent before or only
        those that are sent from now on."""
        count, began = len(self.history.published), time.monotonic()
        await asyncio.sleep(seconds)
        return sum(
            each.outcome == "ok" and (sent_before or each.sent_at >= began)
            for each in self.history.published[count:]
        )

    def counts(self) -> dict[str, object]:
        """What the report should say of this fault: how many resets hit an append, by what became of it,
        and which of those were stored all the same."""
        if self.rig.proxy is None:
            return {}
        hits, stored = self.rig.proxy.hits, self.rig.proxy.stored
        return {"hits": hits.total(), "hits_by_way": dict(hits), "stored_by_way": dict(+stored)}


class ServerKilled(Fault):
    """SIGKILL of the server; it is started again, mostly at once.

    On PostgreSQL an append of the old server sometimes arrives only when the new one has begun to append.
    """

    name = "server"
    store_fails = False
    proxied = True

    async def strike(self) -> float:
        """Do it, and undo it; when it was over, on the monotonic clock. Raises TimeoutError."""
        late = None
        if self.rig.proxy is not None and self.random.random() < LATE_SHARE:
            late = asyncio.get_running_loop().create_task(self.rig.proxy.reset("late"))
            await asyncio.wait_for(self.rig.proxy.cut.wait(), HIT_WITHIN_S)
        self.rig.server.kill()
        await asyncio.sleep(self.random.choice((0, 0, 0.2)))
        await asyncio.to_thread(self.rig.server.start)
        ended_at = time.monotonic()
        if late is not None:
            await late
        return ended_at


class PostmasterKilled(Fault):
    """SIGKILL of the postmaster; its children go by themselves, and it is started again."""

    name = "postmaster"

    async def strike(self) -> float:
        """Do it, and undo it; when it was over, on the monotonic clock."""
        assert self.rig.cluster is not None
        self.rig.cluster.kill()
        await asyncio.sleep(self.random.choice((0, 0, 0.2)))
        await asyncio.to_thread(self.rig.cluster.start)
        return time.monotonic()


class Stopped(Fault):
    """SIGSTOP of every process of PostgreSQL for `pause_s`: connections stay, nothing is answered."""

    name = "stop"
    acked_while_stopped = 0

    async def strike(self) -> float:
        """Do it, and undo it; when it was over, on the monotonic clock."""
        assert self.rig.cluster is not None
        self.rig.cluster.signal_all(signal.SIGSTOP)
        self.acked_while_stopped += await self.acked_in(self.pause_s)
        self.rig.cluster.signal_all(signal.SIGCONT)
        return time.monotonic()

    def counts(self) -> dict[str, object]:
        """Answers that were under way already, and no more than these."""
        return {"acked_while_stopped": self.acked_while_stopped}


class Reset(Fault):
    """A connection reset between an append and its answer."""

    name = "reset"
    proxied = True

    async def strike(self) -> float:
        """Do it; when it was, on the monotonic clock. Raises TimeoutError if nothing was hit."""
        assert self.rig.proxy is not None
        return await self.rig.proxy.reset(self.random.choice(WAYS))


class DiskFull(Fault):
    """The disk of PostgreSQL full: first its tables cannot grow, then its WAL, for which it gives up.

    When there is space again it is started, unless it has started itself.
    """

    name = "disk"
    small_disk = True
    panicked = False
    acked_while_full = 0
    acked_while_down = 0

    async def strike(self) -> float:
        """Do it, and undo it; when it was over, on the monotonic clock. Raises TimeoutError."""
        disk, cluster = self.rig.disk, self.rig.cluster
        assert disk is not None
        assert cluster is not None
        neighbour = await asyncpg.connect(cluster.url())
        await asyncio.to_thread(disk.fill)
        await self._refused()
        self.acked_while_full = await self.acked_in(FULL_S)
        with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            # Ends with the connection, if PostgreSQL is not gone already.
            await neighbour.execute(_WRITE_WAL)
        neighbour.terminate()
        # What was committed a moment before may be answered now.
        self.acked_while_down = await self.acked_in(FULL_S, sent_before=False)
        disk.free()
        self.panicked = "PANIC" in cluster.log()
        if not cluster.alive:
            await asyncio.to_thread(cluster.start)
        return time.monotonic()

    async def _refused(self) -> None:
        """Wait until a publish is answered with 503. Raises TimeoutError."""
        deadline = time.monotonic() + REFUSED_WITHIN_S
        while not self.history.refused:
            if time.monotonic() > deadline:
                raise TimeoutError("no publish was refused")
            await asyncio.sleep(0.01)

    def counts(self) -> dict[str, object]:
        """Whether PostgreSQL gave up, and what was acked: what found a place in pages that were not full,
        and what must be 0."""
        return {
            "panicked": self.panicked,
            "acked_while_full": self.acked_while_full,
            "acked_while_down": self.acked_while_down,
        }


FAULTS: dict[Name, type[Fault]] = {
    fault.name: fault for fault in (ServerKilled, PostmasterKilled, Stopped, Reset, DiskFull)
}
