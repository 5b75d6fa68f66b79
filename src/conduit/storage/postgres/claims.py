"""Claims of durable subscriptions that wait for their turn, made together.

Where a node leaves, another one claims hundreds in an instant, and each transaction costs four round trips
and a commit. So whose turn it is claims for all who wait by then; these find that done when theirs comes. As
every change in the lane a claim is made in its turn at the latest, also if its caller does not wait any more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from conduit.errors import ConduitError, StateError
from conduit.storage.base import OwnedBy
from conduit.storage.postgres import owners, scope
from conduit.storage.postgres.database import Database
from conduit.storage.postgres.lane import Lane, Overtaken, Ticket, check

if TYPE_CHECKING:
    from conduit.storage.postgres.database import Connection

# In one transaction: their rows are locked until it ends.
TOGETHER_MAX_COUNT = 100


class _Claim:
    """One that waits, and what came of it."""

    __slots__ = ("by_force", "id", "outcome", "owner")

    def __init__(self, subscription_id: int, owner: str | None, *, by_force: bool) -> None:
        self.id = subscription_id
        self.owner = owner
        self.by_force = by_force
        self.outcome: int | OwnedBy | ConduitError | None = None


class Claims:
    """Those of this process in one database."""

    def __init__(self, database: Database, lane: Lane) -> None:
        self._database = database
        self._lane = lane
        self._waiting: deque[_Claim] = deque()

    async def make(
        self, subscription_id: int, owner: str | None, *, by_force: bool
    ) -> int | OwnedBy:
        """See `Store.subscription_claim`."""
        claim = _Claim(subscription_id, owner, by_force=by_force)
        self._waiting.append(claim)
        await self._database.in_turn(lambda: self._in_turn(claim))
        if claim.outcome is None or isinstance(claim.outcome, ConduitError):
            raise claim.outcome or StateError("a claim has no outcome")
        return claim.outcome

    async def _in_turn(self, claim: _Claim) -> None:
        if claim.outcome is not None:
            return
        try:
            await self._lane.run_now(lambda ticket: self._serve(claim, ticket))
        finally:
            # Nobody makes it later, when nobody knows of it any more.
            if claim in self._waiting:
                self._waiting.remove(claim)

    async def _serve(self, claim: _Claim, ticket: Ticket) -> None:
        """It is this one's turn. Raises what the store raises."""
        some = self._take(claim)
        try:
            found = await self._database.change(_make, ticket, some)
        except Overtaken:
            # It comes again at once, with another ticket.
            self._waiting.extendleft(reversed(some))
            raise
        except Exception as error:
            for each in some:
                each.outcome = error if isinstance(error, ConduitError) else StateError.of(error)
            raise
        for each, outcome in zip(some, found, strict=True):
            each.outcome = outcome

    def _take(self, claim: _Claim) -> list[_Claim]:
        """This one, and of those that wait as many as may go with it."""
        self._waiting.remove(claim)
        some = [claim]
        while self._waiting and len(some) < TOGETHER_MAX_COUNT:
            following = self._waiting[0]
            if (following.owner, following.by_force) != (claim.owner, claim.by_force):
                break
            some.append(self._waiting.popleft())
        return some


async def _make(
    connection: Connection, ticket: Ticket, some: Sequence[_Claim]
) -> list[int | OwnedBy]:
    first = some[0]
    async with scope.across(connection):
        await check(connection, ticket)
        ids = [each.id for each in some]
        return await owners.claim(connection, ids, first.owner, by_force=first.by_force)
