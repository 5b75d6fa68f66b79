"""`conduit context`"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict, Unpack

import click

from conduit.cli import context_file
from conduit.cli.completion import contexts
from conduit.cli.context_file import Context, Contexts
from conduit.cli.groups import Group
from conduit.cli.output import Columns, note, show_all, show_one, with_output
from conduit.cli.questions import confirm, with_yes
from conduit.cli.secret import from_file, given, masked
from conduit.cli.server import without_password
from conduit.errors import NotFound


@click.group(cls=Group)
def context() -> None:
    """Servers by name, with the keys for them.

    They are kept in a file that only you can read. A context's key goes to its own server, and to no other
    that --url names.
    """


class Rest(TypedDict):
    """What `add` is told beside address and key."""

    tenant: str | None
    is_used: bool
    replace: bool


@context.command()
@click.argument("name")
@click.option("--url", metavar="URL", required=True, help="The server.")
@click.option(
    "--api-key",
    metavar="KEY",
    help="An API key or token; - asks for it, or reads a line of standard input.",
)
@click.option(
    "--api-key-file",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="A file that holds it now; it is not looked at again.",
)
@click.option("--tenant", metavar="NAME", help="The tenant to act for, with the scope admin.")
@click.option("--use", "is_used", is_flag=True, help="Use it from now on.")
@click.option("--replace", is_flag=True, help="In place of one of that name.")
def add(
    name: str, url: str, api_key: str | None, api_key_file: str | None, **rest: Unpack[Rest]
) -> None:
    """Keep the address of a server, and the key for it, under a name.

    \b
      conduit context add prod --url https://events.example.com --api-key - --use
    """
    if api_key is not None and api_key_file is not None:
        raise click.UsageError("--api-key and --api-key-file are two keys; give one of them")
    key = None
    if api_key_file is not None:
        key = from_file(api_key_file)
    elif api_key is not None:
        key = given(api_key)
    _check(name, url, key, rest["tenant"])
    with context_file.changing() as known:
        known.put(name, Context(url, key, rest["tenant"]), replace=rest["replace"])
        if rest["is_used"]:
            known.current = name
    if known.current == name:
        note(f"added {name}; commands use it from now on")
    else:
        note(f"added {name}; `conduit context use {name}` makes it the one that commands use")


@context.command()
@click.argument("name", required=False, shell_complete=contexts)
@click.option("--none", is_flag=True, help="Use none.")
def use(name: str | None, none: bool) -> None:
    """Choose the context of all commands that are told no other."""
    if (name is None) is not none:
        raise click.UsageError("say which: NAME, or --none")
    with context_file.changing() as known:
        if name is not None:
            known.get(name)
        known.current = name
    note("no context is in use" if name is None else f"commands use {name} from now on")


@context.command()
@with_output()
def ls(output: str | None) -> None:
    """List contexts by name; of keys only what tells them apart."""
    known = context_file.load()
    shown = [_shown(known, name) for name in sorted(known.by_name)]
    show_all(shown, _COLUMNS, output)


@context.command()
@click.argument("name", required=False, shell_complete=contexts)
@with_output()
def get(name: str | None, output: str | None) -> None:
    """Show one context, or the one in use."""
    known = context_file.load()
    name = name or known.current
    if name is None:
        raise NotFound("no context is in use", code="context_not_found")
    show_one(_shown(known, name), _FIELDS, output)


@context.command()
@click.argument("name", shell_complete=contexts)
@with_yes
def rm(name: str, yes: bool) -> None:
    """Forget a context and its key. The key itself stays good."""
    context_file.load().get(name)
    confirm(f"Forget context {name} and its key?", yes)
    with context_file.changing() as known:
        known.remove(name)
    note(f"forgot {name}")


@dataclass(frozen=True)
class Shown:
    """A context as it is printed."""

    name: str
    url: str
    api_key: str | None
    tenant: str | None
    in_use: bool


def _shown(known: Contexts, name: str) -> Shown:
    found = known.get(name)
    key = None if found.api_key is None else masked(found.api_key)
    return Shown(name, without_password(found.url), key, found.tenant, name == known.current)


def _check(name: str, url: str, key: str | None, tenant: str | None) -> None:
    """Raise InvalidRequest for what could not be used, before it is kept."""
    # Not on top: they take long to load, which the other commands can do without.
    from conduit.cli.notes import show_client_log
    from conduit.client import AsyncConduit
    from conduit.names import check_subscription

    check_subscription(name, "name")
    show_client_log()
    AsyncConduit(url, api_key=key, tenant=tenant)


_COLUMNS: Columns[Shown] = {
    "IN USE": lambda one: "*" if one.in_use else "",
    "NAME": lambda one: one.name,
    "URL": lambda one: one.url,
    "KEY": lambda one: one.api_key,
    "TENANT": lambda one: one.tenant,
}

_FIELDS: Columns[Shown] = {
    "name": lambda one: one.name,
    "in use": lambda one: one.in_use,
    "url": lambda one: one.url,
    "key": lambda one: one.api_key,
    "tenant": lambda one: one.tenant,
}
