"""`conduit key`"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import click

from conduit.cli.completion import keys
from conduit.cli.groups import Group
from conduit.cli.issued import Told, tell, with_secret
from conduit.cli.output import Columns, note, show_all, show_one, with_output
from conduit.cli.questions import confirm, must_ask, with_yes
from conduit.cli.rights import (
    EXPIRY,
    KEY_LIMITS,
    Limits,
    Scope,
    grants_of,
    limits_text,
    moment_of,
    scopes_text,
    with_limits,
    with_scopes,
)
from conduit.cli.server import Server
from conduit.cli.server_options import with_server
from conduit.cli.session import call, take, with_limit
from conduit.cli.values import DURATION

if TYPE_CHECKING:
    from conduit.client import Key


class Changes(TypedDict):
    """What `change` is told; None and nothing: it stays."""

    name: str | None
    scopes: tuple[Scope, ...]
    expires: float | str | None
    limits: Limits


@click.group(cls=Group)
def key() -> None:
    """API keys: who may do what."""


@key.command()
@with_limit
@with_output()
@with_server
def ls(limit: int, output: str | None, server: Server) -> None:
    """List keys by id; also those that were revoked in the last 30 days."""
    found = call(server, lambda client: take(client.keys.find(), limit))
    show_all(found, _COLUMNS, output)


@key.command()
@click.argument("key_id", metavar="ID", shell_complete=keys)
@with_output()
@with_server
def get(key_id: str, output: str | None, server: Server) -> None:
    """Show one key, without its secret."""
    show_one(call(server, lambda client: client.keys.get(key_id)), _FIELDS, output)


@key.command()
@click.argument("name")
@with_scopes(required=True)
@click.option("--expires", type=EXPIRY, help="When: in 90d, or at a time. Without it, never.")
@with_limits(KEY_LIMITS)
@with_secret
@with_output()
@with_server
def create(
    name: str,
    scopes: tuple[Scope, ...],
    expires: float | str | None,
    limits: Limits,
    server: Server,
    **told: Unpack[Told],
) -> None:
    """Create a key, and print it this once: the server does not keep it.

    \b
      conduit key create shop --scope 'publish:orders.*' --expires 90d
      conduit key create billing --scope 'subscribe:>@billing' --out billing.key
      export CONDUIT_API_KEY=$(conduit key create me --scope manage -q)
    """
    settings: dict[str, Any] = {"limits": dict(limits) if limits else None}
    if isinstance(expires, str):
        settings["expires_at"] = expires
    elif expires is not None and moment_of(expires) is not None:
        settings["ttl_s"] = round(expires)
    grants = grants_of(scopes)
    tell(
        lambda: call(server, lambda client: client.keys.create(name, grants, **settings)),
        "key",
        _FIELDS,
        **told,
    )


@key.command()
@click.argument("key_id", metavar="ID", shell_complete=keys)
@click.option("--name", help="What it is called.")
@with_scopes(required=False)
@click.option("--expires", type=EXPIRY, help="When: in 90d, at a time, or none.")
@with_limits(KEY_LIMITS)
@with_output()
@with_server
def change(key_id: str, output: str | None, server: Server, **given: Unpack[Changes]) -> None:
    """Change a key. What is left out stays as it is; --scope names all of its rights anew."""
    changes: dict[str, Any] = {}
    if given["name"] is not None:
        changes["name"] = given["name"]
    if given["scopes"]:
        changes["scopes"] = grants_of(given["scopes"])
    if given["expires"] is not None:
        changes["expires_at"] = moment_of(given["expires"])
    if given["limits"]:
        changes["limits"] = dict(given["limits"])
    if not changes:
        raise click.UsageError("say what to change: --name, --scope, --expires or --limit")
    changed = call(server, lambda client: client.keys.change(key_id, **changes))
    show_one(changed, _FIELDS, output)


@key.command()
@click.argument("key_id", metavar="ID", shell_complete=keys)
@click.option(
    "--overlap",
    "overlap_s",
    type=DURATION,
    help="The secret before stays good so long; 24h. With 0s it ends at once.",
)
@with_secret
@with_yes
@with_output()
@with_server
def rotate(
    key_id: str, overlap_s: float | None, yes: bool, server: Server, **told: Unpack[Told]
) -> None:
    """Give a key a new secret, and print it this once. The one before stays good for a while."""
    if overlap_s is not None and round(overlap_s) == 0 and must_ask(yes):
        found = call(server, lambda client: client.keys.get(key_id))
        confirm(f"End the present secret of key {found.name} ({key_id}) at once?", yes)
    seconds = None if overlap_s is None else round(overlap_s)
    tell(
        lambda: call(server, lambda client: client.keys.rotate(key_id, overlap_s=seconds)),
        "key",
        _FIELDS,
        **told,
    )


@key.command()
@click.argument("key_id", metavar="ID", shell_complete=keys)
@with_yes
@with_server
def revoke(key_id: str, yes: bool, server: Server) -> None:
    """End a key for good; its connections are closed within seconds."""
    if must_ask(yes):
        found = call(server, lambda client: client.keys.get(key_id))
        confirm(f"Revoke key {found.name} ({key_id}) for good?", yes)
    call(server, lambda client: client.keys.revoke(key_id))
    note(f"revoked {key_id}")


def _state(key: Key) -> str:
    now = datetime.now(UTC)
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is not None and datetime.fromisoformat(key.expires_at) <= now:
        return "expired"
    return "active" if _rotating_until(key) is None else "rotating"


def _rotating_until(key: Key) -> str | None:
    """Until when the former secret is good, if it still is."""
    until = key.rotating_until
    return until if until and datetime.fromisoformat(until) > datetime.now(UTC) else None


def _minute(moment: str | None) -> str | None:
    """A time without its seconds: in a list there is no room for them."""
    return None if moment is None else f"{moment[:16]}Z"


_COLUMNS: Columns[Key] = {
    "ID": lambda key: key.id,
    "NAME": lambda key: key.name,
    "SCOPES": lambda key: scopes_text(key.scopes),
    "STATE": _state,
    "EXPIRES": lambda key: _minute(key.expires_at),
    "LAST USED": lambda key: _minute(key.last_used_at),
}

_FIELDS: Columns[Key] = {
    "id": lambda key: key.id,
    "name": lambda key: key.name,
    "tenant": lambda key: key.tenant,
    "state": _state,
    "scopes": lambda key: scopes_text(key.scopes),
    "limits": lambda key: limits_text(key.limits),
    "created": lambda key: key.created_at,
    "created by": lambda key: key.created_by,
    "expires": lambda key: key.expires_at,
    "last used": lambda key: key.last_used_at,
    "revoked": lambda key: key.revoked_at,
    "rotating until": _rotating_until,
}
