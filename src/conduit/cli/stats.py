"""`conduit stats`"""

from __future__ import annotations

from operator import itemgetter

import click

from conduit.cli.groups import Command
from conduit.cli.output import show_one, with_output
from conduit.cli.server import Server
from conduit.cli.server_options import with_server
from conduit.cli.session import call


@click.command(cls=Command)
@with_output()
@with_server
def stats(server: Server, output: str | None) -> None:
    """Show the rates and totals of the server."""
    figures = call(server, lambda client: client.stats())
    show_one(figures, {name.replace("_", " "): itemgetter(name) for name in figures}, output)
