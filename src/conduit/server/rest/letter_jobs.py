"""`/api/dlq/redrive`, `/discard` and `/jobs`: jobs that deal with many dead letters"""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import Request, Response
from pydantic import AfterValidator, Field

from conduit.broker.administer.letter_acts import Action
from conduit.broker.administer.letter_jobs import NOTHING_MATCHES, Chosen, kept
from conduit.errors import InvalidRequest
from conduit.names import ID_SCHEMA, is_id, time_of
from conduit.protocol.codec import format_time
from conduit.protocol.job_records import JobAnswer, JobList, LettersMeant
from conduit.server.rest import jobs
from conduit.server.rest.access import From, Managing, check_filter, sees_node
from conduit.server.rest.dead_letters import REDRIVEN, Which, filter_of
from conduit.server.rest.inputs import NO_QUERY, AnId, Body, Shared
from conduit.server.rest.polling import Seen
from conduit.server.rest.replies import answers, optional_time, reply
from conduit.server.rest.routing import routes
from conduit.storage.dead_letters import DeadFilter
from conduit.tenancy.audit import Origin
from conduit.tenancy.principal import Principal

router = routes("/api/dlq", "dead letters")

JOB_MAX_COUNT = 100_000
# One in 100 s: a job that is slower would be there for ever.
RATE_MIN_PER_S = 0.01
RATE_MAX_PER_S = 10_000
# That one request names.
IDS_MAX_COUNT = 1_000
# Of these, so many are in the audit log; how many they were is there in any case.
AUDITED_IDS_COUNT = 20
# What can be said beside ids.
_BESIDE_IDS = {"ids", "topic", "rate_per_s", "max_count", "dry_run"}


def _each_an_id(ids: list[str]) -> list[str]:
    if not all(map(is_id, ids)):
        raise ValueError("must be ids of dead letters")
    return list(dict.fromkeys(ids))


Ids = Annotated[
    list[Annotated[str, Field(json_schema_extra=ID_SCHEMA)]],
    Field(
        min_length=1,
        max_length=IDS_MAX_COUNT,
        description="Those with these ids, also if they were redriven; beside it only `topic` says more.",
    ),
    AfterValidator(_each_an_id),
]


class Redrive(Body, Which):
    """Which dead letters to deliver again, and how fast: those that match, or those with these `ids`.
    `dry_run` only counts them.
    """

    ids: Ids | None = None
    rate_per_s: float = Field(100.0, ge=RATE_MIN_PER_S, le=RATE_MAX_PER_S, allow_inf_nan=False)
    max_count: int = Field(JOB_MAX_COUNT, ge=1, le=JOB_MAX_COUNT)
    dry_run: bool = False


class Discard(Body, Which):
    """Which dead letters to delete, and how fast: those that match, or those with these `ids`. `dry_run` only
    counts them.
    """

    ids: Ids | None = None
    redriven: Annotated[bool | None, Field(description=REDRIVEN)] = None
    rate_per_s: float = Field(1_000.0, ge=RATE_MIN_PER_S, le=RATE_MAX_PER_S, allow_inf_nan=False)
    max_count: int = Field(JOB_MAX_COUNT, ge=1, le=JOB_MAX_COUNT)
    dry_run: bool = False


def _meant(body: Redrive | Discard) -> DeadFilter | Chosen:
    """Which a job is for. Raises InvalidRequest if both ids and a filter but `topic` are given."""
    if body.ids is None:
        redriven = body.redriven if isinstance(body, Discard) else False
        return filter_of(body, redriven=redriven)
    for name in sorted(body.model_fields_set - _BESIDE_IDS):
        if getattr(body, name) is not None:
            raise InvalidRequest(f"{name!r} cannot be given beside ids", field=name)
    return Chosen(body.ids, body.topic)


def show_job(request: Request, placed: jobs.Placed) -> JobAnswer:
    """The job as it is answered to who asks."""
    job, node = placed
    return JobAnswer(
        id=job.job_id,
        action=job.action,
        state=job.state,
        matched_count=job.matched_count,
        redriven_count=job.redriven_count,
        discarded_count=job.discarded_count,
        failed_count=job.failed_count,
        rate_per_s=job.rate_per_s,
        max_count=job.max_count,
        started_at=format_time(job.started_at_ms),
        finished_at=optional_time(job.finished_at_ms),
        error=job.error,
        # A node of another version says the topic alone.
        which=_show_meant(msgspec.structs.replace(job.which, topic=job.topic), job.ids_count),
        node=node if sees_node(request) else None,
    )


def _show_meant(which: DeadFilter, ids_count: int | None) -> LettersMeant:
    return LettersMeant(
        topic=which.topic,
        subscription=which.subscription,
        reason=which.reason,
        from_time=optional_time(which.from_ms),
        to_time=optional_time(which.to_ms),
        q=which.q,
        redriven=which.is_redriven,
        ids_count=ids_count,
    )


@router.post(
    "/redrive", dependencies=[NO_QUERY], responses=answers(JobAnswer, "limit_reached", "overloaded")
)
async def redrive_many(
    request: Request, shared: Shared, caller: Managing, origin: From, body: Redrive
) -> Response:
    """Deliver again those that match and were not redriven yet, or those with these ids, oldest first, as a
    job.

    If more than `max_count` match, the newest are taken.
    """
    return await _many(request, shared, caller, origin, "redrive", body)


@router.post(
    "/discard", dependencies=[NO_QUERY], responses=answers(JobAnswer, "limit_reached", "overloaded")
)
async def discard_many(
    request: Request, shared: Shared, caller: Managing, origin: From, body: Discard
) -> Response:
    """Delete for good those that match, or those with these ids, oldest first, as a job. What dies after it
    has begun stays.

    If more than `max_count` match, the newest are taken.
    """
    return await _many(request, shared, caller, origin, "discard", body)


async def _many(
    request: Request,
    shared: Shared,
    caller: Principal,
    origin: Origin,
    action: Action,
    body: Redrive | Discard,
) -> Response:
    check_filter(caller, body.topic)
    which = _meant(body)
    if body.dry_run:
        return reply(await _plan(shared, caller, action, which, body))
    job = shared.broker.dead_letters.jobs.start(
        caller.tenant,
        which,
        rate_per_s=body.rate_per_s,
        max_count=body.max_count,
        action=action,
    )
    said = body.model_dump(exclude_unset=True, exclude={"dry_run", "ids"})
    if body.ids is not None:
        said |= {"ids_count": len(body.ids), "ids": body.ids[:AUDITED_IDS_COUNT]}
    await shared.audit.done(caller, origin, f"dead_letter.{action}", job.job_id, **said)
    return reply(show_job(request, jobs.Placed(job, shared.node.name)))


async def _plan(
    shared: Shared,
    caller: Principal,
    action: Action,
    which: DeadFilter | Chosen,
    body: Redrive | Discard,
) -> JobAnswer:
    """What a job would take."""
    dead_letters, error = shared.broker.dead_letters, None
    # Before the count: a job for what died before it takes none that were not counted. Those of this very
    # millisecond are among them.
    counted_ms = shared.broker.clock.wall_ms() + 1
    if isinstance(which, Chosen):
        count = len(await dead_letters.jobs.chosen(caller.tenant, which))
    else:
        counted = await dead_letters.count(caller.tenant, which, max_count=body.max_count)
        count = counted.matched_count
        if counted.before_id is not None and count < body.max_count:
            since = format_time(time_of(counted.before_id))
            error = f"only those that died since {since} were counted: it took too long"
    if not count and error is None:
        error = NOTHING_MATCHES[action]
    return JobAnswer(
        id=None,
        action=action,
        state="dry_run",
        matched_count=min(count, body.max_count),
        redriven_count=0,
        discarded_count=0,
        failed_count=0,
        rate_per_s=body.rate_per_s,
        max_count=body.max_count,
        started_at=format_time(counted_ms),
        finished_at=None,
        error=error,
        which=_show_meant(*kept(which)),
    )


@router.get("/jobs", dependencies=[NO_QUERY], responses=answers(JobList))
async def list_jobs(request: Request, shared: Shared, caller: Managing) -> Response:
    """List the jobs that run, and those that ended lately: first those that run, then the newest. The last
    100 of each node are kept, until it stops. Who may manage only some topics is told of those for one of
    them."""
    found = await jobs.every(shared, caller)
    seen = Seen(found.nodes, found.unanswered, sees_node(request))
    return reply(JobList([show_job(request, each) for each in found.placed], **seen.fields()))


@router.get(
    "/jobs/{id}",
    dependencies=[NO_QUERY],
    responses=answers(JobAnswer, "job_not_found", "node_unreachable"),
)
async def get_job(request: Request, shared: Shared, caller: Managing, job_id: AnId) -> Response:
    """Look at a job. The last 100 of each node are kept, until it stops."""
    job = await jobs.get(shared, caller, job_id)
    return reply(show_job(request, job))


@router.delete(
    "/jobs/{id}",
    dependencies=[NO_QUERY],
    responses=answers(
        JobAnswer, "job_not_found", "conflict", "node_unreachable", "outcome_unknown"
    ),
)
async def cancel_job(
    request: Request, shared: Shared, caller: Managing, origin: From, job_id: AnId
) -> Response:
    """Stop a job; what was redriven stays so, and what was discarded is gone."""
    async with shared.audit.if_unsure(caller, origin, "job.cancel", job_id):
        job = await jobs.cancel(shared, caller, job_id)
    await shared.audit.done(caller, origin, "job.cancel", job_id)
    return reply(show_job(request, job))
