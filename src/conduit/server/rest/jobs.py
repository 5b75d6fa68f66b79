"""Jobs for dead letters, at whichever node each was started: a client may come to another one next."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from conduit.broker.administer.letter_acts import LetterJob
from conduit.broker.administer.letter_jobs import no_job
from conduit.cluster.inquiries import CANCEL, JOB, JOBS, Question
from conduit.errors import Unavailable
from conduit.names import is_id
from conduit.server.context import Context
from conduit.server.rest.access import manageable
from conduit.tenancy.principal import Principal


class Placed(NamedTuple):
    """A job, and the name of the node that has it."""

    job: LetterJob
    node: str


class Listed(NamedTuple):
    """Jobs, and which nodes have said theirs, and which have not."""

    placed: list[Placed]
    nodes: list[str]
    unanswered: list[str]


async def every(shared: Context, caller: Principal) -> Listed:
    """Those that the caller may look at, of all nodes that answer: first those that run, then the newest.
    Does not raise."""
    own_name, tenant = shared.node.name, caller.tenant
    others = await shared.asking.all(JOBS, Question(tenant=tenant))
    said = {own_name: shared.own_state.jobs(tenant), **others.said}
    placed = [Placed(job, node) for node, jobs in said.items() for job in _own(caller, jobs)]
    placed.sort(key=_rank, reverse=True)
    return Listed(placed, sorted(said), [*others.unanswered])


def _rank(placed: Placed) -> tuple[bool, int, str]:
    job = placed.job
    return job.state == "running", job.started_at_ms, job.job_id


async def get(shared: Context, caller: Principal, job_id: str) -> Placed:
    """The job. Raises NotFound `job_not_found`, also for one of topics that the caller may not manage; and
    Unavailable `node_unreachable` if it may be at a node that does not answer."""
    own_name = shared.node.name
    for job in _own(caller, shared.own_state.job(caller.tenant, job_id)):
        return Placed(job, own_name)
    if is_id(job_id):
        others = await shared.asking.all(JOB, Question(tenant=caller.tenant, names=[job_id]))
        for node, said in others.said.items():
            for job in _own(caller, said):
                return Placed(job, node)
        if others.unanswered:
            raise Unavailable(
                "the job is at no node that answers, and not all do", code="node_unreachable"
            )
    raise no_job()


async def cancel(shared: Context, caller: Principal, job_id: str) -> Placed:
    """Stop it. Raises as `get`, Conflict if it has ended, and OutcomeUnknown if its node does not say whether
    it has."""
    _, node = await get(shared, caller, job_id)
    if node == shared.node.name:
        found = [*shared.own_state.cancel_job(caller.tenant, job_id)]
    else:
        question = Question(tenant=caller.tenant, names=[job_id])
        found = await shared.asking.one(node, CANCEL, question)
    if not found:
        raise no_job()
    return Placed(found[0], node)


def _own(caller: Principal, found: Iterable[LetterJob]) -> Iterable[LetterJob]:
    is_meant = manageable(caller)
    if is_meant is None:
        return found
    # One for all topics is not for who may manage only some.
    return [job for job in found if job.topic is not None and is_meant(job.topic)]
