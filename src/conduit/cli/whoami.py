"""`conduit whoami`"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from conduit.cli.groups import Command
from conduit.cli.output import Columns, show_one, with_output
from conduit.cli.rights import limits_text, scopes_text
from conduit.cli.server import Server
from conduit.cli.server_options import with_server
from conduit.cli.session import call

if TYPE_CHECKING:
    from conduit.client import WhoAmI


@click.command(cls=Command)
@with_output()
@with_server
def whoami(output: str | None, server: Server) -> None:
    """Show whom the key or token stands for, and what it may do."""
    show_one(call(server, lambda client: client.whoami()), _FIELDS, output)


_FIELDS: Columns[WhoAmI] = {
    "tenant": lambda who: who.tenant,
    "actor": lambda who: who.actor,
    "key": lambda who: who.key_id,
    "scopes": lambda who: scopes_text(who.scopes),
    "expires": lambda who: who.expires_at,
    "limits": lambda who: limits_text(who.limits),
}
