"""What the commands that speak to a server share: where it is, the client, questions."""

from __future__ import annotations

import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import click

from conduit.cli.exits import Exit
from conduit.cli.output import note, printable
from conduit.cli.values import Whole

if TYPE_CHECKING:
    from conduit.client import AsyncConduit

F = TypeVar("F", bound=Callable[..., object])
T = TypeVar("T")

# How long a publish waits for a server that restarts; everything else fails at once.
RETRY_S = 10.0


def with_url(command: F) -> F:
    """Adds the option `--url`."""
    return click.option(
        "--url",
        envvar="CONDUIT_URL",
        default="http://127.0.0.1:8080",
        show_default=True,
        show_envvar=True,
        metavar="URL",
        help="The server.",
    )(command)


def with_yes(command: F) -> F:
    """Adds the option `--yes`, for `confirm`."""
    return click.option("--yes", "-y", is_flag=True, help="Do not ask.")(command)


def call(url: str, work: Callable[[AsyncConduit], Awaitable[T]]) -> T:
    """Run `work` with a client of the server at `url`; errors pass through."""
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
        async with AsyncConduit(url, retry_s=RETRY_S) as client:
            return await work(client)

    show_client_log()
    try:
        return asyncio.run(run())
    except asyncio.CancelledError:
        # SIGTERM, and a terminal that is closed, end a command as Ctrl-C does, with its summary.
        raise KeyboardInterrupt from None


def must_ask(yes: bool) -> bool:
    """Whether there is a question to ask. Ends the command if there is, and no terminal to ask on: before
    what the question has to know is asked of a server."""
    if not yes and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise click.UsageError("there is no terminal to ask on; --yes says that it is meant")
    return not yes


def confirm(question: str, yes: bool) -> None:
    """Ask before something that cannot be undone. Ends the command unless the answer is yes."""
    if not must_ask(yes):
        return
    # SIGTERM ends it as Ctrl-C does.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        is_meant = click.confirm(printable(question), err=True)
    except click.Abort:
        # What is said next begins a line of its own, and not behind the question.
        click.echo(err=True)
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
    if not is_meant:
        note("nothing was done")
        raise click.exceptions.Exit(Exit.ERROR)


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
