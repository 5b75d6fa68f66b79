"""Payloads of large batches, looked at over many turns of the loop: one batch after the other, and tenants in
turn.

All of 8 MB may take 400 ms. If all that wait were looked at alike, none would be ready before the last, and
eight that came together would all be too late, after all of that work. So the first is ready for its commit
while the others wait, and what is too late is refused without another look.
"""

from __future__ import annotations

import asyncio
from bisect import insort
from collections.abc import Callable, Iterator, Sequence

import msgspec

from conduit.broker.publish.admission import Admission
from conduit.broker.turn import Turn
from conduit.errors import ConduitError, Overloaded, StateError
from conduit.protocol.batch import path_of
from conduit.protocol.frames import PublishRequest

# Of batches that wait for that in memory; what is more is looked at as it comes.
LOOKING_MAX_BYTES = 67_108_864


class Look(msgspec.Struct, eq=False):
    """A batch that waits for its turn, or has it."""

    requests: Sequence[PublishRequest]
    size_bytes: int
    since: float
    """When it came, on the loop's clock."""
    publish: Callable[[], None]
    """Go on with it."""
    refuse: Callable[[ConduitError], None]
    tenant: str = ""


class Looks:
    """Those that wait. A batch that has waited for its time-out is refused."""

    def __init__(self, turn: Turn, admission: Admission) -> None:
        self._turn = turn
        self._admission = admission
        # By tenant, in the order of their turns, and then by `since`; without the one whose turn it is.
        self._lines: dict[str, list[Look]] = {}
        self._is_busy = False
        self.size_bytes = 0
        """Of all payloads that wait."""

    @property
    def room_bytes(self) -> int:
        """What may still wait."""
        return LOOKING_MAX_BYTES - self.size_bytes

    def add(self, look: Look) -> None:
        """Publish it when each of its payloads was looked at, or refuse it."""
        self.size_bytes += look.size_bytes
        insort(self._lines.setdefault(look.tenant, []), look, key=lambda each: each.since)
        if not self._is_busy:
            self._next()

    async def finished(self) -> None:
        """Wait until nothing is left of what was added so far."""
        if self.size_bytes:
            await self._turn.finished()

    def _next(self) -> None:
        self._is_busy = bool(self._lines)
        if self._lines:
            tenant = next(iter(self._lines))
            look = self._take(tenant)
            if tenant in self._lines:
                # It is the last one now.
                self._lines[tenant] = self._lines.pop(tenant)
            self._turn.spread(self._steps(look))

    def _take(self, tenant: str) -> Look:
        line = self._lines[tenant]
        look = line.pop(0)
        if not line:
            del self._lines[tenant]
        return look

    def _steps(self, look: Look) -> Iterator[None]:
        # Unless it ends otherwise, by a bug; the log has that.
        refusal: ConduitError | None = StateError("a batch could not be looked at")
        try:
            for index, request in enumerate(look.requests):
                self._refuse_late()
                self._check_time(look)
                self._admission.check_payload(request, path_of(index))
                yield
            look.publish()
            refusal = None
        except ConduitError as error:
            refusal = error
        finally:
            self._end(look, refusal)
            self._next()

    def _refuse_late(self) -> None:
        """Whoever waits for too long behind others is told in time."""
        for tenant, line in tuple(self._lines.items()):
            while line:
                try:
                    self._check_time(line[0])
                except Overloaded as error:
                    self._end(self._take(tenant), error)
                else:
                    break

    def _check_time(self, look: Look) -> None:
        if asyncio.get_running_loop().time() >= look.since + self._admission.timeout_s:
            raise Overloaded(
                "there are too many large batches to look at all of them in time; nothing was stored"
            )

    def _end(self, look: Look, refusal: ConduitError | None) -> None:
        self.size_bytes -= look.size_bytes
        if refusal is not None:
            look.refuse(refusal)
