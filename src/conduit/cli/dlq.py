"""`conduit dlq`"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import click

from conduit.cli.completion import jobs as job_ids
from conduit.cli.completion import subscriptions, topics
from conduit.cli.groups import Group
from conduit.cli.letter_jobs import Asked, JobOptions, run_job, show_job, show_jobs, with_job
from conduit.cli.output import (
    Columns,
    json_text,
    note,
    pick,
    show_all,
    show_one,
    spelled_pairs,
    with_output,
)
from conduit.cli.questions import confirm
from conduit.cli.server import Server
from conduit.cli.server_options import with_server
from conduit.cli.session import call, take, with_limit
from conduit.cli.values import TIME

if TYPE_CHECKING:
    from conduit.client import DeadLetter, DeadLetterFilter, DeadLetterGroup

F = TypeVar("F", bound=Callable[..., object])


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
    """List dead letters, newest first.

    The order is that of when each died first: one that is redriven and dies again keeps its place.
    """
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
@with_job("1,000")
@with_server
def discard(
    dead_ids: tuple[str, ...],
    redriven: bool | None,
    job: JobOptions,
    server: Server,
    **filters: str | None,
) -> None:
    """Delete dead letters for good: these, or all that match."""
    which = _which(filters, redriven)
    _check_which(dead_ids, which, job)
    if len(dead_ids) == 1:
        (dead_id,) = dead_ids
        confirm("Discard 1 dead letter for good?", job.yes)
        call(server, lambda client: client.dead_letters.discard(dead_id))
        note(f"discarded {dead_id}")
        return
    run_job(server, Asked("discard", dead_ids or which, job))


@dlq.command()
@click.argument("dead_ids", metavar="[ID...]", nargs=-1)
@with_filters
@with_job("100")
@with_server
def redrive(
    dead_ids: tuple[str, ...], job: JobOptions, server: Server, **filters: str | None
) -> None:
    """Deliver dead letters again, to the subscriptions they died on: these, or all that match."""
    which = _which(filters)
    _check_which(dead_ids, which, job)
    if len(dead_ids) == 1:
        (dead_id,) = dead_ids
        letter = call(server, lambda client: client.dead_letters.redrive(dead_id))
        if pick(job.output, piped="json") == "table":
            where = letter.subscription or "the topic"
            note(f"delivering {letter.topic} #{letter.seq} to {where} again")
        else:
            show_one(letter, _FIELDS, job.output)
        return
    run_job(server, Asked("redrive", dead_ids or which, job))


@dlq.command()
@click.argument("job_id", metavar="ID", shell_complete=job_ids)
@click.option("--cancel", is_flag=True, help="Stop it; what it has done stays so.")
@with_output()
@with_server
def job(job_id: str, cancel: bool, output: str | None, server: Server) -> None:
    """Show a job that `redrive` or `discard` has started."""
    if cancel:
        found = call(server, lambda client: client.dead_letters.cancel(job_id))
    else:
        found = call(server, lambda client: client.dead_letters.job(job_id))
    show_job(found, output)


@dlq.command()
@with_output()
@with_server
def jobs(output: str | None, server: Server) -> None:
    """List jobs that `redrive` and `discard` have started: first those that run, then the newest.

    Each node keeps its last 100, until it stops.
    """
    show_jobs(call(server, lambda client: client.dead_letters.jobs()), output)


def _which(filters: dict[str, str | None], redriven: bool | None = None) -> DeadLetterFilter:
    from msgspec import convert

    from conduit.client import DeadLetterFilter

    return convert({**filters, "redriven": redriven}, DeadLetterFilter)


def _check_which(dead_ids: tuple[str, ...], which: DeadLetterFilter, job: JobOptions) -> None:
    """Raise UsageError unless they are either named, or all that match, or all."""
    from conduit.client import DeadLetterFilter

    has_filters = which != DeadLetterFilter()
    ways = [bool(dead_ids), job.everything, has_filters]
    if not any(ways):
        raise click.UsageError("say which: by ID, or by filters, or --all")
    if ways.count(True) > 1:
        raise click.UsageError("ID, filters and --all are three ways to say which; choose one")
    if dead_ids and job.dry_run:
        raise click.UsageError("--dry-run counts what matches filters; with IDs leave it out")


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
