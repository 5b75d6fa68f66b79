"""`conduit stats`"""

from __future__ import annotations

from operator import itemgetter

import click

from conduit.cli.output import show_one, with_output
from conduit.cli.session import call, with_url


@click.command()
@with_output()
@with_url
def stats(url: str, output: str | None) -> None:
    """Show the rates and totals of the server."""
    figures = call(url, lambda client: client.stats())
    show_one(figures, {name.replace("_", " "): itemgetter(name) for name in figures}, output)
