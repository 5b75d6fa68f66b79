"""`conduit message`"""

from __future__ import annotations

import click

from conduit.cli.groups import Group
from conduit.cli.output import with_output
from conduit.cli.server import Server
from conduit.cli.server_options import with_server
from conduit.cli.session import call


@click.group(cls=Group)
def message() -> None:
    """Single stored messages. `conduit topic messages NAME` lists those of a topic."""


@message.command()
@click.argument("message_id", metavar="ID")
@with_output()
@with_server
def get(message_id: str, output: str | None, server: Server) -> None:
    """Show one stored message, and what became of it in each durable subscription."""
    from conduit.cli.stored import show_message

    show_message(call(server, lambda client: client.messages.get(message_id)), output)
