"""A memory store that several nodes use, and that knows whose lease holds."""

from __future__ import annotations

import asyncio
from collections import defaultdict

from conduit.errors import StoreUnavailable
from conduit.storage.base import OwnedBy
from tests.broker.stores import SharedStore


class LeasedStore(SharedStore):
    """One that knows whose lease holds: those of `live`. Calls of the methods in `held` wait until `release`,
    before they have an effect; `claimed` and `owned` with the answer. Those in `failing` fail."""

    def __init__(self) -> None:
        super().__init__()
        self.live: set[str] = set()
        self.held: set[str] = set()
        self.failing: set[str] = set()
        self.waiting: list[str] = []
        self._gates: dict[str, asyncio.Event] = defaultdict(asyncio.Event)

    def release(self, *names: str) -> None:
        """Those of these names go on, or all."""
        for name in names or tuple(self._gates):
            self.held.discard(name)
            self._gates.pop(name, asyncio.Event()).set()

    async def _pass(self, name: str) -> None:
        if name in self.failing:
            raise StoreUnavailable("the store is away")
        if name in self.held:
            self.waiting.append(name)
            await self._gates[name].wait()

    def owner_of(self, subscription_id: int) -> str | None:
        return self._fences.owner_of(subscription_id)

    def fence_of(self, subscription_id: int) -> int:
        return self._fences.of([subscription_id])[subscription_id]

    async def subscription_claim(self, subscription_id, owner=None, *, by_force=False):
        await self._pass("claim")
        self.asked.append(("claim", subscription_id))
        has = self.owner_of(subscription_id)
        if owner is not None and not by_force and has in self.live - {owner}:
            return OwnedBy(has, 1.0)
        fence = await super().subscription_claim(subscription_id, owner)
        await self._pass("claimed")
        return fence

    async def subscription_release(self, owner, claimed):
        await self._pass("give_up")
        self.asked.append(("give_up", len(claimed)))
        return await super().subscription_release(owner, claimed)

    async def subscriptions_owned(self, owner):
        await self._pass("ask")
        self.asked.append(("owned", 1))
        owned = await super().subscriptions_owned(owner)
        await self._pass("owned")
        return owned

    async def subscription_fences(self, subscription_ids):
        await self._pass("fences")
        return await super().subscription_fences(subscription_ids)

    async def progress(self, *args):
        await self._pass("progress")
        return await super().progress(*args)

    async def settle(self, *args):
        await self._pass("settle")
        return await super().settle(*args)
