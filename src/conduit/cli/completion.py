"""`conduit completion`: names that a shell fills in, those that a server has too."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import click

from conduit.cli import context_file
from conduit.cli.server import Server
from conduit.cli.session import call
from conduit.errors import ConduitError

if TYPE_CHECKING:
    from conduit.client import AsyncConduit, DeadLetterJob, Key

# Somebody waits, with a finger on the key; more names than that do not help either.
PATIENCE_S = 1.0
NAMES_MAX_COUNT = 100

# bash cuts words at `:` and `=`, so that an address is five of them. click is given the line as it was typed
# in their place, of which it takes the last word, or one behind it.
_BASH_WORDS = 'COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD'
_BASH_LINE = (
    'COMP_WORDS="${COMP_LINE:0:COMP_POINT}" '
    'COMP_CWORD=$([[ "${COMP_LINE:0:COMP_POINT}" == *[[:space:]] ]] && echo 999999 || echo -1)'
)

Complete = Callable[[click.Context, click.Parameter, str], list[str]]


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what teaches a shell to complete commands, options and names.

    \b
      eval "$(conduit completion bash)"        in ~/.bashrc
      eval "$(conduit completion zsh)"         in ~/.zshrc
      conduit completion fish > ~/.config/fish/completions/conduit.fish

    Names of topics, subscriptions, keys, tenants, nodes and jobs are those of the server that the command
    would work on.
    """
    # Not on top: the others do without.
    from click.shell_completion import get_completion_class

    make = get_completion_class(shell)
    assert make is not None
    root = click.get_current_context().find_root()
    source = make(root.command, {}, "conduit", "_CONDUIT_COMPLETE").source()
    click.echo(source.replace(_BASH_WORDS, _BASH_LINE))


def topics(context: click.Context, _parameter: click.Parameter, begin: str) -> list[str]:
    """Topics whose names begin so; none if the server does not say within PATIENCE_S."""
    return _names(context, begin, lambda client: client.topics.find(q=begin or None))


def subscriptions(context: click.Context, _parameter: click.Parameter, begin: str) -> list[str]:
    """Subscriptions, in the same way."""
    return _names(context, begin, lambda client: client.subscriptions.find(q=begin or None))


def tenants(context: click.Context, _parameter: click.Parameter, begin: str) -> list[str]:
    """Tenants, in the same way."""
    return _names(context, begin, lambda client: client.tenants.find())


def keys(context: click.Context, _parameter: click.Parameter, begin: str) -> list[str]:
    """Ids of keys that are good, in the same way."""
    return _names(context, begin, _good_keys, "id")


def nodes(context: click.Context, _parameter: click.Parameter, begin: str) -> list[str]:
    """Ids of nodes, in the same way."""
    return _names(context, begin, lambda client: client.nodes.find(), "id")


def jobs(context: click.Context, _parameter: click.Parameter, begin: str) -> list[str]:
    """Ids of jobs for dead letters, in the same way."""
    return _names(context, begin, _jobs, "id")


def contexts(_context: click.Context, _parameter: click.Parameter, begin: str) -> list[str]:
    """Contexts, which no server is asked for."""
    try:
        return [name for name in sorted(context_file.load().by_name) if name.startswith(begin)]
    except (ConduitError, OSError):
        return []


async def _good_keys(client: AsyncConduit) -> AsyncIterator[Key]:
    async for key in client.keys.find():
        if key.revoked_at is None:
            yield key


async def _jobs(client: AsyncConduit) -> AsyncIterator[DeadLetterJob]:
    for job in (await client.dead_letters.jobs()).jobs:
        yield job


def _names(
    context: click.Context,
    begin: str,
    find: Callable[[AsyncConduit], AsyncIterator[Any]],
    field: str = "name",
) -> list[str]:
    # Not on top: `--help` does without.
    import asyncio

    async def work(client: AsyncConduit) -> list[str]:
        names: list[str] = []
        async with asyncio.timeout(PATIENCE_S):
            async for found in find(client):
                name: str = getattr(found, field)
                if name.startswith(begin):
                    names.append(name)
                if len(names) == NAMES_MAX_COUNT:
                    break
        return names

    try:
        return call(Server(context, asks=False), work)
    except (ConduitError, OSError, click.UsageError):
        # There is nobody to tell: the line that is typed would be torn.
        return []
