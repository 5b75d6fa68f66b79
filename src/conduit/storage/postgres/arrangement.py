"""The databases that make up a log: which is which, and whether all of them are there."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import uuid_utils

from conduit.errors import ConfigError
from conduit.storage.base import SHARDS_MAX_COUNT
from conduit.storage.postgres import facts, placing, scope
from conduit.storage.postgres.placing import Identity
from conduit.storage.postgres.shard import Shard

if TYPE_CHECKING:
    from conduit.storage.postgres.database import Connection

logger = logging.getLogger(__name__)

_HAS_TOPICS = "SELECT EXISTS (SELECT FROM conduit.topics)"
_NUMBERS = f"SELECT DISTINCT topic_id % {SHARDS_MAX_COUNT} FROM conduit.topics"
# Facts of the home, one for each number that was ever given: it ends with the number, the value says to whom.
_GIVEN = "shard."


def refuse_twice(shards: Sequence[Shard]) -> None:
    """Raise ConfigError if two are one database. They are probed; nothing was written to them."""
    seen: dict[str, Shard] = {}
    for shard in shards:
        other = seen.setdefault(shard.database.place, shard)
        if other is not shard:
            names = f"{other.database.where} and {shard.database.where}"
            raise _refused(f"names a database twice: {names} are the same")


async def arrange(shards: Sequence[Shard]) -> dict[int, Shard]:
    """The open shards by their numbers; new ones get the next. Raises ConfigError if they are not all of one
    log, or one with topics is missing; nothing was given a number then."""
    known = [await shard.identity() for shard in shards]
    if not any(known):
        known[0] = await shards[0].become(Identity(str(uuid_utils.uuid7()), 0))
    new = [shard for shard, identity in zip(shards, known, strict=True) if identity is None]
    log_id = next((each.log_id for each in known if each is not None and each.number == 0), None)
    if log_id is None:
        raise _refused(f"lacks the first database of this log{_but_has(new)}")
    arranged: dict[int, Shard] = {}
    for shard, identity in zip(shards, known, strict=True):
        if identity is not None:
            _put(arranged, shard, identity, log_id)
    await _add(arranged, new, log_id)
    return arranged


def _put(arranged: dict[int, Shard], shard: Shard, identity: Identity, log_id: str) -> None:
    if identity.log_id != log_id:
        raise _refused("names databases of different logs")
    other = arranged.setdefault(identity.number, shard)
    if other is not shard:
        names = f"{other.database.where} and {shard.database.where}"
        raise _refused(
            f"names a database twice: {names} are the same part of this log; one may be a copy of the other"
        )
    shard.number = identity.number


async def _add(arranged: dict[int, Shard], new: Sequence[Shard], log_id: str) -> None:
    """Put new ones beside those of the log, if all that the home needs are there."""
    home = arranged[0]
    needed, given = await home.database.ask(_needed), await home.database.ask(_given)
    _refuse_missing(needed - arranged.keys(), given, new)
    await _refuse_topics(new)
    await _note(home, given, arranged)
    taken = max({*needed, *given, *arranged})
    for shard in new:
        taken = await _reserve(home, shard, taken + 1)
        _put(arranged, shard, await shard.become(Identity(log_id, taken)), log_id)
        logger.info("%s is a part of this log from now on", shard.database.where)


def _refuse_missing(missing: set[int], given: Mapping[int, str], new: Sequence[Shard]) -> None:
    if missing:
        # By where they were last: `conduit migrate status` counts those of the list, and not of the log.
        names = ", ".join(
            given.get(number, "one of which it is not known where it was")
            for number in sorted(missing)
        )
        raise _refused(
            f"lacks databases of this log that have topics: {names}{_but_has(new)}. A database may be added"
            " to them, and takes the place of none"
        )


async def _refuse_topics(new: Sequence[Shard]) -> None:
    for shard in new:
        if await shard.database.ask(_has_topics):
            raise _refused(f"adds a database that has topics of its own: {shard.database.where}")


def _but_has(new: Sequence[Shard]) -> str:
    names = ", ".join(shard.database.where for shard in new)
    return f", and has new ones: {names}" if names else ""


def _refused(what: str) -> ConfigError:
    return ConfigError([f"DATABASE_URL {what}"])


async def _reserve(home: Shard, shard: Shard, number: int) -> int:
    """A number, this one or a higher one, that was never given to a database and never will be again: one
    that was taken out of the list may come back."""
    while number < SHARDS_MAX_COUNT:
        if await home.database.write(placing.reserve, f"{_GIVEN}{number}", shard.database.where):
            return number
        number += 1
    raise _refused(f"adds {shard.database.where}: this log had {SHARDS_MAX_COUNT} databases by now")


async def _note(home: Shard, given: Mapping[int, str], arranged: Mapping[int, Shard]) -> None:
    """Where they are now, to be told when one is missing."""
    for number, shard in arranged.items():
        where = shard.database.where
        if given.get(number) != where:
            await home.database.write(facts.keep, f"{_GIVEN}{number}", where.encode())


async def _has_topics(connection: Connection) -> bool:
    async with scope.across(connection):
        return bool(await connection.fetchval(_HAS_TOPICS))


async def _needed(connection: Connection) -> set[int]:
    async with scope.across(connection):
        return {row[0] for row in await connection.fetch(_NUMBERS)}


async def _given(connection: Connection) -> dict[int, str]:
    found = await facts.beginning(connection, _GIVEN)
    return {int(name.removeprefix(_GIVEN)): where.decode() for name, where in found.items()}
