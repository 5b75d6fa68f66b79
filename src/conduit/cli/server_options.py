"""The options of every command that speaks to a server: where it is, and as whom to work."""

from __future__ import annotations

from functools import wraps
from typing import cast

import click

from conduit.cli.completion import contexts, tenants
from conduit.cli.groups import ServerOption
from conduit.cli.output import F
from conduit.cli.server import DEFAULT_URL, OPTIONS, Server

_OPTIONS = (
    click.option(
        "--url",
        cls=ServerOption,
        envvar="CONDUIT_URL",
        show_envvar=True,
        metavar="URL",
        help=f"The server; {DEFAULT_URL}.",
    ),
    click.option(
        "--api-key",
        cls=ServerOption,
        envvar="CONDUIT_API_KEY",
        show_envvar=True,
        metavar="KEY",
        help="An API key or token; - asks for it, or reads a line of standard input. Every user of the "
        "machine can read a command line: rather use the variable, a file or a context.",
    ),
    click.option(
        "--api-key-file",
        cls=ServerOption,
        type=click.Path(dir_okay=False),
        metavar="FILE",
        help="A file that holds the key or token.",
    ),
    click.option(
        "--context",
        cls=ServerOption,
        envvar="CONDUIT_CONTEXT",
        show_envvar=True,
        metavar="NAME",
        shell_complete=contexts,
        help="Address and key that `conduit context add` has kept.",
    ),
    click.option(
        "--tenant",
        cls=ServerOption,
        metavar="NAME",
        shell_complete=tenants,
        help="The tenant to act for; for keys with the scope admin.",
    ),
)


def with_server(command: F) -> F:
    """Adds the options that say where a server is, and as whom to work; the command gets `server`."""

    @wraps(command)
    def run(**options: object) -> object:
        rest = {name: value for name, value in options.items() if name not in OPTIONS}
        return command(server=Server(click.get_current_context()), **rest)

    for option in reversed(_OPTIONS):
        run = option(run)
    return cast("F", run)
