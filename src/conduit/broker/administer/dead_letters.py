"""Dead letters: listing, discarding, and delivering them again, one by one or as a job."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

import msgspec
import uuid_utils

from conduit.broker.clock import Clock
from conduit.broker.waiting import result_of
from conduit.core.message import DeadLetter, Redriven
from conduit.errors import ConduitError, Conflict, LimitReached, NotFound, RequestError
from conduit.names import is_id
from conduit.protocol.frames import PublishRequest
from conduit.storage.base import DeadFilter, Store

# Dead letters that one read takes from the store: each may carry a whole payload.
PAGE_COUNT = 50
# A list stops after the dead letter that passes this, whatever its limit.
LIST_MAX_BYTES = 4 << 20
# A job tries a letter again after this while its subscription is full.
FULL_PAUSE_S = 1.0
# Per tenant. A new job takes the place of the oldest one that has ended.
JOBS_COUNT_MAX = 100
JOBS_RUNNING_MAX = 4

_headers = msgspec.json.Decoder(dict[str, str]).decode
logger = logging.getLogger(__name__)

Redrive = Callable[[DeadLetter, int], Awaitable[None]]
"""Delivers it to its subscription again, and marks it with the time (ms); raises NotFound, Conflict."""
Publish = Callable[[str, PublishRequest, Callable[[object], None]], None]
"""Publishes for the tenant; the callback gets a receipt or a ConduitError."""


class RedriveJob(msgspec.Struct):
    """Delivering many again. `state`: `running`, then `done`, `cancelled` or `failed`.

    `matched_count` is 0 until the job has found all it will take; `redriven_count` and
    `failed_count` are those dealt with. One fails when its subscription, topic or message is gone.
    """

    job_id: str
    rate_per_s: float
    max_count: int
    started_at_ms: int
    state: str = "running"
    matched_count: int = 0
    redriven_count: int = 0
    failed_count: int = 0
    finished_at_ms: int | None = None
    error: str | None = None
    """Why the last one failed or waits, or what stopped the job."""


class DeadLetters:
    """The dead letters of all tenants. Every method raises StoreUnavailable when the store is."""

    def __init__(self, store: Store, clock: Clock, redrive: Redrive, publish: Publish) -> None:
        self._store = store
        self._clock = clock
        self._redrive = redrive
        self._publish = publish
        # tenant -> job_id -> job, oldest first.
        self._jobs: dict[str, dict[str, RedriveJob]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def stop(self) -> None:
        """Cancel the jobs that run, and wait for them. Idempotent."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def count(self, tenant: str, which: DeadFilter) -> int:
        """How many match."""
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

    async def redrive(self, tenant: str, dead_id: str) -> DeadLetter:
        """Deliver it again to its subscription, and mark it. Raises NotFound, Conflict.

        One of an ephemeral subscriber, who is gone, is published anew. A crash before its mark
        leaves it unmarked, and it may be redriven twice: at least once.
        """
        letter = await self.get(tenant, dead_id)
        letter.redriven_at_ms = at_ms = self._clock.wall_ms()
        if letter.subscription:
            await self._redrive(letter, at_ms)
        else:
            await self._publish_anew(tenant, letter)
            await self._store.settle([], [], [Redriven(dead_id, at_ms)])
        return letter

    async def _publish_anew(self, tenant: str, letter: DeadLetter) -> None:
        headers = _headers(letter.headers) if letter.headers is not None else None
        payload = msgspec.Raw(letter.payload)
        request = PublishRequest(letter.topic, payload, key=letter.key, headers=headers)
        await result_of(partial(self._publish, tenant, request))

    async def matching(self, tenant: str, which: DeadFilter, max_count: int) -> list[str]:
        """The ids of the newest `max_count` that match and were not redriven yet, newest first."""
        ids: list[str] = []
        before_id = None
        while len(ids) < max_count:
            page = await self._store.dead_list(tenant, which, limit=PAGE_COUNT, before_id=before_id)
            ids += [letter.dead_id for letter in page if letter.redriven_at_ms is None]
            if len(page) < PAGE_COUNT:
                break
            before_id = page[-1].dead_id
            # A store in memory does not wait, and there may be thousands of pages.
            await asyncio.sleep(0)
        return ids[:max_count]

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

    # Jobs -----------------------------------------------------------------------------------------

    def redrive_many(
        self, tenant: str, which: DeadFilter, *, rate_per_s: float, max_count: int
    ) -> RedriveJob:
        """Start a job for what `matching` finds, oldest first. Raises LimitReached."""
        jobs = self._jobs.setdefault(tenant, {})
        running = sum(job.state == "running" for job in jobs.values())
        if running >= JOBS_RUNNING_MAX:
            raise LimitReached(f"{JOBS_RUNNING_MAX} jobs are running, which is the limit")
        if len(jobs) >= JOBS_COUNT_MAX:
            del jobs[next(job_id for job_id, job in jobs.items() if job.state != "running")]
        job = RedriveJob(str(uuid_utils.uuid7()), rate_per_s, max_count, self._clock.wall_ms())
        jobs[job.job_id] = job
        task = asyncio.create_task(self._run(tenant, which, job))  # noqa: TID251 - a job's root; `stop` cancels it
        self._tasks[job.job_id] = task
        task.add_done_callback(lambda _: self._tasks.pop(job.job_id))
        return job

    def job(self, tenant: str, job_id: str) -> RedriveJob:
        """A job that runs or ended lately. Raises NotFound `job_not_found`."""
        job = self._jobs.get(tenant, {}).get(job_id)
        if job is None:
            raise NotFound("no job has this id", code="job_not_found")
        return job

    def cancel(self, tenant: str, job_id: str) -> RedriveJob:
        """Stop it; what is redriven stays so. Raises NotFound, Conflict if it has ended."""
        job = self.job(tenant, job_id)
        if job.state != "running":
            raise Conflict(f"the job is {job.state} already")
        self._end(job, "cancelled")
        self._tasks[job_id].cancel()
        return job

    async def _run(self, tenant: str, which: DeadFilter, job: RedriveJob) -> None:
        """The root of a job's task."""
        try:
            await self._redrive_all(tenant, which, job)
            self._end(job, "done")
        except asyncio.CancelledError:
            self._end(job, "cancelled")
            raise
        except Exception as error:
            logger.exception("redrive job %s failed", job.job_id)
            job.error = error.told if isinstance(error, ConduitError) else "internal error"
            self._end(job, "failed")

    async def _redrive_all(self, tenant: str, which: DeadFilter, job: RedriveJob) -> None:
        ids = await self.matching(tenant, which, job.max_count)
        job.matched_count = len(ids)
        due_at = self._clock.now()
        for dead_id in reversed(ids):
            await asyncio.sleep(max(0.0, due_at - self._clock.now()))
            due_at += 1 / job.rate_per_s
            await self._redrive_one(tenant, dead_id, job)

    async def _redrive_one(self, tenant: str, dead_id: str, job: RedriveJob) -> None:
        while True:
            try:
                await self.redrive(tenant, dead_id)
                job.redriven_count += 1
                return
            except RequestError as error:
                job.error = error.told
                if error.code != "subscription_full":
                    job.failed_count += 1
                    return
            # Nothing is wrong with it: its subscription gets it when fewer of its deliveries wait.
            await asyncio.sleep(FULL_PAUSE_S)

    def _end(self, job: RedriveJob, state: str) -> None:
        if job.state == "running":
            job.state = state
            job.finished_at_ms = self._clock.wall_ms()
