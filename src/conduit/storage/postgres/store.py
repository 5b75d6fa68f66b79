"""The PostgreSQL store: `Store` on one database or several, which may have other writers.

Every shard appends through a `Writer` of its own, on a connection of its own. All else goes through two
pools for each database, so that reading the log never waits behind the control plane, nor the other
way round. Which databases there are is said by `Shards`, the calls about dead letters and about durable
subscriptions are beside this file.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence

from conduit.core.message import Message, NewMessage, Retention, TopicRecord
from conduit.errors import OutcomeUnknown
from conduit.storage.base import Appended, Changes, Extent, KnownKey, Rule, Sizes, Trimmed
from conduit.storage.keys import in_order, shared_out
from conduit.storage.postgres import facts, housekeeping, placing, reads, topics
from conduit.storage.postgres.access_calls import AccessCalls
from conduit.storage.postgres.shard import Shard


class PostgresStore(AccessCalls):
    """A store in the schema `conduit` of the databases at `urls` (postgresql://…), created there if need
    be. With several, topics are spread over them.

    Cancelling a call ends the waiting, not the work: what was asked is still done.
    """

    # What it knows about itself -------------------------------------------------------------------

    async def fact(self, name: str) -> bytes | None:
        return await self._home.database.ask(facts.get, name)

    async def facts(self, prefix: str) -> dict[str, bytes]:
        return await self._home.database.ask(facts.beginning, prefix)

    async def keep_fact(self, name: str, value: bytes | None) -> None:
        # In its turn: one that is lost on its way must not come after a newer one.
        await self._home.lane.change(facts.keep, name, value)

    @property
    def copied(self) -> str | None:
        return next((each.copied for each in self._all if each.copied), None)

    async def renew(self, epochs: Mapping[int, str]) -> None:
        # The home last: what the shards have is what topics are read from.
        for _, shard in sorted(self._shards.items(), reverse=True):
            await shard.renew(epochs)

    async def trust(self) -> None:
        for shard in self._all:
            await shard.trust()

    async def measure(self) -> Sizes:
        sizes = await asyncio.gather(*(each.database.ask(reads.size_bytes) for each in self._all))
        return Sizes(size_bytes=sum(sizes))

    async def give_back(self) -> bool:
        """Segments are dropped whole, and the rest is autovacuum's."""
        return False

    async def prove(self, size_bytes: int) -> None:
        await self._home.prove(size_bytes)

    async def changes(self, position: str | None) -> Changes:
        positions = position.split(" ") if position else [None] * len(self._all)
        calls = [shard.changes(at) for shard, at in zip(self._all, positions, strict=True)]
        found = await asyncio.gather(*calls)
        return Changes(
            " ".join(each.position for each in found),
            [*{topic_id for each in found for topic_id in each.topic_ids}],
            [id_ for each in found for id_ in each.subscription_ids],
            any(each.is_all for each in found),
        )

    # Topics ---------------------------------------------------------------------------------------

    async def topics(self) -> list[TopicRecord]:
        await self._home.lane.known()
        found = await self._each([shard.topics() for shard in self._all])
        if not self.shards:
            return found
        # What a killed server has left behind in a shard is not a topic.
        known = await self._home.database.ask(topics.ids)
        return [record for record in found if record.topic_id in known]

    async def topic_create(
        self, tenant: str, name: str, retention: Retention, now_ms: int
    ) -> TopicRecord:
        number = placing.place(tenant, name, list(self._shards))
        wanted = TopicRecord(0, tenant, name, "", now_ms, 1, 0, 0, retention)
        on_shard = self._on_shard if self.shards else None
        return await self._home.database.write(topics.create, number, wanted, on_shard)

    async def topics_create(
        self, tenant: str, names: Sequence[str], retention: Retention, now_ms: int
    ) -> list[TopicRecord]:
        numbers = [placing.place(tenant, name, list(self._shards)) for name in names]
        wanted = TopicRecord(0, tenant, "", "", now_ms, 1, 0, 0, retention)
        on_shard = self._on_shard if self.shards else None
        create = topics.create_several
        return await self._home.database.write(create, names, numbers, wanted, on_shard)

    async def topic_update(self, topic_id: int, retention: Retention) -> None:
        await self._shard(topic_id).topic_update(topic_id, retention)

    async def topic_delete(
        self, topic_id: int, followers: Sequence[int] = (), now_ms: int = 0
    ) -> None:
        shard = self._shard(topic_id)
        shard.forget(topic_id)
        on_shard = None if shard is self._home else self._on_shard
        await self._home.lane.change(topics.delete, topic_id, followers, now_ms, on_shard)

    async def topics_of(self, topic_ids: Sequence[int]) -> list[TopicRecord]:
        await self._home.lane.known()
        places = self._places(topic_ids)
        found = await self._each([shard.topics_of(ids) for shard, ids in places.items()])
        if not self.shards:
            return found
        known = await self._home.database.ask(topics.some_ids, list(topic_ids))
        return [record for record in found if record.topic_id in known]

    async def extents(self, topic_ids: Sequence[int]) -> list[Extent]:
        await self._home.lane.known()
        places = self._places(topic_ids)
        return await self._each([shard.extents_of(ids) for shard, ids in places.items()])

    def _places(self, topic_ids: Sequence[int]) -> Mapping[Shard, list[int]]:
        places: dict[Shard, list[int]] = defaultdict(list)
        for topic_id in topic_ids:
            places[self._shard(topic_id)].append(topic_id)
        return places

    # The log --------------------------------------------------------------------------------------

    async def append(self, batch: Sequence[NewMessage]) -> list[Appended]:
        """With several shards, one commit in each; OutcomeUnknown if only some of them could be made."""
        if not self.shards:
            return await self._home.append(batch)
        places: dict[Shard, list[int]] = defaultdict(list)
        for index, new in enumerate(batch):
            places[self._shard(new.topic_id)].append(index)
        calls = [shard.append([batch[at] for at in indexes]) for shard, indexes in places.items()]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        seqs: list[Appended] = [0] * len(batch)
        errors = [answer for answer in answers if isinstance(answer, BaseException)]
        if errors and len(errors) < len(answers):
            raise OutcomeUnknown("a part of the batch is stored") from errors[0]
        for indexes, stored in zip(places.values(), answers, strict=True):
            if isinstance(stored, BaseException):
                raise stored
            for index, seq in zip(indexes, stored, strict=True):
                seqs[index] = seq
        return seqs

    async def read(
        self,
        topic_id: int,
        from_seq: int,
        *,
        limit: int,
        max_bytes: int = 1 << 20,
        descending: bool = False,
    ) -> list[Message]:
        page = reads.Page(topic_id, from_seq, limit, max_bytes, descending)
        return await self._shard(topic_id).read(page)

    async def find(self, tenant: str, message_id: str) -> tuple[int, Message] | None:
        calls = [shard.find(tenant, message_id) for shard in self._all]
        return next((found for found in await asyncio.gather(*calls) if found is not None), None)

    async def seq_at(self, topic_id: int, time_ms: int) -> int:
        return (await self._shard(topic_id).seqs_at([topic_id], time_ms)).get(topic_id, 1)

    async def last_stamps(self, topic_ids: Sequence[int]) -> dict[int, int]:
        places = self._places(topic_ids)
        return dict(await self._each([each.last_stamps(ids) for each, ids in places.items()]))

    async def trim(self, topic_id: int, rule: Rule, limit: int) -> Trimmed:
        return await self._shard(topic_id).trim(topic_id, rule, limit)

    async def purge(self, limit: int) -> int:
        """Also looks after the segments, once a minute."""
        return max(await asyncio.gather(*(shard.purge(limit) for shard in self._all)))

    async def cleans_up(self) -> bool:
        return await self._home.database.maintain(housekeeping.claim, self._id)

    # Idempotency ----------------------------------------------------------------------------------

    async def known_keys(self, since_ms: int, limit: int) -> list[KnownKey]:
        each = await asyncio.gather(*(shard.known_keys(since_ms, limit) for shard in self._all))
        if not self.shards:
            return each[0][0]
        found = [known for some, _ in each for known in some]
        tenants = {topic_id: tenant for _, some in each for topic_id, tenant in some.items()}
        return shared_out(in_order(found, len(found)), tenants, limit)

    async def forget_keys(self, before_ms: int, limit: int) -> int:
        return max(await asyncio.gather(*(s.forget_keys(before_ms, limit) for s in self._all)))
