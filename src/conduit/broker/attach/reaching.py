"""Attempts to attach to a subscription that runs on another node: one after the other."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from conduit.broker.attach.elsewhere import Elsewhere, Line, Visitor
from conduit.core.backoff import ack_wait_s
from conduit.errors import ConduitError, Unavailable
from conduit.protocol.frames import Subscribe

# Between two attempts: at first, and at most. Half of it is chance.
AGAIN_MIN_S = 0.05
AGAIN_MAX_S = 1.0

_dice = random.Random()


class Again(Exception):
    """It is worth trying once more, perhaps with another node."""


class Reaching:
    """Of one share. `begin`, and wait for the `outcome`, which the share tells as it hears of it."""

    __slots__ = ("_elsewhere", "_outcome", "_tried", "is_pausing")

    def __init__(self, elsewhere: Elsewhere) -> None:
        self._elsewhere = elsewhere
        # Of the attempt that is under way.
        self._outcome: asyncio.Future[None] | None = None
        # The owner that was found last.
        self._tried: str | None = None
        self.is_pausing = False
        """Whether it waits between two attempts."""

    def owner_of(self, tenant: str, name: str) -> str | None:
        """See `Elsewhere.owner_of`."""
        self._tried = self._elsewhere.owner_of(tenant, name)
        return self._tried

    @property
    def failure(self) -> Unavailable:
        """That the owner which was tried last cannot be reached."""
        return Unavailable(
            f"node {self._tried}, which has the subscription, cannot be reached; subscribe again"
        )

    async def in_turn(self) -> None:
        """Before an attempt: when very many have lost their owner, they do not all try in one turn."""
        await self._elsewhere.in_turn()

    async def reach(
        self,
        tenant: str,
        name: str,
        attempt: Callable[[str], Awaitable[None]],
        is_wanted: Callable[[], bool],
    ) -> bool:
        """Attempt to attach to one owner after the other as long as that is wanted. False if this node is to
        run it. Raises what `attempt` raises but Again."""
        failures = 0
        while is_wanted():
            owner = self.owner_of(tenant, name)
            if owner is None:
                return False
            try:
                await attempt(owner)
            except Again:
                failures += 1
            else:
                # And it may be lost again by now.
                return True
            if is_wanted():
                await self.pause(failures)
        return True

    def begin(self, owner: str, tenant: str, frame: Subscribe, visitor: Visitor) -> Line:
        """One attempt. Raises Again, and LimitReached if the frame is too large."""
        try:
            line = self._elsewhere.attach(owner, tenant, frame, visitor)
        except Unavailable as error:
            raise Again from error
        self._outcome = asyncio.get_running_loop().create_future()
        return line

    async def outcome(self) -> None:
        """Wait for what comes of it. Raises what it is told."""
        assert self._outcome is not None
        try:
            await self._outcome
        finally:
            self._outcome = None

    @property
    def is_open(self) -> bool:
        """Whether nothing has come of it yet."""
        return self._outcome is not None and not self._outcome.done()

    def tell(self, error: ConduitError | Again | None) -> None:
        """What has come of it; None: it is attached. Nothing happens if that is known."""
        if self._outcome is None or self._outcome.done():
            return
        if error is None:
            self._outcome.set_result(None)
        else:
            self._outcome.set_exception(error)

    async def pause(self, failures: int) -> None:
        """Before the next attempt: until there are other owners or ways to them, and a second at most."""
        pause_s = ack_wait_s(failures, AGAIN_MIN_S, AGAIN_MAX_S, 0.0)
        self.is_pausing = True
        try:
            await self._elsewhere.changed(pause_s * (1.0 + _dice.random()) / 2.0)
        finally:
            self.is_pausing = False
