"""`conduit audit`"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from conduit.cli.groups import Command
from conduit.cli.output import (
    Columns,
    json_text,
    pick,
    printable,
    show_all,
    spelled_pairs,
    with_output,
)
from conduit.cli.rights import grants_of, scopes_text
from conduit.cli.server import Server
from conduit.cli.server_options import with_server
from conduit.cli.session import call, take, with_limit
from conduit.cli.values import TIME
from conduit.names import of_tenant

if TYPE_CHECKING:
    from conduit.client import AsyncConduit, AuditEntry

# How often `--follow` asks, and how far back: an entry may be stored a little later than newer ones.
POLL_S = 1.0
LATE_S = 10.0


@click.command(cls=Command)
@click.option("--from", "from_time", type=TIME, help="At this time or later: -1h.")
@click.option("--to", "to_time", type=TIME, help="Before this time.")
@click.option("--actor", help="Who: key:ID, token:ID, default_api_key, anonymous, server.")
@click.option("--action", help="What: topic.delete, key.create, sign_in.fail.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is done from now on.")
@with_limit
@with_output()
@with_server
def audit(
    follow: bool, limit: int, output: str | None, server: Server, **filters: str | None
) -> None:
    """Show what was done to keys, tenants, topics and subscriptions, by whom and from where.

    The newest comes first; with -f it comes last.
    """
    if not follow:
        found = call(server, lambda client: take(client.audit(**filters), limit))
        show_all(found, _COLUMNS, output)
        return
    if output == "json" or filters["to_time"] is not None:
        raise click.UsageError("with -f there is no end: leave out --to and -o json")
    is_table = pick(output, piped="jsonl") == "table"

    async def show(client: AsyncConduit) -> None:
        async for entry in _follow(client, limit, filters):
            click.echo(_line(entry) if is_table else json_text(entry))

    call(server, show)


async def _follow(
    client: AsyncConduit, limit: int, filters: dict[str, Any]
) -> AsyncIterator[AuditEntry]:
    """The newest of what there is, the oldest of these first, and then what comes."""
    import asyncio

    found: list[AuditEntry] = []
    async for entry in client.audit(**filters):
        found.append(entry)
        if len(found) == limit:
            break
    begins_at = found[-1].at if found else ""
    known: set[str] = set()
    while True:
        for entry in reversed(found):
            if entry.id not in known and entry.at >= begins_at:
                yield entry
        if found:
            # They come again, and are known then.
            known = {entry.id for entry in found}
            since = datetime.fromisoformat(found[0].at) - timedelta(seconds=LATE_S)
            filters = {**filters, "from_time": since}
        await asyncio.sleep(POLL_S)
        found = [entry async for entry in client.audit(**filters)]


def _line(entry: AuditEntry) -> str:
    """An entry for people who see one after the other."""
    target = f"{entry.target or '-'}{of_tenant(entry.tenant)}"
    words = [entry.at, entry.action, target, "by", entry.actor]
    if entry.address:
        words += ["from", entry.address]
    if (detail := _detail(entry)) is not None:
        words.append(f"({detail})")
    return printable(" ".join(words))


def _detail(entry: AuditEntry) -> str | None:
    """What is known beside: scopes as `key ls` shows them, and what else is no text as JSON."""
    return spelled_pairs({name: _spelled(name, value) for name, value in entry.detail.items()})


def _spelled(name: str, value: object) -> str:
    # Not on top: `conduit --help` does without.
    from msgspec import ValidationError

    if isinstance(value, str):
        return value
    if name == "scopes" and isinstance(value, list):
        # Of a newer server they may be others than are known here.
        with suppress(ValidationError):
            return scopes_text(grants_of(value))
    return json_text(value)


_COLUMNS: Columns[AuditEntry] = {
    "AT": lambda entry: entry.at,
    "ACTION": lambda entry: entry.action,
    "TARGET": lambda entry: entry.target,
    "ACTOR": lambda entry: entry.actor,
    "ADDRESS": lambda entry: entry.address,
    "DETAIL": _detail,
    # An operator is shown those of all tenants, which may be those of one.
    "TENANT": lambda entry: entry.tenant,
}
