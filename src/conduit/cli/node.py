"""`conduit node`"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import click

from conduit.cli.completion import nodes, subscriptions, topics
from conduit.cli.groups import Group
from conduit.cli.output import Columns, pick, show_all, show_one, size_text, with_output
from conduit.cli.server import Server
from conduit.cli.server_options import with_server
from conduit.cli.session import call, take, with_limit

if TYPE_CHECKING:
    from conduit.client import Node, NodeDrain, NodeLink, RingNode, Route, TopicNode

# Older than that nobody reads tenths of a second.
EXACT_MAX_S = 60.0


@click.group(cls=Group)
def node() -> None:
    """Nodes: the servers that share a log. For keys with the scope admin."""


@node.command()
@with_limit
@with_output()
@with_server
def ls(limit: int, output: str | None, server: Server) -> None:
    """List nodes by id, as the server knows them that is asked; it is the one with a star.

    A node is down when its lease, which it renews each second, is over: 3 seconds after the last time, or at
    once when it stops in order. SUBS are the durable subscriptions that it runs now: those with somebody
    attached, or with something to store. All the others need no node until then.
    """
    found = call(server, lambda client: take(client.nodes.find(), limit))
    show_all(found, _COLUMNS, output)


@node.command()
@click.argument("node_id", metavar="ID", shell_complete=nodes)
@with_output()
@with_server
def get(node_id: str, output: str | None, server: Server) -> None:
    """Show one node. What it does now, and its links, it is asked for by the server that answers."""
    found = call(server, lambda client: client.nodes.get(node_id))
    show_one(found, _FIELDS, output)
    if found.links and pick(output, piped="json") == "table":
        click.echo()
        show_all(found.links, _LINKS, "table")
        for link in found.links:
            if link.last_error is not None:
                # Whole, below the table: what to do is at the end of it.
                click.echo(f"\nlast error with {link.id}: {link.last_error}")


@node.command()
@click.option("--subscription", metavar="NAME", shell_complete=subscriptions)
@click.option("--topic", metavar="NAME", shell_complete=topics)
@with_output()
@with_server
def route(subscription: str | None, topic: str | None, output: str | None, server: Server) -> None:
    """Show which node has a durable subscription, and which nodes are told of a topic's messages.

    Both need not exist yet.
    """
    if subscription is None and topic is None:
        raise click.UsageError("name a --subscription, or a --topic")
    found = call(server, lambda client: client.nodes.route(subscription=subscription, topic=topic))
    fields = {
        **(_SUBSCRIPTION if found.subscription else {}),
        **(_TOPIC if found.topic else {}),
    }
    show_one(found, fields, output)
    if found.topic and found.topic.nodes and pick(output, piped="json") == "table":
        click.echo()
        show_all(found.topic.nodes, _TOLD, "table")


@node.command()
@with_output()
@with_server
def ring(output: str | None, server: Server) -> None:
    """Show how much of the hash ring each node has: so much of the durable subscriptions, about."""
    found = call(server, lambda client: client.nodes.ring())
    if pick(output, piped="json") != "table":
        show_one(found, {}, output)
        return
    if found.reason is not None:
        click.echo(found.reason)
        return
    stands = Counter(found.nodes[index].id for _, index in found.places)
    columns: Columns[RingNode] = {
        "ID": lambda node: node.id,
        "SHARE": lambda node: f"{node.share:.1%}",
        "PLACES": lambda node: stands[node.id],
    }
    show_all(found.nodes, columns, output)


@node.command()
@click.argument("node_id", metavar="ID", shell_complete=nodes)
@with_output()
@with_server
def drain(node_id: str, output: str | None, server: Server) -> None:
    """Have a node leave, before it is stopped or looked after: it is not ready any more, the others run its
    durable subscriptions, and its clients are told to come back.

    It ends when the others run them. Any server passes it on.
    """
    found = call(server, lambda client: client.nodes.drain(node_id))
    show_one(found, _DRAIN, output)


@node.command()
@click.argument("node_id", metavar="ID", shell_complete=nodes)
@with_output()
@with_server
def undrain(node_id: str, output: str | None, server: Server) -> None:
    """Have a node that was drained serve again."""
    found = call(server, lambda client: client.nodes.undrain(node_id))
    show_one(found, _DRAIN, output)


def _age(age_s: float | None) -> str | None:
    if age_s is None:
        return None
    if age_s < EXACT_MAX_S:
        return f"{age_s:.1f}s"
    minutes, seconds = divmod(int(age_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{seconds:02}s"


def _milliseconds(seconds: float | None) -> str | None:
    return None if seconds is None else f"{seconds * 1000:.1f} ms"


_COLUMNS: Columns[Node] = {
    "THIS": lambda node: "*" if node.is_this else None,
    "ID": lambda node: node.id,
    "STATE": lambda node: node.phase if node.phase == "drained" else node.state,
    "RENEWED": lambda node: _age(node.lease_age_s),
    "CONNS": lambda node: node.connections,
    "SUBS": lambda node: node.owned_subscriptions,
    "MSG/S": lambda node: None if node.rates is None else node.rates.messages_per_sec,
    "ADDRESS": lambda node: node.address,
    "VERSION": lambda node: node.version,
}

_FIELDS: Columns[Node] = {
    "id": lambda node: node.id,
    "incarnation": lambda node: node.incarnation,
    "state": lambda node: node.state,
    "renewed": lambda node: _age(node.lease_age_s),
    "address": lambda node: node.address,
    "version": lambda node: node.version,
    "started": lambda node: node.started_at,
    "this one": lambda node: node.is_this,
    "connections": lambda node: node.connections,
    "subscriptions": lambda node: node.owned_subscriptions,
    "messages/s": lambda node: None if node.rates is None else node.rates.messages_per_sec,
    "deliveries/s": lambda node: None if node.rates is None else node.rates.deliveries_per_sec,
    "loop lag": lambda node: _milliseconds(node.loop_lag_s),
    "phase": lambda node: node.phase,
    "not answered": lambda node: node.unanswered,
}

_SUBSCRIPTION: Columns[Route] = {
    "subscription": lambda found: found.subscription and found.subscription.name,
    "exists": lambda found: found.subscription and found.subscription.exists,
    "node": lambda found: found.subscription and found.subscription.node,
    "why not": lambda found: found.subscription and found.subscription.reason,
}

_TOPIC: Columns[Route] = {
    "topic": lambda found: found.topic and found.topic.name,
    "topic exists": lambda found: found.topic and found.topic.exists,
    "told by": lambda found: found.topic and found.topic.by,
}

_TOLD: Columns[TopicNode] = {
    "NODE": lambda node: node.id,
    "SUBSCRIBERS": lambda node: node.subscribers,
}

_DRAIN: Columns[NodeDrain] = {
    "id": lambda node: node.id,
    "state": lambda node: node.state,
    "phase": lambda node: node.phase,
    "connections": lambda node: node.connections,
    "subscriptions": lambda node: node.owned_subscriptions,
    "problem": lambda node: node.problem,
}

_LINKS: Columns[NodeLink] = {
    "LINK TO": lambda link: link.id,
    "STATE": lambda link: link.state,
    "FOR": lambda link: _age(link.for_s),
    "ROUND TRIP": lambda link: _milliseconds(link.round_trip_s),
    "QUEUED": lambda link: size_text(link.queue_bytes),
}
