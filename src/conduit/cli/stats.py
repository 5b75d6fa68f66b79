"""`conduit stats`"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from conduit.cli.completion import nodes
from conduit.cli.groups import Command
from conduit.cli.output import show_one, with_output
from conduit.cli.server import Server
from conduit.cli.server_options import with_server
from conduit.cli.session import call


@click.command(cls=Command)
@click.option("--node", metavar="ID", shell_complete=nodes, help="Of this node alone.")
@with_output()
@with_server
def stats(node: str | None, server: Server, output: str | None) -> None:
    """Show the rates and totals of all nodes together."""
    figures = call(server, lambda client: client.stats(node=node))
    # Where they are named nobody wants to know how many.
    names = [name for name in figures if name != "unanswered_count" or "unanswered" not in figures]
    show_one(figures, {name.replace("_", " "): _get(name) for name in names}, output)


def _get(name: str) -> Callable[[dict[str, Any]], object]:
    """The figure; names of nodes on one line."""

    def get(figures: dict[str, Any]) -> object:
        value = figures[name]
        return " ".join(value) if isinstance(value, list) else value

    return get
