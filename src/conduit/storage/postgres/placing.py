"""Which database is which part of the log, and where a topic belongs.

A topic's id says where it is: the rest by 64 is the number of its shard. The name of every topic is in
the home (number 0), whose unique index decides who creates it; a topic of another shard is created and
deleted there while its row in the home is locked.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import uuid_utils

from conduit.errors import StoreUnavailable
from conduit.storage.base import SHARDS_MAX_COUNT

if TYPE_CHECKING:
    from conduit.storage.postgres.database import Connection
    from conduit.storage.postgres.shard import Shard

_IDENTITY = "SELECT log_id::text, number FROM conduit.shard"
_BECOME = "INSERT INTO conduit.shard (log_id, number) VALUES ($1, $2) ON CONFLICT DO NOTHING"
_HAS_TOPICS = "SELECT EXISTS (SELECT FROM conduit.topics)"
_NUMBERS = f"SELECT DISTINCT topic_id % {SHARDS_MAX_COUNT} FROM conduit.topics"


class Identity(NamedTuple):
    """A shard's place in a log."""

    log_id: str
    number: int


def number_of(topic_id: int) -> int:
    """The shard that has the topic's messages."""
    return topic_id % SHARDS_MAX_COUNT


def place(tenant: str, name: str, numbers: Sequence[int]) -> int:
    """The shard for a new topic. Where it is then is in its id: other `numbers` later move nothing."""
    return sorted(numbers)[zlib.crc32(f"{tenant}\0{name}".encode()) % len(numbers)]


async def identity(connection: Connection) -> Identity | None:
    """What the database is."""
    row = await connection.fetchrow(_IDENTITY)
    return None if row is None else Identity(*row)


async def become(connection: Connection, wanted: Identity) -> Identity:
    """Record it, unless somebody else has; returns what is recorded."""
    await connection.execute(_BECOME, *wanted)
    return await identity(connection) or wanted


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
