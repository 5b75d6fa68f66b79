"""`conduit token`"""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import click

from conduit.cli.groups import Group
from conduit.cli.issued import Told, tell, with_secret
from conduit.cli.output import Columns, with_output
from conduit.cli.rights import Scope, grants_of, with_scopes
from conduit.cli.server import Server
from conduit.cli.server_options import with_server
from conduit.cli.session import call
from conduit.cli.values import TIMEOUT

if TYPE_CHECKING:
    from conduit.client import TokenAnswer


@click.group(cls=Group)
def token() -> None:
    """Tokens for browsers: some rights of a key, for a short time."""


@token.command()
@with_scopes(required=True)
@click.option("--ttl", "ttl_s", type=TIMEOUT, help="Good so long, a day at most; 15m.")
@click.option("--subject", metavar="TEXT", help="Whom it is for; that is kept in it.")
@with_secret
@with_output()
@with_server
def create(
    scopes: tuple[Scope, ...],
    ttl_s: float | None,
    subject: str | None,
    server: Server,
    **told: Unpack[Told],
) -> None:
    """Create a token, with no more rights than the key has.

    Of a token, subscribe is for no durable subscriptions but those that it names:
    'subscribe:orders.>@billing'.
    """
    grants, seconds = grants_of(scopes), None if ttl_s is None else max(round(ttl_s), 1)
    tell(
        lambda: call(server, lambda client: client.tokens.create(grants, seconds, subject=subject)),
        "token",
        _FIELDS,
        **told,
    )


_FIELDS: Columns[TokenAnswer] = {"expires": lambda token: token.expires_at}
