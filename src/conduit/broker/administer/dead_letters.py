"""Dead letters: looking at them, discarding them, and delivering them again."""

from __future__ import annotations

import asyncio
import logging
from contextlib import nullcontext

import msgspec

from conduit.broker.administer.redrive_jobs import RedriveJobs
from conduit.broker.administer.redriving import Redrive
from conduit.broker.changes import after_change
from conduit.broker.clock import Clock
from conduit.core.message import DeadLetter
from conduit.errors import NotFound
from conduit.names import is_id
from conduit.storage.base import Store
from conduit.storage.dead_letters import DeadFilter

# Dead letters that one read takes from the store: each may carry a whole payload.
PAGE_COUNT = 50
# Dead letters that one commit discards.
DISCARD_COUNT = 500
# A list stops after the dead letter that passes this, whatever its limit.
LIST_MAX_BYTES = 4 << 20

_ONE_SUBSCRIPTION = {"subscription", "is_redriven"}

logger = logging.getLogger(__name__)


class Discarded(msgspec.Struct):
    """What a discard of many has done. `before_id`: there may be more, below it."""

    matched_count: int = 0
    discarded_count: int = 0
    before_id: str | None = None


class DeadLetters:
    """The dead letters of all tenants. Every method raises StoreUnavailable when the store is."""

    def __init__(self, store: Store, clock: Clock, redrive: Redrive, jobs: RedriveJobs) -> None:
        self._store = store
        self._clock = clock
        self._redrive = redrive
        self.jobs = jobs

    async def count(self, tenant: str, which: DeadFilter) -> int:
        """How many match."""
        asked = {name for name, value in msgspec.structs.asdict(which).items() if value is not None}
        if which.subscription and asked <= _ONE_SUBSCRIPTION:
            tally = await self._store.dead_tally(tenant, which.subscription)
            counts = {False: tally.open_count, True: tally.redriven_count}
            if which.is_redriven is None:
                return sum(counts.values())
            return counts[which.is_redriven]
        return await self._store.dead_count(tenant, which)

    async def get(self, tenant: str, dead_id: str) -> DeadLetter:
        """One of them. Raises NotFound `dead_letter_not_found`."""
        letter = await self._store.dead_get(tenant, dead_id) if is_id(dead_id) else None
        if letter is None:
            raise NotFound("no dead letter has this id", code="dead_letter_not_found")
        return letter

    async def discard(self, tenant: str, dead_id: str) -> None:
        """Forget it. Raises NotFound `dead_letter_not_found`."""
        if not is_id(dead_id) or not await self._store.dead_delete(tenant, [dead_id]):
            raise NotFound("no dead letter has this id", code="dead_letter_not_found")

    async def discard_many(
        self, tenant: str, which: DeadFilter, *, max_count: int, before_id: str | None = None
    ) -> Discarded:
        """Forget up to `max_count` that match, the newest first, those below `before_id`. Raises
        OutcomeUnknown if the store fails after some are gone."""
        done = Discarded()
        try:
            await self._discard(tenant, which, done, max_count, before_id)
        finally:
            if done.discarded_count:
                logger.info("dead letters discarded: %d", done.discarded_count)
        return done

    async def _discard(
        self, tenant: str, which: DeadFilter, done: Discarded, max_count: int, before_id: str | None
    ) -> None:
        while done.matched_count < max_count:
            wanted = min(DISCARD_COUNT, max_count - done.matched_count)
            with after_change() if done.discarded_count else nullcontext():
                places = await self._store.dead_places(
                    tenant, which, limit=wanted, before_id=before_id
                )
                ids = [place.dead_id for place in places]
                done.discarded_count += await self._store.dead_delete(tenant, ids)
            done.matched_count += len(ids)
            if len(ids) < wanted:
                return
            before_id = ids[-1]
            # A store in memory does not wait.
            await asyncio.sleep(0)
        done.before_id = before_id

    async def redrive(self, tenant: str, dead_id: str) -> DeadLetter:
        """Deliver it again, and mark it; raises NotFound, or why it cannot be: see `Redriver`."""
        letter = await self.get(tenant, dead_id)
        at_ms = self._clock.wall_ms()
        failed = await self._redrive(tenant, [letter.place], at_ms)
        if dead_id in failed:
            raise failed[dead_id]
        letter.redriven_at_ms = at_ms
        return letter

    async def list(
        self, tenant: str, which: DeadFilter, *, limit: int, before_id: str | None = None
    ) -> tuple[list[DeadLetter], bool]:
        """Newest first, those below `before_id`; and whether there may be more after these."""
        letters: list[DeadLetter] = []
        size_bytes = 0
        while len(letters) < limit and size_bytes < LIST_MAX_BYTES:
            wanted = min(PAGE_COUNT, limit - len(letters))
            page = await self._store.dead_list(tenant, which, limit=wanted, before_id=before_id)
            letters += page
            if len(page) < wanted:
                return letters, False
            size_bytes += sum(len(letter.payload) for letter in page)
            before_id = page[-1].dead_id
        return letters, True
