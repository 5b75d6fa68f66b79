"""Questions to a person at a terminal."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from conduit.cli.exits import Exit
from conduit.cli.output import F, note, printable


def with_yes(command: F) -> F:
    """Adds the option `--yes`, for `confirm`."""
    return click.option("--yes", "-y", is_flag=True, help="Do not ask.")(command)


@contextmanager
def answering() -> Iterator[None]:
    """While somebody is asked: SIGTERM ends it as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except click.Abort:
        # What is said next begins a line of its own, and not behind the question.
        click.echo(err=True)
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


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
    with answering():
        is_meant = click.confirm(printable(question), err=True)
    if not is_meant:
        note("nothing was done")
        raise click.exceptions.Exit(Exit.ERROR)
