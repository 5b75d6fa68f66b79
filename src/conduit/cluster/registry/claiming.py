"""Whether a name is that of another node which lives: looked at once, before a node says that it is there.

Where there are no leases nobody decides who has a name, and of two the others would deal with the one that
was started last. So that one looks first. A node says every second that it is there, for
wire.PRESENCE_TTL_S: what is left of that says when it did so last. Two that start at the same moment do not
see each other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

from conduit.cluster.registry import wire
from conduit.cluster.registry.connection import Connection
from conduit.cluster.registry.counts import Counts
from conduit.cluster.registry.session import INDEX_MAX_COUNT
from conduit.cluster.registry.wire import Keys, Presence
from conduit.core.members import Member
from conduit.errors import RegistryUnavailable

# Who has not said for so long that it is there was killed, it seems: it says so every second.
WAIT_S = 1.5
POLL_S = 0.25
# For all of it: without an answer the node starts, as it goes on while Redis is away.
TIMEOUT_S = 5.0


class _Seen(NamedTuple):
    presence: Presence
    left_ms: int


async def holder(url: str, cluster_id: str, own: Member) -> Presence | None:
    """The node that lives and has the name of `own`; None if there is none, or Redis does not say. Waits for
    WAIT_S if one had it just before, and TIMEOUT_S at most."""
    connection = Connection(url, Counts().latency)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await connection.open()
            return await _holder(connection, Keys(cluster_id), own)
    except (RegistryUnavailable, TimeoutError):
        return None
    finally:
        await connection.close()


async def _holder(connection: Connection, keys: Keys, own: Member) -> Presence | None:
    before = await _named(connection, keys, own)
    found = before
    silent_ms = (wire.PRESENCE_TTL_S - WAIT_S) * 1000
    while any(seen.left_ms > silent_ms for seen in found.values()):
        await asyncio.sleep(POLL_S)
        found = await _named(connection, keys, own)
        for incarnation, seen in found.items():
            # It grows only when it is said anew, or somebody else has come.
            if incarnation not in before or seen.left_ms > before[incarnation].left_ms:
                return seen.presence
        before = found
    return None


async def _named(connection: Connection, keys: Keys, own: Member) -> Mapping[str, _Seen]:
    """Others with this name, by incarnation."""
    (index,) = await connection.call(("SMEMBERS", keys.nodes))
    names = [each.decode(errors="replace") for each in index] if isinstance(index, list) else []
    listed = sorted(names, reverse=True)[:INDEX_MAX_COUNT]
    if not listed:
        return {}
    (texts,) = await connection.call(("MGET", *map(keys.presence, listed)))
    there = map(wire.presence, texts if isinstance(texts, list) else ())
    same = [each for each in there if each is not None and each.name == own.name]
    if not same:
        return {}
    lefts = await connection.call(*(("PTTL", keys.presence(each.incarnation)) for each in same))
    return {
        each.incarnation: _Seen(each, left)
        for each, left in zip(same, lefts, strict=True)
        if isinstance(left, int) and each.incarnation != own.incarnation
    }
