"""`conduit topic`"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import click

from conduit.cli.completion import topics
from conduit.cli.groups import Group
from conduit.cli.output import (
    Columns,
    F,
    counted,
    duration_text,
    note,
    show_all,
    show_one,
    size_text,
    with_output,
)
from conduit.cli.questions import confirm, must_ask, with_yes
from conduit.cli.server import Server
from conduit.cli.server_options import with_server
from conduit.cli.session import call, take, with_limit
from conduit.cli.values import HEADER, MAX_AGE, MAX_BYTES, MAX_MESSAGES, NO_BOUND, PLACE, TIME

if TYPE_CHECKING:
    from conduit.client import Retention, Topic
    from conduit.client.control import Bounds
    from conduit.client.messages import Place


NOTHING_TO_PURGE = "nothing to purge: the topic has no messages"


@click.group(cls=Group)
def topic() -> None:
    """Topics: named streams of messages."""


@topic.command()
@click.option("--q", "q", metavar="TEXT", help="Only topics with TEXT in their name.")
@with_limit
@with_output()
@with_server
def ls(q: str | None, limit: int, output: str | None, server: Server) -> None:
    """List topics by name."""
    found = call(server, lambda client: take(client.topics.find(q=q), limit))
    show_all(found, _COLUMNS, output)


@topic.command()
@click.argument("name", shell_complete=topics)
@with_output()
@with_server
def get(name: str, output: str | None, server: Server) -> None:
    """Show one topic."""
    show_one(call(server, lambda client: client.topics.get(name)), _FIELDS, output)


def with_bounds(command: F) -> F:
    """Adds the options for what a topic keeps, for `_bounds`."""
    for option in (
        click.option("--max-bytes", type=MAX_BYTES, help="Keep so many bytes: 500MB, 1GiB, none."),
        click.option("--max-messages", type=MAX_MESSAGES, help="Keep so many messages, or none."),
        click.option(
            "--max-age", "max_age_s", type=MAX_AGE, help="Keep messages so long: 12h, 7d, none."
        ),
    ):
        command = option(command)
    return command


@topic.command()
@click.argument("name")
@with_bounds
@with_output()
@with_server
def create(name: str, output: str | None, server: Server, **given: int | str | None) -> None:
    """Create a topic. What it keeps is bounded by the server's settings unless told here.

    With none for a bound there is no bound of its kind.
    """
    made = call(server, lambda client: client.topics.create(name, _bounds(given)))
    show_one(made, _FIELDS, output)


@topic.command()
@click.argument("name", shell_complete=topics)
@with_bounds
@with_output()
@with_server
def update(name: str, output: str | None, server: Server, **given: int | str | None) -> None:
    """Change what a topic keeps. What is not told here stays as it is.

    With none for a bound there is no bound of its kind. What is over a new bound is removed within seconds.
    """
    bounds = _bounds(given)
    if not bounds:
        raise click.UsageError("say what to change: --max-age, --max-messages or --max-bytes")
    changed = call(server, lambda client: client.topics.change(name, **bounds))
    show_one(changed, _FIELDS, output)


@topic.command()
@click.argument("name", shell_complete=topics)
@click.option(
    "--from",
    "begin",
    type=PLACE,
    help="Begin at this number; or only what was published at this time or later: -1h.",
)
@click.option("--to", "to_time", type=TIME, help="Only what was published before this time.")
@click.option("--key", help="Only those with this key.")
@click.option(
    "-H",
    "--header",
    "headers",
    type=HEADER,
    multiple=True,
    metavar="NAME=VALUE",
    help="Only those with this header; may be repeated.",
)
@click.option(
    "--contains",
    metavar="TEXT",
    help="Only those with TEXT in the payload, as it was published.",
)
@click.option(
    "--newest/--oldest",
    "newest",
    default=None,
    help="Newest first, or oldest first; default: newest, or oldest with --from.",
)
@with_limit
@with_output()
@with_server
def messages(name: str, limit: int, output: str | None, server: Server, **given: object) -> None:
    """Browse the stored messages of a topic, or search in them. Nothing is consumed.

    \b
      conduit topic messages orders
      conduit topic messages orders --from -1h --limit 1000 -o jsonl
      conduit topic messages orders --from 1001 --newest
      conduit topic messages orders --contains 'card declined' -H trace=7f3a

    A search looks at one message after the other until it has --limit or is at the end; Ctrl-C ends it.
    """
    from conduit.cli.stored import browse, show_messages

    which = _place(**cast("dict[str, Any]", given))
    found, is_interrupted = call(server, lambda client: browse(client, name, limit, which))
    show_messages(found, output)
    if is_interrupted:
        raise KeyboardInterrupt


@topic.command()
@click.argument("name", shell_complete=topics)
@with_yes
@with_server
def rm(name: str, yes: bool, server: Server) -> None:
    """Delete a topic with its messages, and disconnect its subscribers."""
    if must_ask(yes):
        found = call(server, lambda client: client.topics.get(name))
        stored = found.last_seq - found.first_seq + 1
        confirm(f"Delete topic {name} with {counted(stored, 'message')}?", yes)
    call(server, lambda client: client.topics.delete(name))
    note(f"deleted {name}")


@topic.command()
@click.argument("name", shell_complete=topics)
@click.option("--dry-run", is_flag=True, help="Only count.")
@with_yes
@with_server
def purge(name: str, dry_run: bool, yes: bool, server: Server) -> None:
    """Remove all messages that a topic has now. The topic and its subscriptions stay.

    Subscribers that have not got them are told of a gap, and numbers go on where they were.
    """
    from conduit.cli.stored import purge

    if dry_run or must_ask(yes):
        count = call(server, lambda client: client.topics.purge(name, dry_run=True))
        if dry_run:
            click.echo(f"would purge {counted(count, 'message')}")
            return
        if not count:
            note(NOTHING_TO_PURGE)
            return
        confirm(f"Purge topic {name} of {counted(count, 'message')} for good?", yes)
    done_count = call(server, lambda client: purge(client, name))
    note(f"purged {counted(done_count, 'message')}" if done_count else NOTHING_TO_PURGE)


def _place(
    begin: int | str | None,
    newest: bool | None,
    headers: tuple[tuple[str, str], ...],
    **which: str | None,
) -> Place:
    """Which messages are meant."""
    place = cast("Place", which)
    place["newest_first"] = begin is None if newest is None else newest
    place["headers"] = dict(headers)
    if isinstance(begin, int):
        place["from_seq"] = begin
    else:
        place["from_time"] = begin
    return place


def _bounds(given: dict[str, int | str | None]) -> Bounds:
    """The bounds that were told; None is none."""
    told = {bound: value for bound, value in given.items() if value is not None}
    return cast(
        "Bounds", {bound: None if value == NO_BOUND else value for bound, value in told.items()}
    )


def _bound_text(size_bytes: int) -> str:
    """A bound in the unit in which it was probably given."""
    for unit, unit_bytes in (("GB", 10**9), ("MB", 10**6)):
        if size_bytes % unit_bytes == 0:
            return f"{size_bytes // unit_bytes:,} {unit}"
    return size_text(size_bytes)


def _kept(retention: Retention) -> str:
    parts = []
    if retention.max_age_s is not None:
        parts.append(duration_text(retention.max_age_s))
    if retention.max_messages is not None:
        parts.append(f"{retention.max_messages:,} messages")
    if retention.max_bytes is not None:
        parts.append(_bound_text(retention.max_bytes))
    return ", ".join(parts) or "everything"


_COLUMNS: Columns[Topic] = {
    "NAME": lambda topic: topic.name,
    "LAST SEQ": lambda topic: topic.last_seq,
    "STORED": lambda topic: topic.last_seq - topic.first_seq + 1,
    "SIZE": lambda topic: size_text(topic.stored_bytes),
    "SUBSCRIBERS": lambda topic: topic.subscriber_count,
    "KEPT": lambda topic: _kept(topic.retention),
}

_FIELDS: Columns[Topic] = {
    "name": lambda topic: topic.name,
    "created": lambda topic: topic.created_at,
    "published": lambda topic: topic.message_count,
    "stored": lambda topic: topic.last_seq - topic.first_seq + 1,
    "first seq": lambda topic: topic.first_seq,
    "last seq": lambda topic: topic.last_seq,
    "size": lambda topic: size_text(topic.stored_bytes),
    "subscribers": lambda topic: topic.subscriber_count,
    "kept": lambda topic: _kept(topic.retention),
    "epoch": lambda topic: topic.epoch,
}
