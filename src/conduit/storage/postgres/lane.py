"""Changes that take effect in the order of their calls, also after one of which nobody knows what became.

A call that is not answered has lost its connection, and may happen later. So each carries this process's
token in a row of `writers`, as appends do (writer.py), and holds that row until it has ended. After a call
without an answer the token is taken further before the next one: that waits for what still runs, and what
comes later finds the token changed and does nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import uuid_utils

from conduit.errors import StoreUnavailable, Unavailable
from conduit.storage.postgres import scope
from conduit.storage.postgres.database import Database, Job, P

if TYPE_CHECKING:
    from conduit.storage.postgres.database import Connection

T = TypeVar("T")

# Another process that opens the log takes all tokens further, and the row of one that changed nothing for
# long is removed: so often a call is made again.
TRIES_MAX_COUNT = 3

# A token of an earlier row with this id is never given again, should the row have been removed.
_TAKE = """
INSERT INTO conduit.writers AS w (writer_id, token) VALUES ($1, extract(epoch FROM now()) * 1000)
ON CONFLICT (writer_id) DO UPDATE SET token = w.token + 1, appended_at = now()
RETURNING token
"""
_CHECK = "SELECT 1 FROM conduit.writers WHERE writer_id = $1 AND token = $2 FOR SHARE"


class Ticket(NamedTuple):
    """What a change must find in `writers`."""

    writer_id: str
    token: int


class Overtaken(Exception):
    """The ticket is not valid any more: nothing was changed."""


class Lane:
    """The changes of this process to one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._id = str(uuid_utils.uuid7())
        # None: a call before may still happen.
        self._token: int | None = None

    async def change(self, job: Job[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`job(connection, …)` in a transaction across tenants, in its turn."""
        return await self._change(scope.across, lambda c: job(c, *args, **kwargs))

    async def change_of(self, tenant: str, job: Job[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As `change`, for what sees this tenant only."""
        return await self._change(lambda c: scope.of(c, tenant), lambda c: job(c, *args, **kwargs))

    async def _change(
        self,
        transaction: Callable[[Connection], AbstractAsyncContextManager[None]],
        job: Callable[[Connection], Awaitable[T]],
    ) -> T:
        async def checked(connection: Connection, ticket: Ticket) -> T:
            async with transaction(connection):
                await check(connection, ticket)
                return await job(connection)

        return await self.run(lambda ticket: self._database.change(checked, ticket))

    async def run(self, work: Callable[[Ticket], Awaitable[T]]) -> T:
        """`work(ticket)` in its turn; it changes nothing if the ticket is not valid, and raises Overtaken."""
        return await self._database.in_turn(lambda: self.run_now(work))

    async def known(self) -> None:
        """When this returns, every call before has happened, or never will."""
        if self._token is None:
            await self._database.in_turn(self._ticket)

    async def _ticket(self) -> Ticket:
        if self._token is None:
            self._token = await self._database.ask(_take, self._id)
        return Ticket(self._id, self._token)

    async def run_now(self, work: Callable[[Ticket], Awaitable[T]]) -> T:
        """As `run`, by whose turn it is."""
        for _ in range(TRIES_MAX_COUNT):
            ticket = await self._ticket()
            try:
                return await work(ticket)
            except Overtaken:
                self._token = None
            except Unavailable:
                self._token = None
                raise
        raise StoreUnavailable("others open the log again and again")


async def check(connection: Connection, ticket: Ticket) -> None:
    """Have the ticket valid until the transaction ends. Raises Overtaken."""
    if await connection.fetchval(_CHECK, *ticket) is None:
        raise Overtaken


async def _take(connection: Connection, writer_id: str) -> int:
    token: int = await connection.fetchval(_TAKE, writer_id)
    return token
