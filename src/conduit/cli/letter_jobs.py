"""Jobs of the server that deal with many dead letters: started, followed and shown."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar, cast

import click

from conduit.cli.exits import Exit
from conduit.cli.output import (
    Columns,
    counted,
    duration_text,
    note,
    pick,
    show_all,
    show_one,
    with_output,
)
from conduit.cli.questions import confirm, with_yes
from conduit.cli.server import Server
from conduit.cli.session import call
from conduit.cli.values import Rate, Whole

if TYPE_CHECKING:
    from conduit.client import (
        AsyncConduit,
        DeadLetterFilter,
        DeadLetterJob,
        DeadLetterJobs,
    )

F = TypeVar("F", bound=Callable[..., object])

# How often `--wait` asks for the state of its job.
POLL_S = 0.3
# How long a job is given to find what it will take, so that this can be said.
MATCHING_S = 3.0
_DOING = {"redrive": "redriving", "discard": "discarding"}


class JobOptions(NamedTuple):
    """What is said of a job beside which letters it is for."""

    everything: bool
    rate: float | None
    max_count: int | None
    dry_run: bool
    wait: bool
    yes: bool
    output: str | None


def with_job(rate: str) -> Callable[[F], F]:
    """Adds the options of a job, with `--yes` and `-o`; the command gets them as `job`, a `JobOptions`.
    `rate`: how many a job takes in a second if nothing else is said."""

    def add(command: F) -> F:
        @functools.wraps(command)
        def packed(**given: object) -> object:
            said = [given.pop(name) for name in JobOptions._fields]
            return command(job=JobOptions(*cast("list[Any]", said)), **given)

        found: Any = packed
        for option in (
            with_output(),
            with_yes,
            click.option("--wait", is_flag=True, help="Show progress to the end; Ctrl-C cancels."),
            click.option("--dry-run", is_flag=True, help="Only count."),
            click.option("--max", "max_count", type=Whole(1), help="At most so many: the newest."),
            click.option("--rate", type=Rate(10_000), help=f"So many per second; {rate}."),
            click.option(
                "--all", "everything", is_flag=True, help="All of them; instead of filters."
            ),
        ):
            found = option(found)
        return cast("F", found)

    return add


class Asked(NamedTuple):
    """What a job is to do, and with which: those that match, or those with these ids."""

    action: Literal["redrive", "discard"]
    which: DeadLetterFilter | Sequence[str]
    job: JobOptions

    def start(self, client: AsyncConduit, *, dry_run: bool) -> Awaitable[DeadLetterJob]:
        """Start it, or count only."""
        letters = client.dead_letters
        act = letters.redrive_many if self.action == "redrive" else letters.discard_many
        return act(
            self.which, rate_per_s=self.job.rate, max_count=self.job.max_count, dry_run=dry_run
        )

    def until(self, counted_at: str | None) -> Asked:
        """The same, without what has died since the count; of a server that says when that was."""
        which = self.which
        if isinstance(which, Sequence) or which.to_time is not None or counted_at is None:
            return self
        # Not on top: `conduit --help` does without.
        import msgspec

        return self._replace(which=msgspec.structs.replace(which, to_time=counted_at))


def run_job(server: Server, asked: Asked) -> None:
    """Ask whether it is meant, start the job, and show what it has done by then."""
    job = asked.job
    if not job.dry_run and not job.yes:
        plan = call(server, lambda client: asked.start(client, dry_run=True))
        if not plan.matched_count:
            note(str(plan.error))
            return
        for_good = " for good" if asked.action == "discard" else ""
        confirm(f"{asked.action.capitalize()}{for_good} {_plan_text(plan)}?", job.yes)
        asked = asked.until(plan.started_at)
    found = call(server, lambda client: asked.start(client, dry_run=job.dry_run))
    if not job.dry_run:
        follow = _wait if job.wait else _matched
        found = call(server, lambda client: follow(client, found))
        _tell_missing(asked, found)
    show_job(found, job.output)


def _tell_missing(asked: Asked, job: DeadLetterJob) -> None:
    if isinstance(asked.which, Sequence) and (job.matched_count or job.state == "done"):
        missing_count = min(len(set(asked.which)), job.max_count) - job.matched_count
        if missing_count:
            note(f"there is no such dead letter: {missing_count} of these ids")


def show_job(job: DeadLetterJob, output: str | None) -> None:
    """Show what a job has done; fail if it could not do all of it."""
    is_table = pick(output, piped="json") == "table"
    if job.state == "dry_run" and is_table:
        click.echo(f"would {job.action} {_plan_text(job)}")
    elif job.matched_count or job.state != "done" or not is_table:
        show_one(job, _JOB, output)
    if job.state == "running":
        note(f"the server goes on; `conduit dlq job {job.id}` shows how far it is")
    if job.error is not None:
        note(f"error: {job.error}" if job.matched_count or job.state == "failed" else job.error)
    if job.state == "failed" or job.failed_count:
        raise click.exceptions.Exit(Exit.ERROR)


def show_jobs(found: DeadLetterJobs, output: str | None) -> None:
    """Show a list of jobs, and say whose are missing."""
    has_nodes = len({job.node for job in found.jobs}) > 1
    show_all(found.jobs, {**_JOBS, **(_AT if has_nodes else {})}, output)
    if found.unanswered_count:
        names = f": {', '.join(found.unanswered)}" if found.unanswered else ""
        silent = counted(found.unanswered_count, "node")
        note(f"without the jobs of {silent} that did not answer{names}")


def _meant_text(job: DeadLetterJob) -> str:
    """For which letters a job is, as options say it: `--topic orders --reason 'no funds'`."""
    # Not on top: `conduit --help` does without.
    import shlex

    meant = job.which
    if meant.ids_count is not None:
        of_topic = "" if meant.topic is None else f" of {meant.topic}"
        return f"{meant.ids_count:,} chosen{of_topic}"
    options = {
        "topic": meant.topic,
        "subscription": meant.subscription,
        "reason": meant.reason,
        "from": meant.from_time,
        "to": meant.to_time,
        "q": meant.q,
    }
    said = [
        f"--{name} {shlex.quote(value)}" for name, value in options.items() if value is not None
    ]
    # A redrive takes only the others in any case.
    if meant.redriven is not None and job.action == "discard":
        said.append("--redriven" if meant.redriven else "--open")
    return " ".join(said) or "--all"


def _plan_text(plan: DeadLetterJob) -> str:
    """What a dry run has found."""
    about = duration_text(plan.matched_count / plan.rate_per_s)
    letters = counted(plan.matched_count, "dead letter")
    return f"{letters} at {plan.rate_per_s:g}/s, about {about}"


def _done_count(job: DeadLetterJob) -> int:
    return job.redriven_count + job.discarded_count


async def _matched(client: AsyncConduit, job: DeadLetterJob) -> DeadLetterJob:
    """The job when it has found what it will take, or that there is nothing; as it is if that takes long."""
    import asyncio

    assert job.id is not None
    for _ in range(round(MATCHING_S / POLL_S)):
        if job.matched_count or job.state != "running":
            break
        await asyncio.sleep(POLL_S)
        job = await client.dead_letters.job(job.id)
    return job


async def _wait(client: AsyncConduit, job: DeadLetterJob) -> DeadLetterJob:
    """Follow the job to its end."""
    import asyncio

    from conduit.cli.progress import progress

    job_id = job.id
    assert job_id is not None
    try:
        with progress(_DOING[job.action]) as show:
            while job.state == "running":
                await asyncio.sleep(POLL_S)
                job = await client.dead_letters.job(job_id)
                show(_done_count(job) + job.failed_count, job.matched_count)
    except asyncio.CancelledError:
        job = await client.dead_letters.cancel(job_id)
        note(f"cancelled job {job_id} after {_done_count(job):,}")
        raise
    return job


_JOB: Columns[DeadLetterJob] = {
    "job": lambda job: job.id,
    "action": lambda job: job.action,
    "state": lambda job: job.state,
    "matched": lambda job: job.matched_count,
    "done": _done_count,
    "failed": lambda job: job.failed_count,
    "rate": lambda job: f"{job.rate_per_s:g}/s",
}

_JOBS: Columns[DeadLetterJob] = {
    "ID": lambda job: job.id,
    "ACTION": lambda job: job.action,
    "STATE": lambda job: job.state,
    "FOR": lambda job: _meant_text(job),
    "DONE": _done_count,
    "MATCHED": lambda job: job.matched_count,
    "FAILED": lambda job: job.failed_count,
    "RATE": lambda job: f"{job.rate_per_s:g}/s",
    "STARTED": lambda job: job.started_at,
}
_AT: Columns[DeadLetterJob] = {"NODE": lambda job: job.node}
