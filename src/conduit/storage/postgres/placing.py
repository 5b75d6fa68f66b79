"""Which database is which part of the log, and where a topic belongs.

A topic's id says where it is: the rest by 64 is the number of its shard. The name of every topic is in
the home (number 0), whose unique index decides who creates it; a topic of another shard is created and
deleted there while its row in the home is locked.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from conduit.storage.base import SHARDS_MAX_COUNT

if TYPE_CHECKING:
    from conduit.storage.postgres.database import Connection

_IDENTITY = "SELECT log_id::text, number FROM conduit.shard"
_RESERVE = """
INSERT INTO conduit.facts (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING true
"""
_BECOME = "INSERT INTO conduit.shard (log_id, number) VALUES ($1, $2) ON CONFLICT DO NOTHING"


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


async def reserve(connection: Connection, fact: str, where: str) -> bool:
    """Record in the home that a number is given to the database there; False if it was given before."""
    return bool(await connection.fetchval(_RESERVE, fact, where.encode()))


async def become(connection: Connection, wanted: Identity) -> Identity:
    """Record it, unless somebody else has; returns what is recorded."""
    await connection.execute(_BECOME, *wanted)
    return await identity(connection) or wanted
