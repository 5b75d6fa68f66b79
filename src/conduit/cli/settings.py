"""`conduit settings`"""

from __future__ import annotations

import click

from conduit.cli.output import bold

_INDENT = "    "


@click.command()
def settings() -> None:
    """List the environment variables that set the server, with their defaults."""
    # Not on top: pydantic takes long to import, which other commands can do without.
    from conduit.environment import described

    width = click.HelpFormatter(max_width=100).width
    for variable in described():
        click.echo(f"{bold(variable.name)}  default: {variable.default}")
        click.echo(click.wrap_text(variable.about.replace("`", ""), width, _INDENT, _INDENT))
