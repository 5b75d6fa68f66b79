"""The databases of one store, found by number and by topic; each is a shard.

The home, number 0, has everything but the messages of other shards.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import TypeVar

import uuid_utils

from conduit.storage.dead import Losses
from conduit.storage.nodes import NodeStore
from conduit.storage.postgres import durability, placing, segments
from conduit.storage.postgres.arrangement import arrange, refuse_twice
from conduit.storage.postgres.database import Job, P
from conduit.storage.postgres.shard import Shard

T = TypeVar("T")


class Shards:
    """Opens and closes them, and says what they are; the parts of the store go on from here."""

    kind = "postgresql"

    def __init__(
        self,
        *urls: str,
        allow_unsafe: bool = False,
        rules: segments.Rules | None = None,
        keys_window_s: float = 600.0,
    ) -> None:
        """An idempotency key is known for `keys_window_s`."""
        rules = rules or segments.Rules()
        self._all = [
            Shard(url, allow_unsafe=allow_unsafe, rules=rules, keys_window_s=keys_window_s)
            for url in urls
        ]
        # By their numbers, once they are known.
        self._shards = dict(enumerate(self._all))
        # Dead letters that this process had to drop.
        self._losses = Losses()
        # Among the processes of which one cleans up.
        self._id = str(uuid_utils.uuid7())

    needs_lock = False

    @property
    def durable(self) -> bool:
        """False only if PostgreSQL's settings lose commits, and that is allowed."""
        return not any(each.settings and durability.unsafe(each.settings) for each in self._all)

    @property
    def shards(self) -> Mapping[int, Shard]:
        """The parts of the log that are appended to independently; none if there is only one."""
        return self._shards if len(self._shards) > 1 else {}

    @property
    def server_count(self) -> int:
        """See `Store.server_count`. The home is in the list of each of them."""
        return self._home.presence.server_count

    @property
    def nodes(self) -> NodeStore:
        """See `Store.nodes`. Those of all databases are in the home."""
        return self._home.nodes

    async def open(self) -> None:
        """Raises StoreUnavailable when a database cannot be used, is not durable, was migrated by a newer
        Conduit; ConfigError when they are not the databases of a log."""
        try:
            await asyncio.gather(*(each.database.probe() for each in self._all))
            # Before anything is written: two would make one schema at the same time.
            refuse_twice(self._all)
            await asyncio.gather(*(each.open() for each in self._all))
            self._shards = await arrange(self._all)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        await asyncio.gather(*(each.close() for each in self._all))

    def describe(self) -> dict[str, object]:
        """`kind`, `durable`, `servers` and, once open, the PostgreSQL settings that durability rests on."""
        described = {"kind": self.kind, "durable": self.durable, "servers": self.server_count}
        shards = [_described(each) for _, each in sorted(self._shards.items())]
        if len(shards) == 1:
            return {**described, **shards[0]}
        return {**described, "shards": shards}

    @property
    def _home(self) -> Shard:
        return self._shards[0]

    def _shard(self, topic_id: int) -> Shard:
        """Where the topic's messages are; an id that is nobody's is not found in the home either."""
        return self._shards.get(placing.number_of(topic_id), self._home)

    async def _on_shard(self, number: int, job: Job[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._shards[number].database.write(job, *args, **kwargs)

    async def _first_seqs_elsewhere(self) -> list[tuple[int, int]]:
        """(topic id, first number) of the topics that are not in the home, and do not begin at 1."""
        others = [shard.first_seqs() for shard in self.shards.values() if shard is not self._home]
        return await self._each(others)

    async def _each(self, calls: Sequence[Awaitable[list[T]]]) -> list[T]:
        """What the shards answered, one after the other."""
        return [one for answer in await asyncio.gather(*calls) for one in answer]


def _described(shard: Shard) -> dict[str, object]:
    if not shard.settings:
        return {}
    return {**shard.settings, "pooler": shard.database.has_pooler}
