"""What a job does with its dead letters, some at a time: it delivers them again, or discards them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Sequence
from typing import Literal, NamedTuple, Protocol, TypeVar

import msgspec

from conduit.broker.administer.redriving import Redrive
from conduit.broker.clock import Clock
from conduit.broker.deliver.holds import Holds
from conduit.broker.waiting import Deadline
from conduit.core.message import DeadPlace
from conduit.errors import LimitReached, OutcomeUnknown, Unavailable
from conduit.storage.base import Store
from conduit.storage.dead_letters import DeadFilter

# A job tries letters again after this while their subscription is full, or the node that is to run it cannot
# be reached, has not got it yet, or has ended before it has answered. Nothing is wrong with these.
WAITS_FOR = ("subscription_full", "unavailable", "outcome_unknown")
WAIT_AGAIN_S = 1.0
# Somebody else has dealt with these meanwhile.
DONE_ELSEWHERE = ("already_redriven", "dead_letter_not_found")
# When nothing was opened for so long the job ends: others of its tenant need its place.
WAIT_MAX_S = 600.0

# A job that is cancelled waits so long for what it is doing then.
CANCEL_WAIT_MAX_S = 5.0

# Of a job that a node of another version has not said it of.
ALL_LETTERS = DeadFilter()

Action = Literal["redrive", "discard"]

T = TypeVar("T")


class LetterJob(msgspec.Struct):
    """Delivering many again, or discarding them. `state`: `running`, then `done`, `cancelled` or `failed`.

    `matched_count` is 0 until the job has found all it will take. `redriven_count` or `discarded_count`, and
    `failed_count`, are those dealt with: a redrive fails when its subscription, topic or message is gone.
    Those that somebody else has dealt with since the job began, and those that were dropped, are in none of
    them.
    """

    job_id: str
    rate_per_s: float
    max_count: int
    started_at_ms: int
    topic: str | None = None
    """Of the letters that it is for; None: of all topics."""
    state: str = "running"
    matched_count: int = 0
    redriven_count: int = 0
    failed_count: int = 0
    finished_at_ms: int | None = None
    error: str | None = None
    """Why the last one failed or waits, or what stopped the job, or that there was nothing to do."""
    action: Action = "redrive"
    discarded_count: int = 0
    which: DeadFilter = ALL_LETTERS
    """Those that it is for …"""
    ids_count: int | None = None
    """… or how many were named one by one; then only the topic restricts."""

    @property
    def done_count(self) -> int:
        """Those that it was started for and has done."""
        return self.redriven_count + self.discarded_count


class Act(Protocol):
    """What is done with the letters of one job."""

    async def deal(self, ids: Sequence[str]) -> None:
        """Do it with these, and count them. Raises Unavailable if the store is, and LimitReached when it has
        waited too long."""

    def end(self) -> None:
        """Nothing more comes. Does not raise."""


class Parts(NamedTuple):
    """What acts are made with."""

    store: Store
    clock: Clock
    redrive: Redrive
    holds: Holds


async def _whole(work: Coroutine[None, None, T]) -> T:
    """What is under way when the job is cancelled is done all the same, and counts."""
    task = asyncio.create_task(work)  # noqa: TID251 - waited for below, in any case
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        done, _ = await asyncio.wait([task], timeout=CANCEL_WAIT_MAX_S)
        for each in done:
            # Looked at, or it would be reported as forgotten.
            each.exception()
        raise


class Redriving:
    """Delivers them again. `again`: those that were redriven before, and are meant all the same."""

    def __init__(self, parts: Parts, tenant: str, job: LetterJob, again: Collection[str]) -> None:
        self._parts = parts
        self._tenant = tenant
        self._job = job
        self._again = again
        # Subscriptions of the batch before: they stay loaded, as most are of the next one too.
        self._held: set[str] = set()
        # Letters of which the owner has not said whether they were redriven.
        self._unsure: set[str] = set()

    async def deal(self, ids: Sequence[str]) -> None:
        """See `Act`."""
        places = await self._found(ids)
        names = {place.subscription for place in places}
        self._parts.holds.hold(self._tenant, names)
        self.end()
        self._held = names
        self._unsure.clear()
        until = Deadline(WAIT_MAX_S)
        while places:
            waiting = await _whole(self._redrive(places))
            if len(waiting) < len(places):
                until = Deadline(WAIT_MAX_S)
            elif not until.left_s:
                raise LimitReached(
                    f"nothing could be redriven for {WAIT_MAX_S / 60:g} minutes: {self._job.error}"
                )
            places = waiting
            if places:
                await asyncio.sleep(WAIT_AGAIN_S)
                places = await self._left(places)

    def end(self) -> None:
        """See `Act`."""
        self._parts.holds.release(self._tenant, self._held)
        self._held = set()

    async def _found(self, ids: Sequence[str]) -> list[DeadPlace]:
        """Without those that are gone, or that somebody else has redriven, since the job began."""
        places = await self._parts.store.dead_find(self._tenant, ids)
        return [place for place in places if not place.is_redriven or place.dead_id in self._again]

    async def _left(self, places: Sequence[DeadPlace]) -> list[DeadPlace]:
        """Those that are still to be redriven. Of one whose owner's answer was lost the store says whether it
        was, unless that was lost with the owner."""
        ids = [place.dead_id for place in places]
        found = {
            place.dead_id: place for place in await self._parts.store.dead_find(self._tenant, ids)
        }
        there = [(place, found[place.dead_id]) for place in places if place.dead_id in found]
        left = [place for place, now in there if place.is_redriven or not now.is_redriven]
        done = {place.dead_id for place, _ in there}.difference(place.dead_id for place in left)
        self._job.redriven_count += len(done & self._unsure)
        self._unsure -= done
        return left

    async def _redrive(self, places: Sequence[DeadPlace]) -> list[DeadPlace]:
        """Returns those that have to wait."""
        job = self._job
        failed = await self._parts.redrive(self._tenant, places, self._parts.clock.wall_ms())
        waiting = [
            place
            for place in places
            if (error := failed.get(place.dead_id)) is not None
            and error.code in WAITS_FOR
            # Of one that was redriven before nobody can tell whether it was once more.
            and not (place.is_redriven and isinstance(error, OutcomeUnknown))
        ]
        job.redriven_count += len(places) - len(failed)
        # Those were this job's own.
        job.redriven_count += sum(
            error.code == "already_redriven" and dead_id in self._unsure
            for dead_id, error in failed.items()
        )
        self._unsure.update(
            dead_id for dead_id, error in failed.items() if isinstance(error, OutcomeUnknown)
        )
        # As those that were passed over because they were marked, or gone, before.
        errors = [one for one in failed.values() if one.code not in DONE_ELSEWHERE]
        job.failed_count += len(errors) - len(waiting)
        for error in errors:
            job.error = error.told
            if isinstance(error, Unavailable) and error.code not in WAITS_FOR:
                raise error
        return waiting


class Discarding:
    """Deletes them for good. `is_redriven`: those that were redriven, or not, if only such are meant."""

    def __init__(
        self, parts: Parts, tenant: str, job: LetterJob, *, is_redriven: bool | None
    ) -> None:
        self._store = parts.store
        self._tenant = tenant
        self._job = job
        self._is_redriven = is_redriven

    async def deal(self, ids: Sequence[str]) -> None:
        """See `Act`."""
        if self._is_redriven is not None:
            # One that was redriven since the job began, or has died again, is not meant any more.
            places = await self._store.dead_find(self._tenant, ids)
            ids = [place.dead_id for place in places if place.is_redriven == self._is_redriven]
        if ids:
            await _whole(self._delete(ids))

    async def _delete(self, ids: Sequence[str]) -> None:
        self._job.discarded_count += await self._store.dead_delete(self._tenant, ids)

    def end(self) -> None:
        """See `Act`."""
