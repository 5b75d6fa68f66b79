"""`conduit subscription`"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from conduit.cli import completion
from conduit.cli.completion import subscriptions
from conduit.cli.groups import Group
from conduit.cli.output import Columns, F, counted, note, pick, show_all, show_one, with_output
from conduit.cli.questions import confirm, must_ask, with_yes
from conduit.cli.server import Server
from conduit.cli.server_options import with_server
from conduit.cli.session import call, take, with_limit
from conduit.cli.values import DURATION, MAX_LOST, NO_BOUND, START, Whole

if TYPE_CHECKING:
    from conduit.client import (
        GapAnswer,
        Moved,
        SubscriberAnswer,
        Subscription,
        TopicMove,
        TopicProgress,
    )
    from conduit.protocol.frames import StartSpec
    from conduit.protocol.records import NumberIs


@click.group(cls=Group)
def subscription() -> None:
    """Durable subscriptions. `conduit sub --subscription NAME` creates them too."""


@subscription.command()
@click.option("--q", "q", metavar="TEXT", help="Only subscriptions with TEXT in their name.")
@click.option(
    "--topic",
    metavar="NAME",
    help="Only those that messages of this topic go to, with their lag in it.",
    shell_complete=completion.topics,
)
@with_limit
@with_output()
@with_server
def ls(q: str | None, topic: str | None, limit: int, output: str | None, server: Server) -> None:
    """List subscriptions by name."""
    found = call(server, lambda client: take(client.subscriptions.find(q=q, topic=topic), limit))
    show_all(found, _COLUMNS if topic is None else _OF_TOPIC, output)


@subscription.command()
@click.argument("name", shell_complete=subscriptions)
@with_output()
@with_server
def get(name: str, output: str | None, server: Server) -> None:
    """Show one subscription with its progress in each topic."""
    _show(call(server, lambda client: client.subscriptions.get(name)), output)


def with_settings(command: F) -> F:
    """Adds the options for settings that may change, for `_settings`."""
    for option in (
        click.option(
            "--max-lost",
            type=MAX_LOST,
            help="A dead letter after so many lost connections; 20. none: never.",
        ),
        click.option(
            "--max-attempts", type=Whole(1, 100), help="A dead letter after so many failures; 5."
        ),
        click.option(
            "--max-ack-wait",
            "max_ack_wait_ms",
            type=DURATION,
            help="The most that doubling with each failure leads to; 60s.",
        ),
        click.option(
            "--ack-wait", "ack_wait_ms", type=DURATION, help="Time of the first attempt; 30s."
        ),
        click.option(
            "--max-in-flight", type=Whole(1, 10_000), help="Most that one subscriber has; 256."
        ),
    ):
        command = option(command)
    return command


@subscription.command()
@click.argument("name")
@click.argument("topic", shell_complete=completion.topics)
@click.option(
    "--from",
    "start",
    type=START,
    help="Where it begins: new (the default), earliest, SEQ, SEQ@EPOCH, a time, or -1h.",
)
@click.option(
    "--ack",
    type=click.Choice(["explicit", "auto"]),
    help="auto: what was sent is settled; the default is explicit.",
)
@click.option(
    "--order",
    type=click.Choice(["publish", "strict"]),
    help="strict: the next message waits until the one before is settled; the default is publish.",
)
@with_settings
@with_output()
@with_server
def create(name: str, topic: str, output: str | None, server: Server, **given: object) -> None:
    """Create a subscription to TOPIC before anybody attaches to it.

    TOPIC is created if it does not exist; or has * for one token, or > at its end for one or more.
    """
    settings = _settings(given)
    made = call(server, lambda client: client.subscriptions.create(name, topic, **settings))
    _note_gaps(made.gaps, more=made.more_gaps)
    _show(made, output)


@subscription.command()
@click.argument("name", shell_complete=subscriptions)
@with_settings
@with_output()
@with_server
def update(name: str, output: str | None, server: Server, **given: object) -> None:
    """Change settings. What is not told here stays as it is, and what is in flight keeps its time."""
    settings = _settings(given)
    if not settings:
        raise click.UsageError("say what to change: --max-in-flight, --ack-wait, --max-attempts, …")
    _show(call(server, lambda client: client.subscriptions.change(name, **settings)), output)


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
@with_output()
@with_server
def subscribers(name: str, output: str | None, server: Server) -> None:
    """Show who is attached to a subscription, and at which node each is: the first 100."""
    found = call(server, lambda client: client.subscriptions.subscribers(name))
    if found.count > len(found.subscribers):
        note(f"the first {len(found.subscribers):,} of {found.count:,}")
    show_all(found.subscribers, _SUBSCRIBERS, output)


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
    if not dry_run and must_ask(yes):
        before = call(server, lambda client: client.subscriptions.get(name))
        plan = call(server, lambda client: client.subscriptions.seek(name, start, dry_run=True))
        confirm(_question(before, plan), yes)
    moved = call(server, lambda client: client.subscriptions.seek(name, start, dry_run=dry_run))
    _note_gaps(moved.gaps, more=moved.more_gaps)
    if moved.more_topics:
        note(f"{moved.lag:,} messages before it, on more than 20 topics")
    if dry_run:
        note(f"would {_meaning(moved)}")
    show_all(moved.topics, _MOVES if dry_run else _PLACES, output)


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


def _show(found: Subscription, output: str | None) -> None:
    """One subscription; for people its progress is a table below it."""
    show_one(found, _FIELDS, output)
    if pick(output, piped="json") == "table" and found.topics:
        click.echo()
        show_all(found.topics, _PLACES, "table")
    elif found.more_topics:
        note(f"on more than 20 topics; `conduit subscription topics {found.name}` lists them")


def _note_gaps(gaps: Sequence[GapAnswer], *, more: bool) -> None:
    """What a start cannot be given."""
    # Not on top: `conduit --help` does without.
    from conduit.cli.subscriber import gap_text

    for gap in gaps:
        note(gap_text(gap))
    if more:
        note(f"and gaps in more topics than these {len(gaps):,}")


def _settings(given: dict[str, object]) -> dict[str, Any]:
    """The settings that were told; durations are seconds here, and milliseconds there."""
    settings = {name: value for name, value in given.items() if value is not None}
    for name, value in settings.items():
        if isinstance(value, float):
            settings[name] = round(value * 1000)
        elif value == NO_BOUND:
            settings[name] = None
    return settings


def _question(before: Subscription, after: Moved) -> str:
    """Whether it is to be moved, and from where to where."""
    lag = f"its lag from {before.lag:,} to {after.lag:,}"
    what = f"{lag}; that is to {_meaning(after)}"
    if len(before.topics) != 1 or len(after.topics) != 1:
        return f"Move subscription {before.name}, {what}?"
    (old,), (new,) = before.topics, after.topics
    where = f"from {old.topic} #{old.floor + 1} to #{new.floor + 1}"
    return f"Move subscription {before.name} {where}, {what}?"


def _time(number_is: NumberIs | None, at: str | None) -> str | None:
    """When a number was published, or why there is no such time; `at` is that of the first message behind."""
    if number_is in (None, "stored"):
        return at
    if number_is == "not_published":
        return "not published yet"
    return "removed" if at is None else f"removed; next {at}"


def _meaning(plan: Moved) -> str:
    """What a dry run says of messages, after "to"."""
    again = f"deliver {counted(plan.again_count or 0, 'message')} again"
    dead = f" ({plan.dead_again_count:,} of them dead letters)" if plan.dead_again_count else ""
    return f"{again}{dead} and skip {plan.skipped_count or 0:,}"


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


def _lag_there(subscription: Subscription) -> int | None:
    """In the one topic that it is shown with."""
    return subscription.topics[0].lag if subscription.topics else None


_OF_TOPIC: Columns[Subscription] = {**_COLUMNS, "LAG": _lag_there}

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
    "max ack wait": lambda subscription: f"{subscription.max_ack_wait_ms:,} ms",
    "max attempts": lambda subscription: subscription.max_attempts,
    "max lost": lambda subscription: (
        "no limit" if subscription.max_lost is None else subscription.max_lost
    ),
}

_MOVES: Columns[TopicMove] = {
    "TOPIC": lambda move: move.topic,
    "FROM": lambda move: (move.floor_before or 0) + 1,
    "FROM TIME": lambda move: _time(move.next_before_is, move.next_before_at),
    "TO": lambda move: move.floor + 1,
    "TO TIME": lambda move: _time(move.next_is, move.next_at),
    "AGAIN": lambda move: move.again_count,
    "SKIPPED": lambda move: move.skipped_count,
    "LAG": lambda move: move.lag,
}

_SUBSCRIBERS: Columns[SubscriberAnswer] = {
    "NODE": lambda one: one.node,
    "IN FLIGHT": lambda one: one.in_flight_count,
    "AT MOST": lambda one: one.max_in_flight,
    "READING": lambda one: one.is_reading,
}

_PLACES: Columns[TopicProgress] = {
    "TOPIC": lambda place: place.topic,
    "FLOOR": lambda place: place.floor,
    "LAST SEQ": lambda place: place.last_seq,
    "LAG": lambda place: place.lag,
}
