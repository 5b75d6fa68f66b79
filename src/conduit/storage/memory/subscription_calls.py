"""The part of the store that is about durable subscriptions: what they have settled, and what died there."""

from __future__ import annotations

from collections.abc import Sequence

from conduit.core.message import (
    Death,
    Progress,
    Redriven,
    SubscriptionRecord,
    SubscriptionSettings,
)
from conduit.core.topics import matcher
from conduit.names import is_pattern
from conduit.storage.base import Former, Heard, OwnedBy, Settled, Start
from conduit.storage.fences import Fences, allowed
from conduit.storage.floors import floor_of
from conduit.storage.memory.dead_calls import DeadLetterCalls
from conduit.storage.memory.former import FormerTopics
from conduit.storage.memory.log import Log
from conduit.storage.memory.subscriptions import Subscriptions
from conduit.storage.memory.tenants import Tenants
from conduit.storage.slices import in_slices


class SubscriptionCalls(DeadLetterCalls):
    """See `SubscriptionStore`; what they settle leaves dead letters."""

    def __init__(self, log: Log, letters_max_bytes: int) -> None:
        super().__init__(log, letters_max_bytes)
        self._tenants = Tenants()
        self._subscriptions = Subscriptions()
        self._former = FormerTopics()
        self._fences = Fences()

    async def subscriptions(self) -> list[SubscriptionRecord]:
        return self._subscriptions.all()

    async def subscriptions_of(self, subscription_ids: Sequence[int]) -> list[SubscriptionRecord]:
        wanted = set(subscription_ids)
        return [each for each in self._subscriptions.all() if each.subscription_id in wanted]

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
        begins = await self._begins(tenant, [place for place in floors if place[1]])
        self._tenants.check(tenant)
        created = self._subscriptions.add(record, begins)
        for gap in start.gaps:
            self._former.remember(created.subscription_id, gap, now_ms)
        return created

    async def subscription_update(
        self, subscription_id: int, settings: SubscriptionSettings, paused: bool
    ) -> None:
        self._subscriptions.update(subscription_id, settings, paused)

    async def subscription_delete(self, subscription_id: int) -> None:
        self._subscriptions.delete(subscription_id)
        self._fences.forget(subscription_id)
        self._former.forget_subscription(subscription_id)

    async def subscription_claim(
        self, subscription_id: int, owner: str | None = None, *, by_force: bool = False
    ) -> int | OwnedBy:
        if self._subscriptions.tenant_of(subscription_id) is None:
            return 0
        return self._fences.claim(subscription_id, owner)

    async def subscription_release(
        self, owner: str, claimed: Sequence[tuple[int, int]]
    ) -> list[tuple[int, int]]:
        return self._fences.release(owner, claimed)

    async def subscriptions_owned(self, owner: str) -> list[tuple[int, int]]:
        return self._fences.owned(owner)

    async def subscription_fences(self, subscription_ids: Sequence[int]) -> dict[int, int]:
        tenant_of = self._subscriptions.tenant_of
        return self._fences.of([id_ for id_ in subscription_ids if tenant_of(id_) is not None])

    async def positions(self, tenant: str, pattern: str, start: Start) -> list[tuple[int, int]]:
        is_meant, floors, topics = matcher(pattern), [], self._log.topics
        if not is_pattern(pattern):
            # One, and not a walk through all.
            topic_id = self._log.id_of(tenant, pattern)
            topics = {} if topic_id is None else {topic_id: topics[topic_id]}
        async for some in in_slices(list(topics.values())):
            for topic in some:
                record = topic.record
                if record.tenant == tenant and is_meant(record.name):
                    floor = floor_of(start, topic.extent, self._log.seq_at)
                    floors.append((record.topic_id, floor))
        return floors

    async def progress(
        self, subscription_id: int, topic_ids: Sequence[int] | None = None
    ) -> list[Progress]:
        if topic_ids is None:
            topic_ids = self._subscriptions.topic_ids(subscription_id)
        found = []
        async for some in in_slices(topic_ids):
            found += self._subscriptions.progress(subscription_id, some)
        return found

    async def progress_at(self, places: Sequence[tuple[int, int]]) -> list[Progress]:
        found = []
        for subscription_id, topic_id in places:
            found += self._subscriptions.progress(subscription_id, [topic_id])
        return found

    async def settled(self, subscription_ids: Sequence[int]) -> dict[int, Settled]:
        found = {}
        async for some in in_slices(subscription_ids):
            for subscription_id in some:
                found[subscription_id] = await self._settled(subscription_id)
        return found

    async def _settled(self, subscription_id: int) -> Settled:
        passed, opened = 0, []
        async for some in in_slices(await self.progress(subscription_id)):
            for row in some:
                topic = self._log.topics.get(row.topic_id)
                if topic is None:
                    continue
                passed += max(0, row.cursor - topic.record.first_seq + 1)
                if row.open:
                    opened.append(row)
        return Settled(passed, opened)

    async def former(self, subscription_id: int) -> list[Former]:
        return self._former.of(subscription_id)

    async def former_heard(self, heard: Sequence[Heard]) -> None:
        self._former.heard(heard)

    async def former_add(self, subscription_id: int, gaps: Sequence[Former], now_ms: int) -> None:
        if self._subscriptions.tenant_of(subscription_id) is not None:
            for gap in gaps:
                self._former.remember(subscription_id, gap, now_ms)

    async def former_trim(self, before_ms: int, limit: int) -> int:
        return self._former.trim(before_ms, limit)

    async def settle(
        self,
        progress: Sequence[Progress],
        deaths: Sequence[Death],
        redriven: Sequence[Redriven] = (),
    ) -> set[int]:
        self._dead.check(deaths)
        refused = self._fences.refused(progress)
        known = self._is_known
        rows = allowed(refused, progress)
        self._subscriptions.put([row for row in rows if known(row.subscription_id, row.topic_id)])
        for death in allowed(refused, deaths):
            topic = self._log.topics.get(death.topic_id)
            if topic is None or topic.record.tenant != death.tenant:
                continue
            if death.subscription and not self._subscriptions.has(death.tenant, death.subscription):
                continue
            message = self._log.message(death.topic_id, death.seq)
            self._dead.bury(death, topic.record.name, message)
        self._dead.mark(allowed(refused, redriven))
        self._dead.make_room(self._log.first_seq)
        self._log.reserve(self._dead.size_bytes)
        return refused

    async def seek(
        self,
        subscription_id: int,
        positions: Sequence[tuple[int, int]],
        fence: int | None = None,
    ) -> None:
        tenant = self._subscriptions.tenant_of(subscription_id)
        if tenant is None:
            return
        begins = await self._begins(tenant, positions)
        if self._subscriptions.tenant_of(subscription_id) is not None:
            self._fences.moved(subscription_id, fence)
            name = self._subscriptions.move(subscription_id, begins)
            self._dead.gone.are_back(name, begins)

    async def _begins(self, tenant: str, floors: Sequence[tuple[int, int]]) -> dict[int, int]:
        """Those of the tenant's topics that are there when this returns, by id."""
        topics, begins = self._log.topics, dict[int, int]()
        async for some in in_slices(floors):
            for topic_id, floor in some:
                topic = topics.get(topic_id)
                if topic is not None and topic.record.tenant == tenant:
                    begins[topic_id] = floor
        # Others had their turns meanwhile.
        for topic_id in [each for each in begins if each not in topics]:
            del begins[topic_id]
        return begins

    def _is_known(self, subscription_id: int, topic_id: int) -> bool:
        """Whether both are there, and of one tenant."""
        topic = self._log.topics.get(topic_id)
        tenant = self._subscriptions.tenant_of(subscription_id)
        return topic is not None and topic.record.tenant == tenant
