"""Jobs for dead letters, at whichever node each was started: a client may come to another one next."""

from __future__ import annotations

from collections.abc import Iterable

from conduit.broker.administer.letter_acts import LetterJob
from conduit.broker.administer.letter_jobs import no_job
from conduit.cluster.inquiries import CANCEL, JOB, Question
from conduit.errors import Unavailable
from conduit.names import is_id
from conduit.server.context import Context
from conduit.tenancy.principal import Principal


async def get(shared: Context, caller: Principal, job_id: str) -> LetterJob:
    """The job. Raises NotFound `job_not_found`, also for one of topics that the caller may not manage; and
    Unavailable `node_unreachable` if it may be at a node that does not answer."""
    return (await _find(shared, caller, job_id))[0]


async def cancel(shared: Context, caller: Principal, job_id: str) -> LetterJob:
    """Stop it. Raises as `get`, and Conflict if it has ended."""
    _, node = await _find(shared, caller, job_id)
    if node is None:
        found = [*shared.own_state.cancel_job(caller.tenant, job_id)]
    else:
        question = Question(tenant=caller.tenant, names=[job_id])
        found = await shared.asking.one(node, CANCEL, question)
    if not found:
        raise no_job()
    return found[0]


async def _find(shared: Context, caller: Principal, job_id: str) -> tuple[LetterJob, str | None]:
    """The job, and the node that has it; None: this one."""
    for job in _own(caller, shared.own_state.job(caller.tenant, job_id)):
        return job, None
    if is_id(job_id):
        others = await shared.asking.all(JOB, Question(tenant=caller.tenant, names=[job_id]))
        for node, said in others.said.items():
            for job in _own(caller, said):
                return job, node
        if others.unanswered:
            raise Unavailable(
                "the job is at no node that answers, and not all do", code="node_unreachable"
            )
    raise no_job()


def _own(caller: Principal, found: Iterable[LetterJob]) -> Iterable[LetterJob]:
    if caller.is_whole("manage"):
        return found
    return [job for job in found if job.topic is not None and caller.may("manage", job.topic)]
