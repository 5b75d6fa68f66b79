"""`conduit doctor`"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from conduit.cli.exits import Exit
from conduit.cli.groups import Command
from conduit.cli.output import with_output
from conduit.cli.server import Server, Target, without_password
from conduit.cli.server_options import with_server

if TYPE_CHECKING:
    from conduit.cli.checks.finding import Finding
    from conduit.settings import Settings

HERE = "This machine, as `conduit serve` would see it"


@click.command(cls=Command)
@click.option("--here", is_flag=True, help="Look at this machine alone.")
@with_output()
@with_server
def doctor(server: Server, here: bool, output: str | None) -> None:
    """Check a deployment, and say what to mend.

    Looks at the server that CONDUIT_URL or the context in use names; and at this machine as `conduit serve`
    would see it, with the environment of this command, if a setting of the server is in it, or no server is
    named. With --url or --context it looks at that server alone. It changes nothing. The exit code is 9 if a
    check has failed.
    """
    # Not on top: `conduit --help` does without.
    import asyncio

    from conduit.cli.checks.shown import counts, show
    from conduit.environment import is_given

    if here and server.is_chosen:
        raise click.UsageError(
            "--here is this machine, and --url or --context a server: choose one"
        )
    target = server.target if not here and server.is_named else None
    # Who looks at a server from a desk has none there.
    has_machine = target is None or (not server.is_chosen and is_given())
    parts = asyncio.run(_look(target, has_machine=has_machine))
    show(parts, output, is_terminal=sys.stdout.isatty())
    if counts(parts)["failures"]:
        raise click.exceptions.Exit(Exit.CHECK_FAILED)


async def _look(target: Target | None, *, has_machine: bool) -> dict[str, Sequence[Finding]]:
    import asyncio

    async def nothing() -> list[Finding]:
        return []

    machine, server = await asyncio.gather(
        _machine() if has_machine else nothing(), nothing() if target is None else _server(target)
    )
    parts: dict[str, Sequence[Finding]] = {}
    if machine:
        parts[HERE] = machine
    if target is not None:
        parts[f"The server at {without_password(target.url)}"] = server
    return parts


async def _machine() -> list[Finding]:
    from conduit.cli.checks.finding import run
    from conduit.cli.checks.here import checks
    from conduit.environment import usable_settings

    found = usable_settings()
    _hide(found.settings)
    return await run(checks(found), found.unusable)


def _hide(settings: Settings | None) -> None:
    """From now on nothing that is shown has a secret of theirs in it."""
    from conduit import redaction

    if settings is not None:
        redaction.know(*settings.secrets)


async def _server(target: Target) -> list[Finding]:
    from datetime import UTC, datetime

    from conduit import __version__, redaction
    from conduit.cli.checks.asked import look
    from conduit.cli.checks.finding import Check, run
    from conduit.cli.checks.served import judge
    from conduit.client import AsyncConduit

    if target.api_key is not None:
        redaction.know(target.api_key)

    async def ask() -> list[Finding]:
        async with AsyncConduit(target.url, api_key=target.api_key, tenant=target.tenant) as client:
            return judge(
                await look(client, __version__, has_key=target.api_key is not None),
                datetime.now(UTC),
            )

    return await run([Check("server", ask)])
