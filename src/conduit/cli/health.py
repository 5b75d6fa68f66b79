"""`conduit health`"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from conduit.cli.exits import Exit
from conduit.cli.groups import Command
from conduit.cli.output import duration_text, note, show_one, with_output
from conduit.cli.server import Server
from conduit.cli.server_options import with_server
from conduit.cli.session import call
from conduit.cli.values import DURATION

if TYPE_CHECKING:
    from conduit.client import AsyncConduit

# How often `--wait` asks.
POLL_S = 0.2


@click.command(cls=Command)
@click.option("--wait", "wait_s", type=DURATION, help="Wait for it, so long at most: 30s.")
@with_output()
@with_server
def health(server: Server, wait_s: float | None, output: str | None) -> None:
    """Check that the server is there and ready.

    The exit code is 0 then, 9 if it is not ready, and 7 if it is not there.
    """
    status, problem = call(server, lambda client: _wait(client, wait_s) if wait_s else _ask(client))
    show_one(
        status,
        {
            "status": lambda status: status["status"],
            "ready": lambda status: status["ready"],
            "version": lambda status: status.get("version"),
            "node": lambda status: status.get("node_id"),
            "store": lambda status: status.get("store", {}).get("kind"),
            "durable": lambda status: status.get("store", {}).get("durable"),
        },
        output,
    )
    if problem is not None:
        note(f"error: {problem}")
        raise click.exceptions.Exit(Exit.CHECK_FAILED)


_Found = tuple[dict[str, Any], str | None]


async def _wait(client: AsyncConduit, for_s: float) -> _Found:
    """Ask until it is ready, or time is up; then with what was the matter last."""
    import asyncio
    from contextlib import suppress

    from conduit.client import ClientError, ConnectionFailed

    last: ClientError | _Found = ConnectionFailed(f"no answer within {duration_text(for_s)}")
    with suppress(TimeoutError):
        async with asyncio.timeout(for_s):
            while True:
                try:
                    last = await _ask(client)
                    if last[1] is None:
                        return last
                except ClientError as error:
                    last = error
                await asyncio.sleep(POLL_S)
    if isinstance(last, ClientError):
        raise last
    return last


async def _ask(client: AsyncConduit) -> _Found:
    """What `/health` says, with `ready`, and why it is not ready."""
    from conduit.client import ApiError

    status = await client.health()
    if "ready" in status:
        # Behind a load balancer another node might answer a second question.
        why = status.pop("not_ready", None)
        return status, None if why is None else f"{why['detail']} (code {why['code']})"
    try:
        await client.check_ready()
    except ApiError as error:
        return {**status, "ready": False}, f"{error.detail} (code {error.code})"
    return {**status, "ready": True}, None
