"""The part of the store that is about durable subscriptions: all of them are in the home, with what they have
to do in the topics of every shard."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from conduit.core.message import (
    Death,
    Message,
    Progress,
    Redriven,
    SubscriptionRecord,
    SubscriptionSettings,
)
from conduit.core.topics import matcher, prefix_of
from conduit.storage.base import Extent, Former, Heard, OwnedBy, Settled, Start
from conduit.storage.floors import floor_of
from conduit.storage.postgres import former, owners, subscriptions
from conduit.storage.postgres.dead_calls import DeadLetterCalls
from conduit.storage.postgres.lane import Ticket
from conduit.storage.postgres.settling import Letters, settle
from conduit.storage.postgres.shard import Shard
from conduit.storage.slices import in_slices


class SubscriptionCalls(DeadLetterCalls):
    """See `SubscriptionStore`; what they settle leaves dead letters."""

    async def subscriptions(self) -> list[SubscriptionRecord]:
        # Who asks after a change without an answer is told what became of it.
        await self._home.lane.known()
        return await self._home.database.ask(subscriptions.all_records)

    async def subscriptions_of(self, subscription_ids: Sequence[int]) -> list[SubscriptionRecord]:
        await self._home.lane.known()
        return await self._home.database.ask(subscriptions.records_of, list(subscription_ids))

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

    async def subscription_claim(
        self, subscription_id: int, owner: str | None = None, *, by_force: bool = False
    ) -> int | OwnedBy:
        by_force = by_force or owner is None
        return await self._home.claims.make(subscription_id, owner, by_force=by_force)

    async def subscription_release(
        self, owner: str, claimed: Sequence[tuple[int, int]]
    ) -> list[tuple[int, int]]:
        kept = []
        async for some in in_slices(claimed):
            kept += await self._home.lane.change(owners.release, owner, some)
        return kept

    async def subscriptions_owned(self, owner: str) -> list[tuple[int, int]]:
        # A claim without an answer is known to have happened by then, or never will.
        await self._home.lane.known()
        return await self._home.database.ask(owners.owned, owner)

    async def subscription_fences(self, subscription_ids: Sequence[int]) -> dict[int, int]:
        return await self._home.database.ask(owners.fences, list(subscription_ids))

    async def positions(self, tenant: str, pattern: str, start: Start) -> list[tuple[int, int]]:
        calls = [self._positions(shard, tenant, pattern, start) for shard in self._all]
        return await self._each(calls)

    async def _positions(
        self, shard: Shard, tenant: str, pattern: str, start: Start
    ) -> list[tuple[int, int]]:
        is_meant, floors = matcher(pattern), []
        async for some in in_slices(await shard.extents(tenant, prefix_of(pattern))):
            extents = [extent for extent in some if is_meant(extent.name)]
            floors += await _floors(shard, extents, start)
        return floors

    async def progress(
        self, subscription_id: int, topic_ids: Sequence[int] | None = None
    ) -> list[Progress]:
        await self._home.lane.known()
        return await self._home.database.ask(subscriptions.progress, subscription_id, topic_ids)

    async def progress_at(self, places: Sequence[tuple[int, int]]) -> list[Progress]:
        await self._home.lane.known()
        return await self._home.database.ask(subscriptions.progress_at, places)

    async def settled(self, subscription_ids: Sequence[int]) -> dict[int, Settled]:
        await self._home.lane.known()
        first_seqs = await self._first_seqs_elsewhere()
        return await self._home.database.ask(subscriptions.settled, subscription_ids, first_seqs)

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

    async def seek(
        self,
        subscription_id: int,
        positions: Sequence[tuple[int, int]],
        fence: int | None = None,
    ) -> None:
        await self._home.lane.change(subscriptions.seek, subscription_id, positions, fence)


async def _floors(shard: Shard, extents: Sequence[Extent], start: Start) -> list[tuple[int, int]]:
    """Of a slice: one question about when messages of all topics came may take longer than any may."""
    seqs: dict[int, int] = {}
    if start.time_ms is not None:
        seqs = await shard.seqs_at([extent.topic_id for extent in extents], start.time_ms)
    return [
        (extent.topic_id, floor_of(start, extent, lambda topic_id, _: seqs.get(topic_id, 1)))
        for extent in extents
    ]
