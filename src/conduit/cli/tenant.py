"""`conduit tenant`"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from conduit.cli.completion import tenants
from conduit.cli.groups import Group
from conduit.cli.output import (
    Columns,
    counted,
    note,
    pick,
    show_all,
    show_one,
    size_text,
    with_output,
)
from conduit.cli.questions import confirm, must_ask, with_yes
from conduit.cli.rights import LIMITS, Limits, bound_text, with_limits
from conduit.cli.server import Server
from conduit.cli.server_options import with_server
from conduit.cli.session import call, take, with_limit

if TYPE_CHECKING:
    from conduit.client import Tenant


@click.group(cls=Group)
def tenant() -> None:
    """Tenants: logs that cannot see each other. For keys with the scope admin."""


@tenant.command()
@with_limit
@with_output()
@with_server
def ls(limit: int, output: str | None, server: Server) -> None:
    """List tenants by name, with what they use."""
    found = call(server, lambda client: take(client.tenants.find(), limit))
    show_all(found, _COLUMNS, output)


@tenant.command()
@click.argument("name", shell_complete=tenants)
@with_output()
@with_server
def get(name: str, output: str | None, server: Server) -> None:
    """Show one tenant: what it uses, and what it may use at most."""
    _show(call(server, lambda client: client.tenants.get(name)), output)


@tenant.command()
@click.argument("name")
@with_limits(LIMITS)
@with_output()
@with_server
def create(name: str, limits: Limits, output: str | None, server: Server) -> None:
    """Create a tenant. `conduit key create --tenant NAME` then makes its first key."""
    bounds: Any = dict(limits) if limits else None
    _show(call(server, lambda client: client.tenants.create(name, bounds)), output)


@tenant.command()
@click.argument("name", shell_complete=tenants)
@with_limits(LIMITS)
@with_output()
@with_server
def change(name: str, limits: Limits, output: str | None, server: Server) -> None:
    """Change what a tenant may use. What is left out stays as it is."""
    if not limits:
        raise click.UsageError("say what to change: --limit")
    bounds: Any = dict(limits)
    _show(call(server, lambda client: client.tenants.change(name, **bounds)), output)


@tenant.command()
@click.argument("name", shell_complete=tenants)
@with_yes
@with_server
def rm(name: str, yes: bool, server: Server) -> None:
    """Delete a tenant and revoke its keys. It must have no topics and no subscriptions."""
    if must_ask(yes):
        found = call(server, lambda client: client.tenants.get(name))
        confirm(f"Delete tenant {name} and revoke {counted(found.usage.keys, 'key')}?", yes)
    call(server, lambda client: client.tenants.delete(name))
    note(f"deleted {name}")


def _show(tenant: Tenant, output: str | None) -> None:
    show_one(tenant, _FIELDS, output)
    if pick(output, piped="json") == "table":
        click.echo()
        show_all(LIMITS, _bounds(tenant), "table")


def _bounds(tenant: Tenant) -> Columns[str]:
    """Each limit, with what there is of it: of a rate nothing is counted."""

    def text(name: str, record: object) -> str | None:
        count: int | None = getattr(record, name, None)
        return None if count is None else bound_text(name, count)

    return {
        "LIMIT": lambda name: name,
        "AT MOST": lambda name: text(name, tenant.limits) or "no limit",
        "NOW": lambda name: text(name, tenant.usage),
    }


_COLUMNS: Columns[Tenant] = {
    "NAME": lambda tenant: tenant.name,
    "TOPICS": lambda tenant: tenant.usage.topics,
    "SUBSCRIPTIONS": lambda tenant: tenant.usage.subscriptions,
    "CONNECTIONS": lambda tenant: tenant.usage.connections,
    "SIZE": lambda tenant: size_text(tenant.usage.stored_bytes),
    "DEAD": lambda tenant: tenant.usage.dead_letters,
    "KEYS": lambda tenant: tenant.usage.keys,
}

_FIELDS: Columns[Tenant] = {
    "name": lambda tenant: tenant.name,
    "created": lambda tenant: tenant.created_at,
    "keys": lambda tenant: tenant.usage.keys,
}
