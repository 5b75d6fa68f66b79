"""`conduit node`"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from conduit.cli.completion import nodes
from conduit.cli.groups import Group
from conduit.cli.output import Columns, show_all, show_one, with_output
from conduit.cli.server import Server
from conduit.cli.server_options import with_server
from conduit.cli.session import call, take, with_limit

if TYPE_CHECKING:
    from conduit.client import Node

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
    once when it stops in order.
    """
    found = call(server, lambda client: take(client.nodes.find(), limit))
    show_all(found, _COLUMNS, output)


@node.command()
@click.argument("node_id", metavar="ID", shell_complete=nodes)
@with_output()
@with_server
def get(node_id: str, output: str | None, server: Server) -> None:
    """Show one node. What it does now only it can say itself: ask that server."""
    show_one(call(server, lambda client: client.nodes.get(node_id)), _FIELDS, output)


def _age(node: Node) -> str | None:
    age_s = node.lease_age_s
    if age_s is None:
        return None
    if age_s < EXACT_MAX_S:
        return f"{age_s:.1f}s"
    minutes, seconds = divmod(int(age_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{seconds:02}s"


_COLUMNS: Columns[Node] = {
    "THIS": lambda node: "*" if node.is_this else None,
    "ID": lambda node: node.id,
    "STATE": lambda node: node.state,
    "RENEWED": _age,
    "ADDRESS": lambda node: node.address,
    "VERSION": lambda node: node.version,
}

_FIELDS: Columns[Node] = {
    "id": lambda node: node.id,
    "incarnation": lambda node: node.incarnation,
    "state": lambda node: node.state,
    "renewed": _age,
    "address": lambda node: node.address,
    "version": lambda node: node.version,
    "started": lambda node: node.started_at,
    "this one": lambda node: node.is_this,
    "connections": lambda node: node.connections,
    "subscriptions": lambda node: node.owned_subscriptions,
    "messages/s": lambda node: None if node.rates is None else node.rates.messages_per_sec,
    "deliveries/s": lambda node: None if node.rates is None else node.rates.deliveries_per_sec,
}
