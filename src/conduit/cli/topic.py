"""`conduit topic`"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import click

from conduit.cli.completion import topics
from conduit.cli.groups import Group
from conduit.cli.output import (
    Columns,
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
from conduit.cli.values import MAX_AGE, MAX_BYTES, MAX_MESSAGES, NO_BOUND

if TYPE_CHECKING:
    from conduit.client import Retention, Topic
    from conduit.client.control import Bounds


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


@topic.command()
@click.argument("name")
@click.option("--max-age", "max_age_s", type=MAX_AGE, help="Keep messages so long: 12h, 7d, none.")
@click.option("--max-messages", type=MAX_MESSAGES, help="Keep so many messages, or none.")
@click.option("--max-bytes", type=MAX_BYTES, help="Keep so many bytes: 500MB, 1GiB, none.")
@with_output()
@with_server
def create(name: str, output: str | None, server: Server, **given: int | str | None) -> None:
    """Create a topic. What it keeps is bounded by the server's settings unless told here.

    With none for a bound there is no bound of its kind.
    """
    bounds = {
        bound: None if value == NO_BOUND else value
        for bound, value in given.items()
        if value is not None
    }
    made = call(server, lambda client: client.topics.create(name, cast("Bounds", bounds)))
    show_one(made, _FIELDS, output)


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
