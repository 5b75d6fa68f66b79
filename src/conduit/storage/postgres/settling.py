"""Progress and dead letters in one commit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from conduit.core.message import Death, Progress, Redriven
from conduit.storage.dead import Shelf
from conduit.storage.fences import allowed
from conduit.storage.postgres import dead_letters, scope, subscriptions
from conduit.storage.postgres.lane import Ticket, check

if TYPE_CHECKING:
    from conduit.storage.postgres.database import Connection


class Letters(NamedTuple):
    """The dead letters of one commit, and the messages that died."""

    deaths: Sequence[Death]
    messages: dead_letters.Messages
    redriven: Sequence[Redriven]


async def settle(
    connection: Connection, progress: Sequence[Progress], letters: Letters, ticket: Ticket
) -> tuple[set[int], list[tuple[Shelf, int]]]:
    """See `Store.settle`; returns the refused, and how many dead letters are without their messages. Raises
    Overtaken."""
    deaths, messages, redriven = letters
    if not deaths and not redriven:
        return await subscriptions.put(connection, progress, ticket), []
    async with scope.across(connection):
        await check(connection, ticket)
        refused = await subscriptions.put(connection, progress, ticket)
        lost = await dead_letters.put(connection, allowed(refused, deaths), messages)
        await dead_letters.mark(connection, allowed(refused, redriven))
    return refused, lost
