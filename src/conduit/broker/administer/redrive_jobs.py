"""Jobs that deliver many dead letters again: at a rate, with progress, and an end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import partial

import msgspec
import uuid_utils

from conduit.broker.administer.looking import Lines
from conduit.broker.administer.redriving import Redrive
from conduit.broker.clock import Clock
from conduit.broker.deliver.holds import Holds
from conduit.broker.waiting import Deadline
from conduit.core.message import DeadPlace
from conduit.errors import ConduitError, Conflict, LimitReached, NotFound, Unavailable
from conduit.names import of_tenant
from conduit.storage.base import Store
from conduit.storage.dead_letters import DeadFilter

# Ids that one read takes from the store, and letters that one commit opens.
PAGE_COUNT = 1_000
BATCH_MAX_COUNT = 500
# What falls due in this time is redriven together.
PACE_S = 0.05
# A job that was held up makes up for so much, not more: a subscriber that came back is not flooded.
CATCH_UP_S = 1.0
# A job tries letters again after this while their subscription is full, or the node that is to run it cannot
# be reached, or has not got it yet. Nothing is wrong with these.
WAITS_FOR = ("subscription_full", "unavailable")
WAIT_AGAIN_S = 1.0
# When nothing was opened for so long the job ends: others of its tenant need its place.
WAIT_MAX_S = 600.0
# Per tenant. A new job takes the place of the oldest one that has ended.
JOBS_COUNT_MAX = 100
JOBS_RUNNING_MAX = 4

NOTHING_MATCHES = "nothing matches: there is no such dead letter that was not redriven"

logger = logging.getLogger(__name__)


class RedriveJob(msgspec.Struct):
    """Delivering many again. `state`: `running`, then `done`, `cancelled` or `failed`.

    `matched_count` is 0 until the job has found all it will take; `redriven_count` and
    `failed_count` are those dealt with. One fails when its subscription, topic or message is gone.
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


class RedriveJobs:
    """The jobs of all tenants."""

    def __init__(
        self, store: Store, clock: Clock, redrive: Redrive, holds: Holds, lines: Lines
    ) -> None:
        self._store = store
        self._clock = clock
        self._redrive = redrive
        self._holds = holds
        self._lines = lines
        # tenant -> job_id -> job, oldest first.
        self._jobs: dict[str, dict[str, RedriveJob]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def stop(self) -> None:
        """Cancel the jobs that run, and wait for them. Idempotent."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def start(
        self, tenant: str, which: DeadFilter, *, rate_per_s: float, max_count: int
    ) -> RedriveJob:
        """Start a job for the newest `max_count` that match and were not redriven yet, oldest first. Raises
        LimitReached."""
        jobs = self._jobs.setdefault(tenant, {})
        running = sum(job.state == "running" for job in jobs.values())
        if running >= JOBS_RUNNING_MAX:
            raise LimitReached(f"as many jobs are running as may: {JOBS_RUNNING_MAX}")
        if len(jobs) >= JOBS_COUNT_MAX:
            del jobs[next(job_id for job_id, job in jobs.items() if job.state != "running")]
        now_ms = self._clock.wall_ms()
        job = RedriveJob(str(uuid_utils.uuid7()), rate_per_s, max_count, now_ms, which.topic)
        jobs[job.job_id] = job
        logger.info(
            "redrive job %s%s: up to %d dead letters of %s in %s, %g a second",
            job.job_id,
            of_tenant(tenant),
            max_count,
            "all subscriptions" if which.subscription is None else repr(which.subscription),
            "all topics" if which.topic is None else repr(which.topic),
            rate_per_s,
        )
        task = asyncio.create_task(self._run(tenant, which, job))  # noqa: TID251 - a job's root; `stop` cancels it
        self._tasks[job.job_id] = task
        task.add_done_callback(lambda _: self._tasks.pop(job.job_id))
        return job

    def get(self, tenant: str, job_id: str) -> RedriveJob:
        """A job that runs or ended lately. Raises NotFound `job_not_found`."""
        job = self._jobs.get(tenant, {}).get(job_id)
        if job is None:
            raise no_job()
        return job

    def cancel(self, tenant: str, job_id: str) -> RedriveJob:
        """Stop it; what is redriven stays so. Raises NotFound, Conflict if it has ended."""
        job = self.get(tenant, job_id)
        if job.state != "running":
            raise Conflict(f"the job is {job.state} already")
        self._end(job, "cancelled")
        self._tasks[job_id].cancel()
        return job

    async def _run(self, tenant: str, which: DeadFilter, job: RedriveJob) -> None:
        """The root of a job's task."""
        try:
            await self._redrive_all(tenant, which, job)
            if not job.matched_count:
                job.error = NOTHING_MATCHES
            elif not job.failed_count:
                # It had to wait, which is over.
                job.error = None
            self._end(job, "done")
        except asyncio.CancelledError:
            self._end(job, "cancelled")
            raise
        except LimitReached as error:
            job.error = error.told
            self._end(job, "failed")
        except Exception as error:
            logger.exception("redrive job %s failed", job.job_id)
            job.error = error.told if isinstance(error, ConduitError) else "internal error"
            self._end(job, "failed")

    async def _redrive_all(self, tenant: str, which: DeadFilter, job: RedriveJob) -> None:
        ids = await self._matching(tenant, which, job.max_count)
        job.matched_count = len(ids)
        size = max(1, min(BATCH_MAX_COUNT, int(job.rate_per_s * PACE_S)))
        due_at = self._clock.now()
        # Of the batch before: they stay loaded, as most are of the next one too.
        held: set[str] = set()
        try:
            for start in range(0, len(ids), size):
                now = self._clock.now()
                due_at = max(due_at, now - CATCH_UP_S)
                await asyncio.sleep(max(0.0, due_at - now))
                due_at += size / job.rate_per_s
                places = await self._found(tenant, ids[start : start + size], job)
                names = {place.subscription for place in places}
                self._holds.hold(tenant, names)
                self._holds.release(tenant, held)
                held = names
                await self._redrive_batch(tenant, places, job)
        finally:
            self._holds.release(tenant, held)

    async def _matching(self, tenant: str, which: DeadFilter, max_count: int) -> list[str]:
        """Their ids, oldest first."""
        line = self._lines.of(which)
        which = msgspec.structs.replace(which, is_redriven=False)
        ids: list[str] = []
        before_id = None
        while len(ids) < max_count:
            limit = min(PAGE_COUNT, max_count - len(ids))
            ask = partial(self._store.dead_places, tenant, which, limit=limit)
            page = await line.look(partial(ask, before_id=before_id))
            ids += [place.dead_id for place in page]
            if (before_id := page.reached_id) is None:
                break
        return ids[::-1]

    async def _found(self, tenant: str, ids: Sequence[str], job: RedriveJob) -> list[DeadPlace]:
        """Without those that somebody else has redriven since the job began."""
        places = await self._store.dead_find(tenant, ids)
        if missing_count := len(ids) - len(places):
            job.failed_count += missing_count
            job.error = f"{missing_count} dead letters were discarded or dropped meanwhile"
        return [place for place in places if not place.is_redriven]

    async def _redrive_batch(self, tenant: str, places: list[DeadPlace], job: RedriveJob) -> None:
        until = Deadline(WAIT_MAX_S)
        while places:
            waiting = await self._redrive_some(tenant, places, job)
            if len(waiting) < len(places):
                until = Deadline(WAIT_MAX_S)
            elif not until.left_s:
                raise LimitReached(
                    f"nothing could be redriven for {WAIT_MAX_S / 60:g} minutes: {job.error}"
                )
            places = waiting
            if places:
                await asyncio.sleep(WAIT_AGAIN_S)

    async def _redrive_some(
        self, tenant: str, places: list[DeadPlace], job: RedriveJob
    ) -> list[DeadPlace]:
        """Returns those that have to wait."""
        failed = await self._redrive(tenant, places, self._clock.wall_ms())
        waiting = [
            place
            for place in places
            if (error := failed.get(place.dead_id)) is not None and error.code in WAITS_FOR
        ]
        job.redriven_count += len(places) - len(failed)
        # As those that were passed over because they were marked before: somebody else has done it.
        errors = [one for one in failed.values() if one.code != "already_redriven"]
        job.failed_count += len(errors) - len(waiting)
        for error in errors:
            job.error = error.told
            if isinstance(error, Unavailable) and error.code not in WAITS_FOR:
                raise error
        return waiting

    def _end(self, job: RedriveJob, state: str) -> None:
        if job.state == "running":
            job.state = state
            job.finished_at_ms = self._clock.wall_ms()
            logger.info(
                "redrive job %s is %s: %d of %d redriven, %d failed%s",
                job.job_id,
                state,
                job.redriven_count,
                job.matched_count,
                job.failed_count,
                "" if job.error is None else f"; {job.error}",
            )


def no_job() -> NotFound:
    """There is none of this id."""
    return NotFound(
        "no job has this id; jobs end when the server does, and what they had not redriven is still there",
        code="job_not_found",
    )
