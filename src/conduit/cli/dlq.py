"""`conduit dlq`"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import click

from conduit.cli.completion import subscriptions, topics
from conduit.cli.exits import Exit
from conduit.cli.groups import Group
from conduit.cli.output import (
    Columns,
    counted,
    duration_text,
    json_text,
    note,
    pick,
    show_all,
    show_one,
    spelled_pairs,
    with_output,
)
from conduit.cli.questions import confirm, with_yes
from conduit.cli.server import Server
from conduit.cli.server_options import with_server
from conduit.cli.session import call, take, with_limit
from conduit.cli.values import TIME, Rate, Whole

if TYPE_CHECKING:
    from conduit.client import (
        AsyncConduit,
        DeadLetter,
        DeadLetterFilter,
        DeadLetterGroup,
        RedriveJob,
    )

F = TypeVar("F", bound=Callable[..., object])

# How often `--wait` asks for the state of its job.
POLL_S = 0.3
# How long a job is given to find what it will take, so that this can be said.
MATCHING_S = 3.0
NOTHING_TO_DISCARD = "nothing matches: there is no such dead letter"


def with_filters(command: F) -> F:
    """Adds the options that choose dead letters, for `DeadLetterFilter`."""
    for option in (
        click.option("--q", metavar="TEXT", help="TEXT in payload, key, message id or reason."),
        click.option("--to", "to_time", type=TIME, help="Died before this time."),
        click.option("--from", "from_time", type=TIME, help="Died at this time or later: -1h."),
        click.option("--reason", help="This reason, whole."),
        click.option(
            "--subscription", shell_complete=subscriptions, help="Died on this subscription."
        ),
        click.option("--topic", shell_complete=topics, help="Of this topic."),
    ):
        command = option(command)
    return command


@click.group(cls=Group)
def dlq() -> None:
    """Dead letters: deliveries that were given up."""


def with_redriven(command: F) -> F:
    """Adds the option that tells those that were redriven from the others, for `DeadLetterFilter`."""
    return click.option(
        "--redriven/--open",
        default=None,
        help="Redriven, and not dead again since; or the others.",
    )(command)


@dlq.command()
@with_filters
@with_redriven
@with_limit
@with_output()
@with_server
def ls(
    redriven: bool | None, limit: int, output: str | None, server: Server, **filters: str | None
) -> None:
    """List dead letters, newest first."""
    which = _which(filters, redriven)
    letters = call(server, lambda client: take(client.dead_letters.find(which), limit))
    show_all(letters, _COLUMNS, output)


@dlq.command()
@with_filters
@with_redriven
@with_limit
@with_output()
@with_server
def groups(
    redriven: bool | None, limit: int, output: str | None, server: Server, **filters: str | None
) -> None:
    """Count dead letters by topic and reason, the largest groups first."""
    which = _which(filters, redriven)
    found = call(server, lambda client: client.dead_letters.groups(which))
    if len(found) > limit:
        note(f"the first {limit:,}; --limit gives more")
    show_all(found[:limit], _GROUPS, output)


@dlq.command()
@click.argument("dead_id", metavar="ID")
@with_output()
@with_server
def get(dead_id: str, output: str | None, server: Server) -> None:
    """Show one dead letter with its payload."""
    show_one(call(server, lambda client: client.dead_letters.get(dead_id)), _FIELDS, output)


@dlq.command()
@click.argument("dead_ids", metavar="[ID...]", nargs=-1)
@with_filters
@with_redriven
@click.option("--all", "everything", is_flag=True, help="All of them; instead of filters.")
@click.option("--dry-run", is_flag=True, help="Only count.")
@with_yes
@with_server
def discard(
    dead_ids: tuple[str, ...],
    everything: bool,
    redriven: bool | None,
    dry_run: bool,
    yes: bool,
    server: Server,
    **filters: str | None,
) -> None:
    """Delete dead letters for good: these, or all that match."""
    which = _which(filters, redriven)
    _check_which(bool(dead_ids), which, everything=everything)
    if dead_ids:
        if dry_run:
            raise click.UsageError("--dry-run counts what matches filters; with IDs leave it out")
        confirm(f"Discard {counted(len(dead_ids), 'dead letter')} for good?", yes)
        call(server, lambda client: _discard(client, dead_ids))
        return
    count = None
    if dry_run or not yes:
        count = call(server, lambda client: client.dead_letters.discard_many(which, dry_run=True))
    if dry_run:
        click.echo(f"would discard {counted(count or 0, 'dead letter')}")
        return
    if count is not None:
        if not count:
            note(NOTHING_TO_DISCARD)
            return
        confirm(f"Discard {counted(count, 'dead letter')} for good?", yes)
    done_count = call(server, lambda client: client.dead_letters.discard_many(which))
    note(f"discarded {counted(done_count, 'dead letter')}" if done_count else NOTHING_TO_DISCARD)


@dlq.command()
@click.argument("dead_id", metavar="[ID]", required=False)
@with_filters
@click.option("--all", "everything", is_flag=True, help="All of them; instead of filters.")
@click.option("--rate", type=Rate(10_000), help="So many per second; 100.")
@click.option("--max", "max_count", type=Whole(1), help="At most so many: the newest.")
@click.option("--dry-run", is_flag=True, help="Only count.")
@click.option("--wait", is_flag=True, help="Show progress until it is done; Ctrl-C cancels it.")
@with_yes
@with_output()
@with_server
def redrive(  # noqa: PLR0913 - one parameter for each option
    dead_id: str | None,
    everything: bool,
    rate: float | None,
    max_count: int | None,
    dry_run: bool,
    wait: bool,
    yes: bool,
    output: str | None,
    server: Server,
    **filters: str | None,
) -> None:
    """Deliver again, to the subscription it died on: one dead letter, or all that match."""
    which = _which(filters)
    _check_which(dead_id is not None, which, everything=everything)
    if dead_id is not None:
        letter = call(server, lambda client: client.dead_letters.redrive(dead_id))
        if pick(output, piped="json") == "table":
            where = letter.subscription or "the topic"
            note(f"delivering {letter.topic} #{letter.seq} to {where} again")
        else:
            show_one(letter, _FIELDS, output)
        return
    if not dry_run and not yes:
        plan = call(server, lambda client: _start(client, which, rate, max_count, dry_run=True))
        if not plan.matched_count:
            note(str(plan.error))
            return
        confirm(f"Redrive {_plan_text(plan)}?", yes)
    job = call(server, lambda client: _start(client, which, rate, max_count, dry_run=dry_run))
    if not dry_run:
        follow = _wait if wait else _matched
        job = call(server, lambda client: follow(client, job))
    _show_job(job, output)


@dlq.command()
@click.argument("job_id", metavar="ID")
@click.option("--cancel", is_flag=True, help="Stop it; what was redriven stays so.")
@with_output()
@with_server
def job(job_id: str, cancel: bool, output: str | None, server: Server) -> None:
    """Show a job that `redrive` has started."""
    if cancel:
        found = call(server, lambda client: client.dead_letters.cancel(job_id))
    else:
        found = call(server, lambda client: client.dead_letters.job(job_id))
    _show_job(found, output)


def _which(filters: dict[str, str | None], redriven: bool | None = None) -> DeadLetterFilter:
    from msgspec import convert

    from conduit.client import DeadLetterFilter

    return convert({**filters, "redriven": redriven}, DeadLetterFilter)


def _check_which(is_named: bool, which: DeadLetterFilter, *, everything: bool) -> None:
    """Raise UsageError unless it is either named, or all that match, or all."""
    from conduit.client import DeadLetterFilter

    has_filters = which != DeadLetterFilter()
    ways = [is_named, everything, has_filters]
    if not any(ways):
        raise click.UsageError("say which: by ID, or by filters, or --all")
    if ways.count(True) > 1:
        raise click.UsageError("ID, filters and --all are three ways to say which; choose one")


async def _discard(client: AsyncConduit, dead_ids: tuple[str, ...]) -> None:
    for dead_id in dead_ids:
        await client.dead_letters.discard(dead_id)
        note(f"discarded {dead_id}")


def _start(
    client: AsyncConduit,
    which: DeadLetterFilter,
    rate: float | None,
    max_count: int | None,
    *,
    dry_run: bool,
) -> Awaitable[RedriveJob]:
    return client.dead_letters.redrive_many(
        which, rate_per_s=rate, max_count=max_count, dry_run=dry_run
    )


def _plan_text(plan: RedriveJob) -> str:
    """What a dry run has found."""
    about = duration_text(plan.matched_count / plan.rate_per_s)
    letters = counted(plan.matched_count, "dead letter")
    return f"{letters} at {plan.rate_per_s:g}/s, about {about}"


async def _matched(client: AsyncConduit, job: RedriveJob) -> RedriveJob:
    """The job when it has found what it will take, or that there is nothing; as it is if that takes long."""
    import asyncio

    assert job.id is not None
    for _ in range(round(MATCHING_S / POLL_S)):
        if job.matched_count or job.state != "running":
            break
        await asyncio.sleep(POLL_S)
        job = await client.dead_letters.job(job.id)
    return job


async def _wait(client: AsyncConduit, job: RedriveJob) -> RedriveJob:
    """Follow the job to its end."""
    import asyncio

    from conduit.cli.progress import progress

    job_id = job.id
    assert job_id is not None
    try:
        with progress("redriving") as show:
            while job.state == "running":
                await asyncio.sleep(POLL_S)
                job = await client.dead_letters.job(job_id)
                show(job.redriven_count + job.failed_count, job.matched_count)
    except asyncio.CancelledError:
        job = await client.dead_letters.cancel(job_id)
        note(f"cancelled job {job_id} after {job.redriven_count:,}")
        raise
    return job


def _show_job(job: RedriveJob, output: str | None) -> None:
    """Show what a job has done; fail if it could not do all of it."""
    is_table = pick(output, piped="json") == "table"
    if job.state == "dry_run" and is_table:
        click.echo(f"would redrive {_plan_text(job)}")
    elif job.matched_count or job.state != "done" or not is_table:
        show_one(job, _JOB, output)
    if job.state == "running":
        note(f"the server goes on; `conduit dlq job {job.id}` shows how far it is")
    if job.error is not None:
        note(f"error: {job.error}" if job.matched_count or job.state == "failed" else job.error)
    if job.state == "failed" or job.failed_count:
        raise click.exceptions.Exit(Exit.ERROR)


_COLUMNS: Columns[DeadLetter] = {
    "ID": lambda letter: letter.id,
    "TOPIC": lambda letter: letter.topic,
    "SEQ": lambda letter: letter.seq,
    "SUBSCRIPTION": lambda letter: letter.subscription,
    "ATTEMPTS": lambda letter: letter.attempts,
    "REASON": lambda letter: letter.reason,
    "REDRIVEN": lambda letter: letter.redriven_at is not None,
    "DIED": lambda letter: letter.died_at,
}

# Two lines of 80 characters: when the first of them died is in -o jsonl.
_GROUPS: Columns[DeadLetterGroup] = {
    "COUNT": lambda group: group.count,
    "REDRIVEN": lambda group: group.redriven_count,
    "TOPIC": lambda group: group.topic,
    "REASON": lambda group: group.reason,
    "LAST": lambda group: group.last_died_at,
    "SAMPLE": lambda group: group.sample_id,
}

_FIELDS: Columns[DeadLetter] = {
    "id": lambda letter: letter.id,
    "message": lambda letter: letter.message_id,
    "topic": lambda letter: letter.topic,
    "seq": lambda letter: letter.seq,
    "subscription": lambda letter: letter.subscription,
    "attempts": lambda letter: letter.attempts,
    "reason": lambda letter: letter.reason,
    "published": lambda letter: letter.published_at,
    "died": lambda letter: letter.died_at,
    "redriven": lambda letter: letter.redriven_at,
    "key": lambda letter: letter.key,
    "headers": lambda letter: spelled_pairs(letter.headers),
    "payload": lambda letter: "lost" if letter.payload_lost else json_text(letter.payload),
}

_JOB: Columns[RedriveJob] = {
    "job": lambda job: job.id,
    "state": lambda job: job.state,
    "matched": lambda job: job.matched_count,
    "redriven": lambda job: job.redriven_count,
    "failed": lambda job: job.failed_count,
    "rate": lambda job: f"{job.rate_per_s:g}/s",
}
