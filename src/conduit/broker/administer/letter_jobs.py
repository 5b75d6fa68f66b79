"""Jobs that deliver many dead letters again, or discard them: at a rate, with progress, and an end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import partial

import msgspec
import uuid_utils

from conduit.broker.administer.letter_acts import (
    Act,
    Action,
    Discarding,
    LetterJob,
    Parts,
    Redriving,
)
from conduit.broker.administer.looking import Lines
from conduit.core.message import DeadPlace
from conduit.errors import ConduitError, Conflict, LimitReached, NotFound
from conduit.names import of_tenant
from conduit.storage.dead_letters import DeadFilter

# Ids that one read takes from the store, and letters that one commit deals with.
PAGE_COUNT = 1_000
BATCH_MAX_COUNT = 500
# What falls due in this time is dealt with together.
PACE_S = 0.05
# A job that was held up makes up for so much, not more: a subscriber that came back is not flooded.
CATCH_UP_S = 1.0
# Per tenant. A new job takes the place of the oldest one that has ended.
JOBS_COUNT_MAX = 100
JOBS_RUNNING_MAX = 4

NOTHING_MATCHES = {
    "redrive": "nothing matches: there is no such dead letter that was not redriven",
    "discard": "nothing matches: there is no such dead letter",
}
_DID = {"redrive": "redriven", "discard": "discarded"}

logger = logging.getLogger(__name__)


class Chosen(msgspec.Struct, frozen=True):
    """Those with these ids, each once; with a topic only those of it."""

    ids: Sequence[str]
    topic: str | None = None


class LetterJobs:
    """The jobs of all tenants."""

    def __init__(self, parts: Parts, lines: Lines) -> None:
        self._parts = parts
        self._lines = lines
        # tenant -> job_id -> job, oldest first.
        self._jobs: dict[str, dict[str, LetterJob]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def stop(self) -> None:
        """Cancel the jobs that run, and wait for them. Idempotent."""
        tasks = list(self._tasks.values())
        for task in tasks:
            # One that was cancelled is at its last letters.
            if not task.cancelling():
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def start(
        self,
        tenant: str,
        which: DeadFilter | Chosen,
        *,
        rate_per_s: float,
        max_count: int,
        action: Action = "redrive",
    ) -> LetterJob:
        """Start a job for the newest `max_count` that are meant, oldest first. A redrive of those that match
        a filter takes only what was not redriven yet. Raises LimitReached."""
        jobs = self._jobs.setdefault(tenant, {})
        # Also those that were cancelled and are at their last letters.
        running = sum(job_id in self._tasks for job_id in jobs)
        if running >= JOBS_RUNNING_MAX:
            raise LimitReached(f"as many jobs are running as may: {JOBS_RUNNING_MAX}")
        if len(jobs) >= JOBS_COUNT_MAX:
            del jobs[next(job_id for job_id, job in jobs.items() if job.state != "running")]
        kept_which, ids_count = kept(which)
        job = LetterJob(
            str(uuid_utils.uuid7()),
            rate_per_s,
            max_count,
            self._parts.clock.wall_ms(),
            which.topic,
            action=action,
            which=kept_which,
            ids_count=ids_count,
        )
        jobs[job.job_id] = job
        logger.info(
            "%s job %s%s: up to %d dead letters of %s in %s, %g a second",
            action,
            job.job_id,
            of_tenant(tenant),
            max_count,
            _said(which),
            "all topics" if which.topic is None else repr(which.topic),
            rate_per_s,
        )
        task = asyncio.create_task(self._run(tenant, which, job))  # noqa: TID251 - a job's root; `stop` cancels it
        self._tasks[job.job_id] = task
        task.add_done_callback(lambda _: self._tasks.pop(job.job_id))
        return job

    def all(self, tenant: str) -> list[LetterJob]:
        """Those that run or ended lately, JOBS_COUNT_MAX at most, oldest first."""
        return [*self._jobs.get(tenant, {}).values()]

    def get(self, tenant: str, job_id: str) -> LetterJob:
        """A job that runs or ended lately. Raises NotFound `job_not_found`."""
        job = self._jobs.get(tenant, {}).get(job_id)
        if job is None:
            raise no_job()
        return job

    def cancel(self, tenant: str, job_id: str) -> LetterJob:
        """Stop it; what is done stays so. Raises NotFound, Conflict if it has ended."""
        job = self.get(tenant, job_id)
        if job.state != "running":
            raise Conflict(f"the job is {job.state} already")
        self._end(job, "cancelled")
        self._tasks[job_id].cancel()
        return job

    def forget(self, tenant: str) -> None:
        """The tenant is gone: stop its jobs, and know none of it any more."""
        for job in self._jobs.pop(tenant, {}).values():
            if job.state == "running":
                self._end(job, "cancelled")
                self._tasks[job.job_id].cancel()

    async def _run(self, tenant: str, which: DeadFilter | Chosen, job: LetterJob) -> None:
        """The root of a job's task."""
        try:
            await self._deal_with_all(tenant, which, job)
            if not job.matched_count:
                job.error = NOTHING_MATCHES[job.action]
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
            logger.exception("%s job %s failed", job.action, job.job_id)
            job.error = error.told if isinstance(error, ConduitError) else "internal error"
            self._end(job, "failed")

    async def _deal_with_all(self, tenant: str, which: DeadFilter | Chosen, job: LetterJob) -> None:
        ids, act = await self._begun(tenant, which, job)
        job.matched_count = len(ids)
        size = max(1, min(BATCH_MAX_COUNT, int(job.rate_per_s * PACE_S)))
        clock = self._parts.clock
        due_at = clock.now()
        try:
            for start in range(0, len(ids), size):
                now = clock.now()
                due_at = max(due_at, now - CATCH_UP_S)
                await asyncio.sleep(max(0.0, due_at - now))
                due_at += size / job.rate_per_s
                await act.deal(ids[start : start + size])
        finally:
            act.end()

    async def _begun(
        self, tenant: str, which: DeadFilter | Chosen, job: LetterJob
    ) -> tuple[list[str], Act]:
        """The ids of those that are meant, oldest first, and what is done with them."""
        again: set[str] = set()
        is_redriven = None
        if isinstance(which, Chosen):
            places = (await self.chosen(tenant, which))[-job.max_count :]
            ids = [place.dead_id for place in places]
            again = {place.dead_id for place in places if place.is_redriven}
        else:
            is_redriven = which.is_redriven
            ids = await self._matching(tenant, which, job)
        if job.action == "redrive":
            return ids, Redriving(self._parts, tenant, job, again)
        return ids, Discarding(self._parts, tenant, job, is_redriven=is_redriven)

    async def chosen(self, tenant: str, which: Chosen) -> list[DeadPlace]:
        """Those of them that exist, oldest first. Raises StoreUnavailable."""
        places: list[DeadPlace] = []
        ids = sorted(which.ids)
        for start in range(0, len(ids), PAGE_COUNT):
            places += await self._parts.store.dead_find(tenant, ids[start : start + PAGE_COUNT])
        return [place for place in places if which.topic in (None, place.topic)]

    async def _matching(self, tenant: str, which: DeadFilter, job: LetterJob) -> list[str]:
        """Their ids, oldest first."""
        line, max_count = self._lines.of(which), job.max_count
        if job.action == "redrive":
            which = msgspec.structs.replace(which, is_redriven=False)
        ids: list[str] = []
        before_id = None
        while len(ids) < max_count:
            limit = min(PAGE_COUNT, max_count - len(ids))
            ask = partial(self._parts.store.dead_places, tenant, which, limit=limit)
            page = await line.look(partial(ask, before_id=before_id))
            ids += [place.dead_id for place in page]
            if (before_id := page.reached_id) is None:
                break
        return ids[::-1]

    def _end(self, job: LetterJob, state: str) -> None:
        if job.state == "running":
            job.state = state
            job.finished_at_ms = self._parts.clock.wall_ms()
            logger.info(
                "%s job %s is %s: %d of %d %s, %d failed%s",
                job.action,
                job.job_id,
                state,
                job.done_count,
                job.matched_count,
                _DID[job.action],
                job.failed_count,
                "" if job.error is None else f"; {job.error}",
            )


def kept(which: DeadFilter | Chosen) -> tuple[DeadFilter, int | None]:
    """What a job keeps of it, to be shown: the filter, or with how many ids it was, which may be many."""
    if isinstance(which, Chosen):
        return DeadFilter(topic=which.topic), len(which.ids)
    return which, None


def no_job() -> NotFound:
    """There is none of this id."""
    return NotFound(
        "no job has this id; jobs end when the server does, and what they had not come to is still there",
        code="job_not_found",
    )


def _said(which: DeadFilter | Chosen) -> str:
    """Whose letters they are, for the log."""
    if isinstance(which, Chosen):
        return f"{len(which.ids)} chosen ones"
    return "all subscriptions" if which.subscription is None else repr(which.subscription)
