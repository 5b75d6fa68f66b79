"""`conduit subscription`"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from conduit.cli.completion import subscriptions
from conduit.cli.groups import Group
from conduit.cli.output import Columns, counted, note, pick, show_all, show_one, with_output
from conduit.cli.questions import confirm, must_ask, with_yes
from conduit.cli.server import Server
from conduit.cli.server_options import with_server
from conduit.cli.session import call, take, with_limit
from conduit.cli.values import START

if TYPE_CHECKING:
    from conduit.client import Moved, Subscription, TopicProgress
    from conduit.protocol.frames import StartSpec


@click.group(cls=Group)
def subscription() -> None:
    """Durable subscriptions. `conduit sub --subscription NAME` creates them."""


@subscription.command()
@click.option("--q", "q", metavar="TEXT", help="Only subscriptions with TEXT in their name.")
@with_limit
@with_output()
@with_server
def ls(q: str | None, limit: int, output: str | None, server: Server) -> None:
    """List subscriptions by name."""
    found = call(server, lambda client: take(client.subscriptions.find(q=q), limit))
    show_all(found, _COLUMNS, output)


@subscription.command()
@click.argument("name", shell_complete=subscriptions)
@with_output()
@with_server
def get(name: str, output: str | None, server: Server) -> None:
    """Show one subscription with its progress in each topic."""
    found = call(server, lambda client: client.subscriptions.get(name))
    show_one(found, _FIELDS, output)
    if pick(output, piped="json") == "table" and found.topics:
        click.echo()
        show_all(found.topics, _PLACES, "table")
    elif found.more_topics:
        note(f"on more than 20 topics; `conduit subscription topics {name}` lists them")


@subscription.command()
@click.argument("name", shell_complete=subscriptions)
@with_limit
@with_output()
@with_server
def topics(name: str, limit: int, output: str | None, server: Server) -> None:
    """List how far a subscription is in each of its topics, by name."""
    found = call(server, lambda client: take(client.subscriptions.topics(name), limit))
    show_all(found, _PLACES, output)


@subscription.command()
@click.argument("name", shell_complete=subscriptions)
@click.option(
    "--to",
    "start",
    type=START,
    required=True,
    help="new, earliest, SEQ, SEQ@EPOCH, a time, or -1h.",
)
@click.option("--dry-run", is_flag=True, help="Only show where that would be.")
@with_yes
@with_output()
@with_server
def seek(
    name: str, start: StartSpec, dry_run: bool, yes: bool, output: str | None, server: Server
) -> None:
    """Move a subscription back or forward. What is unsettled is forgotten."""
    from conduit.cli.subscriber import gap_text

    if not dry_run and must_ask(yes):
        before = call(server, lambda client: client.subscriptions.get(name))
        plan = call(server, lambda client: client.subscriptions.seek(name, start, dry_run=True))
        confirm(_question(before, plan), yes)
    moved = call(server, lambda client: client.subscriptions.seek(name, start, dry_run=dry_run))
    for gap in moved.gaps:
        note(gap_text(gap))
    if moved.more_gaps:
        note(f"and gaps in more topics than these {len(moved.gaps):,}")
    if moved.more_topics:
        note(f"{moved.lag:,} messages before it, on more than 20 topics")
    show_all(moved.topics, _PLACES, output)


@subscription.command()
@click.argument("name", shell_complete=subscriptions)
@with_server
def pause(name: str, server: Server) -> None:
    """Stop delivering; messages go on being kept for it."""
    call(server, lambda client: client.subscriptions.pause(name))
    note(f"paused {name}; `conduit subscription resume {name}` undoes it")


@subscription.command()
@click.argument("name", shell_complete=subscriptions)
@with_server
def resume(name: str, server: Server) -> None:
    """Deliver again."""
    call(server, lambda client: client.subscriptions.resume(name))
    note(f"resumed {name}")


@subscription.command()
@click.argument("name", shell_complete=subscriptions)
@with_yes
@with_server
def rm(name: str, yes: bool, server: Server) -> None:
    """Delete a subscription and its progress. Its dead letters stay."""
    if must_ask(yes):
        found = call(server, lambda client: client.subscriptions.get(name))
        confirm(f"Delete subscription {name} with {counted(found.lag, 'unsettled message')}?", yes)
    call(server, lambda client: client.subscriptions.delete(name))
    note(f"deleted {name}")


def _question(before: Subscription, after: Moved) -> str:
    """Whether it is to be moved, and from where to where."""
    lag = f"its lag from {before.lag:,} to {after.lag:,}"
    if len(before.topics) != 1 or len(after.topics) != 1:
        return f"Move subscription {before.name}, {lag}?"
    (old,), (new,) = before.topics, after.topics
    where = f"from {old.topic} #{old.floor + 1} to #{new.floor + 1}"
    return f"Move subscription {before.name} {where}, {lag}?"


def _state(subscription: Subscription) -> str:
    if subscription.paused:
        return "paused"
    if subscription.full:
        return "full"
    return "active" if subscription.subscribers else "idle"


_COLUMNS: Columns[Subscription] = {
    "NAME": lambda subscription: subscription.name,
    "TOPIC": lambda subscription: subscription.topic,
    "STATE": _state,
    "SUBSCRIBERS": lambda subscription: subscription.subscribers,
    "LAG": lambda subscription: subscription.lag,
    "IN FLIGHT": lambda subscription: subscription.in_flight_count,
    "RETRYING": lambda subscription: subscription.pending_retry_count,
    "DEAD": lambda subscription: subscription.dead_count,
}

_FIELDS: Columns[Subscription] = {
    "name": lambda subscription: subscription.name,
    "topic": lambda subscription: subscription.topic,
    "created": lambda subscription: subscription.created_at,
    "state": _state,
    "subscribers": lambda subscription: subscription.subscribers,
    "lag": lambda subscription: subscription.lag,
    "in flight": lambda subscription: subscription.in_flight_count,
    "retrying": lambda subscription: subscription.pending_retry_count,
    "dead": lambda subscription: subscription.dead_count,
    "redriven": lambda subscription: subscription.redriven_count,
    "ack": lambda subscription: subscription.ack,
    "order": lambda subscription: subscription.order,
    "max in flight": lambda subscription: subscription.max_in_flight,
    "ack wait": lambda subscription: f"{subscription.ack_wait_ms:,} ms",
    "max attempts": lambda subscription: subscription.max_attempts,
    "max lost": lambda subscription: (
        "no limit" if subscription.max_lost is None else subscription.max_lost
    ),
}

_PLACES: Columns[TopicProgress] = {
    "TOPIC": lambda place: place.topic,
    "FLOOR": lambda place: place.floor,
    "LAST SEQ": lambda place: place.last_seq,
    "LAG": lambda place: place.lag,
}
