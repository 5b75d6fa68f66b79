"""The databases that make up a log: which is which, and whether all of them are there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import uuid_utils

from conduit.errors import StoreUnavailable
from conduit.storage.base import SHARDS_MAX_COUNT
from conduit.storage.postgres.placing import Identity
from conduit.storage.postgres.shard import Shard

if TYPE_CHECKING:
    from conduit.storage.postgres.database import Connection

_HAS_TOPICS = "SELECT EXISTS (SELECT FROM conduit.topics)"
_NUMBERS = f"SELECT DISTINCT topic_id % {SHARDS_MAX_COUNT} FROM conduit.topics"


async def arrange(shards: Sequence[Shard]) -> dict[int, Shard]:
    """The open shards by their numbers; new ones get the next. Raises StoreUnavailable if they are not
    all of one log, or one is missing."""
    known = [await shard.identity() for shard in shards]
    if not any(known):
        known[0] = await shards[0].become(Identity(str(uuid_utils.uuid7()), 0))
    home = next((each for each in known if each is not None and each.number == 0), None)
    if home is None:
        raise StoreUnavailable("DATABASE_URL lacks the first database of this log")
    free = max(each.number for each in known if each is not None) + 1
    arranged: dict[int, Shard] = {}
    for shard, each in zip(shards, known, strict=True):
        if each is None:
            if await shard.database.ask(_has_topics):
                raise StoreUnavailable("DATABASE_URL adds a database that has topics of its own")
            each = await shard.become(Identity(home.log_id, free))
            free += 1
        if each.log_id != home.log_id:
            raise StoreUnavailable("DATABASE_URL names databases of different logs")
        if each.number in arranged:
            raise StoreUnavailable("DATABASE_URL names a database twice")
        shard.number = each.number
        arranged[each.number] = shard
    if missing := await arranged[0].database.ask(_numbers) - arranged.keys():
        raise StoreUnavailable(
            f"DATABASE_URL lacks databases of this log: shards {sorted(missing)}"
        )
    return arranged


async def _has_topics(connection: Connection) -> bool:
    return bool(await connection.fetchval(_HAS_TOPICS))


async def _numbers(connection: Connection) -> set[int]:
    return {row[0] for row in await connection.fetch(_NUMBERS)}
