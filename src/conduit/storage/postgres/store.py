"""The PostgreSQL store: `Store` on one database or several, which may have other writers.

Every shard appends through a `Writer` of its own, on a connection of its own. All else goes through two
pools for each database, so that reading the log never waits behind the control plane, nor the other
way round. The home has everything but the messages of other shards.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Mapping, Sequence
from typing import TypeVar

import uuid_utils

from conduit.core.message import (
    Death,
    Message,
    NewMessage,
    Progress,
    Redriven,
    Retention,
    SubscriptionRecord,
    SubscriptionSettings,
    TopicRecord,
)
from conduit.core.topics import matcher, prefix_of
from conduit.errors import OutcomeUnknown
from conduit.storage.base import (
    Extent,
    Former,
    Heard,
    KnownKey,
    Settled,
    Start,
    Trimmed,
)
from conduit.storage.floors import floor_of
from conduit.storage.postgres import (
    durability,
    facts,
    former,
    housekeeping,
    placing,
    reads,
    segments,
    subscriptions,
    topics,
)
from conduit.storage.postgres.arrangement import arrange
from conduit.storage.postgres.database import Job, P
from conduit.storage.postgres.dead_calls import DeadLetterCalls
from conduit.storage.postgres.lane import Ticket
from conduit.storage.postgres.settling import Letters, settle
from conduit.storage.postgres.shard import Shard
from conduit.storage.slices import in_slices

T = TypeVar("T")


class PostgresStore(DeadLetterCalls):
    """A store in the schema `conduit` of the databases at `urls` (postgresql://…), created there if need
    be. With several, topics are spread over them.

    Cancelling a call ends the waiting, not the work: what was asked is still done.
    """

    kind = "postgresql"

    def __init__(
        self, *urls: str, allow_unsafe: bool = False, rules: segments.Rules | None = None
    ) -> None:
        super().__init__()
        rules = rules or segments.Rules()
        self._all = [Shard(url, allow_unsafe=allow_unsafe, rules=rules) for url in urls]
        # By their numbers, once they are known.
        self._shards = dict(enumerate(self._all))
        self._id = str(uuid_utils.uuid7())

    @property
    def durable(self) -> bool:
        """False only if PostgreSQL's settings lose commits, and that is allowed."""
        return not any(each.settings and durability.unsafe(each.settings) for each in self._all)

    @property
    def shards(self) -> Mapping[int, Shard]:
        """The parts of the log that are appended to independently; none if there is only one."""
        return self._shards if len(self._shards) > 1 else {}

    async def open(self) -> None:
        """Raises StoreUnavailable when a database cannot be used, is not durable, was migrated by a newer
        Conduit, or is not of this log."""
        try:
            await asyncio.gather(*(each.open() for each in self._all))
            self._shards = await arrange(self._all)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        await asyncio.gather(*(each.close() for each in self._all))

    def describe(self) -> dict[str, object]:
        """`kind`, `durable` and, once open, the PostgreSQL settings that durability rests on."""
        described = {"kind": self.kind, "durable": self.durable}
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

    async def _each(self, calls: Sequence[Awaitable[list[T]]]) -> list[T]:
        """What the shards answered, one after the other."""
        return [one for answer in await asyncio.gather(*calls) for one in answer]

    # What it knows about itself -------------------------------------------------------------------

    async def fact(self, name: str) -> bytes | None:
        return await self._home.database.ask(facts.get, name)

    async def keep_fact(self, name: str, value: bytes) -> None:
        await self._home.database.write(facts.keep, name, value)

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

    async def extents(self, topic_ids: Sequence[int]) -> list[Extent]:
        await self._home.lane.known()
        places: dict[Shard, list[int]] = defaultdict(list)
        for topic_id in topic_ids:
            places[self._shard(topic_id)].append(topic_id)
        return await self._each([shard.extents_of(ids) for shard, ids in places.items()])

    # The log --------------------------------------------------------------------------------------

    async def append(self, batch: Sequence[NewMessage]) -> list[int]:
        """With several shards, one commit in each; OutcomeUnknown if only some of them could be made."""
        if not self.shards:
            return await self._home.append(batch)
        places: dict[Shard, list[int]] = defaultdict(list)
        for index, new in enumerate(batch):
            places[self._shard(new.topic_id)].append(index)
        calls = [shard.append([batch[at] for at in indexes]) for shard, indexes in places.items()]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        seqs = [0] * len(batch)
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

    async def trim(
        self, topic_id: int, retention: Retention, now_ms: int, limit: int, through_seq: int = 0
    ) -> Trimmed:
        rule = housekeeping.Rule(retention, now_ms, through_seq)
        return await self._shard(topic_id).trim(topic_id, rule, limit)

    async def purge(self, limit: int) -> int:
        """Also looks after the segments, once a minute."""
        return max(await asyncio.gather(*(shard.purge(limit) for shard in self._all)))

    async def cleans_up(self) -> bool:
        return await self._home.database.maintain(housekeeping.claim, self._id)

    # Idempotency ----------------------------------------------------------------------------------

    async def known_keys(self, since_ms: int, limit: int) -> list[KnownKey]:
        found = await self._each([shard.known_keys(since_ms, limit) for shard in self._all])
        if self.shards:
            found.sort(key=lambda known: known.published_at_ms)
        return found[-limit:] if limit else []

    async def forget_keys(self, before_ms: int, limit: int) -> int:
        return max(await asyncio.gather(*(s.forget_keys(before_ms, limit) for s in self._all)))

    # Durable subscriptions ------------------------------------------------------------------------

    async def subscriptions(self) -> list[SubscriptionRecord]:
        # Who asks after a change without an answer is told what became of it.
        await self._home.lane.known()
        return await self._home.database.ask(subscriptions.all_records)

    async def subscription_create(
        self,
        tenant: str,
        name: str,
        pattern: str,
        settings: SubscriptionSettings,
        start: Start,
        now_ms: int,
    ) -> SubscriptionRecord:
        record = SubscriptionRecord(0, tenant, name, pattern, now_ms, False, settings)
        floors = await self.positions(tenant, pattern, start)
        create = subscriptions.create
        return await self._home.database.write(create, record, floors, start.gaps)

    async def subscription_update(
        self, subscription_id: int, settings: SubscriptionSettings, paused: bool
    ) -> None:
        await self._home.lane.change(subscriptions.update, subscription_id, settings, paused)

    async def subscription_delete(self, subscription_id: int) -> None:
        await self._home.lane.change(subscriptions.delete, subscription_id)

    async def subscription_claim(self, subscription_id: int) -> int:
        return await self._home.database.write(subscriptions.claim, subscription_id)

    async def positions(self, tenant: str, pattern: str, start: Start) -> list[tuple[int, int]]:
        calls = [self._positions(shard, tenant, pattern, start) for shard in self._all]
        return await self._each(calls)

    async def _positions(
        self, shard: Shard, tenant: str, pattern: str, start: Start
    ) -> list[tuple[int, int]]:
        is_meant, extents, floors = matcher(pattern), [], []
        async for some in in_slices(await shard.extents(tenant, prefix_of(pattern))):
            extents += [extent for extent in some if is_meant(extent.name)]
        seqs: dict[int, int] = {}
        if start.time_ms is not None:
            seqs = await shard.seqs_at([extent.topic_id for extent in extents], start.time_ms)
        async for some in in_slices(extents):
            floors += [
                (each.topic_id, floor_of(start, each, lambda topic_id, _: seqs.get(topic_id, 1)))
                for each in some
            ]
        return floors

    async def progress(
        self, subscription_id: int, topic_ids: Sequence[int] | None = None
    ) -> list[Progress]:
        await self._home.lane.known()
        return await self._home.database.ask(subscriptions.progress, subscription_id, topic_ids)

    async def progress_in(self, topic_id: int, subscription_ids: Sequence[int]) -> list[Progress]:
        ask = self._home.database.ask
        return await ask(subscriptions.progress_in, topic_id, subscription_ids)

    async def settled(self, subscription_id: int) -> Settled:
        await self._home.lane.known()
        others = [shard.first_seqs() for shard in self.shards.values() if shard is not self._home]
        first_seqs = await self._each(others)
        return await self._home.database.ask(subscriptions.settled, subscription_id, first_seqs)

    async def former(self, subscription_id: int) -> list[Former]:
        return await self._home.database.ask(former.of, subscription_id)

    async def former_heard(self, heard: Sequence[Heard]) -> None:
        if heard:
            await self._home.database.write(former.heard, heard)

    async def former_add(self, subscription_id: int, gaps: Sequence[Former], now_ms: int) -> None:
        await self._home.database.write(former.add_to, subscription_id, gaps, now_ms)

    async def former_trim(self, before_ms: int, limit: int) -> int:
        return await self._home.database.maintain(former.trim, before_ms, limit)

    async def settle(
        self,
        progress: Sequence[Progress],
        deaths: Sequence[Death],
        redriven: Sequence[Redriven] = (),
    ) -> set[int]:
        if not progress and not deaths and not redriven:
            return set()

        async def settled(ticket: Ticket) -> set[int]:
            # The messages are read in its turn too: what is asked for later must not come before it.
            letters = Letters(deaths, await self._messages(deaths), redriven)
            refused, lost = await self._home.database.change(settle, progress, letters, ticket)
            for shelf, count in lost:
                self._losses.lost(shelf, count)
            return refused

        return await self._home.lane.run(settled)

    async def _messages(self, deaths: Sequence[Death]) -> dict[tuple[int, int], Message]:
        """What died, as far as it is still in the log."""
        seqs: dict[int, set[int]] = defaultdict(set)
        for death in deaths:
            seqs[death.topic_id].add(death.seq)
        found = {}
        for topic_id, numbers in seqs.items():
            for message in await self._shard(topic_id).messages(topic_id, numbers):
                found[topic_id, message.seq] = message
        return found

    async def seek(self, subscription_id: int, positions: Sequence[tuple[int, int]]) -> None:
        await self._home.lane.change(subscriptions.seek, subscription_id, positions)


def _described(shard: Shard) -> dict[str, object]:
    if not shard.settings:
        return {}
    return {**shard.settings, "pooler": shard.database.has_pooler}
