"""What the commands that speak to a server share: the client, and lists."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import click

from conduit.cli.output import note
from conduit.cli.values import Whole
from conduit.errors import Forbidden

if TYPE_CHECKING:
    from conduit.cli.server import Server
    from conduit.client import AsyncConduit

F = TypeVar("F", bound=Callable[..., object])
T = TypeVar("T")

# How long a publish waits for a server that restarts; everything else fails at once.
RETRY_S = 10.0


def call(server: Server, work: Callable[[AsyncConduit], Awaitable[T]]) -> T:
    """Run `work` with a client of the server; errors pass through."""
    target = server.target
    # Not on top: these take a quarter of a second, which `--help` can do without.
    import asyncio

    from conduit.cli.notes import show_client_log
    from conduit.client import AsyncConduit

    async def run() -> T:
        task = asyncio.current_task()
        assert task is not None
        for number in (signal.SIGTERM, signal.SIGHUP):
            # nohup has SIGHUP ignored.
            if signal.getsignal(number) is not signal.SIG_IGN:
                asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        async with AsyncConduit(
            target.url, api_key=target.api_key, tenant=target.tenant, retry_s=RETRY_S
        ) as client:
            if target.tenant is not None:
                await _check_tenant(client, target.tenant)
            return await work(client)

    show_client_log()
    try:
        return asyncio.run(run())
    except asyncio.CancelledError:
        # SIGTERM, and a terminal that is closed, end a command as Ctrl-C does, with its summary.
        raise KeyboardInterrupt from None


async def _check_tenant(client: AsyncConduit, name: str) -> None:
    """Raise Forbidden if the key works on another tenant than was asked for: of keys without the scope admin
    the server does not read which, and the command would do its work on their own."""
    who = await client.whoami()
    if who.tenant != name:
        raise Forbidden(
            f"this key works on tenant {who.tenant}, and not on {name}: that takes admin"
        )


def with_limit(command: F) -> F:
    """Adds the option `--limit`, for `take`."""
    return click.option(
        "--limit",
        type=Whole(1),
        default=100,
        show_default=True,
        help="At most so many.",
    )(command)


async def take(records: AsyncIterator[T], limit: int) -> list[T]:
    """The first `limit` records; says on stderr if there are more."""
    taken: list[T] = []
    async for record in records:
        if len(taken) == limit:
            note(f"the first {limit:,}; --limit gives more")
            break
        taken.append(record)
    return taken
