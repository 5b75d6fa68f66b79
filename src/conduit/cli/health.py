"""`conduit health`"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from conduit.cli.exits import Exit
from conduit.cli.output import note, show_one, with_output
from conduit.cli.session import call, with_url

if TYPE_CHECKING:
    from conduit.client import AsyncConduit


@click.command()
@with_output()
@with_url
def health(url: str, output: str | None) -> None:
    """Check that the server is there and ready.

    The exit code is 0 then, 9 if it is not ready, and 7 if it is not there.
    """
    status, problem = call(url, _ask)
    show_one(
        status,
        {
            "status": lambda status: status["status"],
            "ready": lambda status: status["ready"],
            "version": lambda status: status["version"],
            "node": lambda status: status["node_id"],
            "store": lambda status: status["store"]["kind"],
            "durable": lambda status: status["store"]["durable"],
        },
        output,
    )
    if problem is not None:
        note(f"error: {problem}")
        raise click.exceptions.Exit(Exit.CHECK_FAILED)


async def _ask(client: AsyncConduit) -> tuple[dict[str, Any], str | None]:
    """What `/health` says with `ready` added, and why it is not ready."""
    from conduit.client import ApiError

    status = await client.health()
    try:
        await client.check_ready()
    except ApiError as error:
        return {**status, "ready": False}, error.detail
    return {**status, "ready": True}, None
