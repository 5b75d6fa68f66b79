"""The command `conduit`."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

import click

from conduit import __version__
from conduit.cli.audit import audit
from conduit.cli.bench.commands import bench
from conduit.cli.completion import completion
from conduit.cli.context import context
from conduit.cli.dlq import dlq
from conduit.cli.doctor import doctor
from conduit.cli.exits import Exit, describe, exit_for, unexpected
from conduit.cli.groups import Group
from conduit.cli.health import health
from conduit.cli.key import key
from conduit.cli.message import message
from conduit.cli.migrate import migrate
from conduit.cli.node import node
from conduit.cli.output import fitted, note
from conduit.cli.pub import pub
from conduit.cli.serve import serve
from conduit.cli.settings import settings
from conduit.cli.stats import stats
from conduit.cli.store import store
from conduit.cli.sub import sub
from conduit.cli.subscription import subscription
from conduit.cli.tenant import tenant
from conduit.cli.token import token
from conduit.cli.top import top
from conduit.cli.topic import topic
from conduit.cli.whoami import whoami
from conduit.errors import ConduitError
from conduit.redaction import redacted


class _Root(Group):
    """All commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which they were added: what is used first comes first."""
        return list(self.commands)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The exit codes."""
        with formatter.section("Exit codes"):
            formatter.write_dl([(f"{int(code):>3}", code.meaning) for code in Exit])

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: object,
    ) -> click.Context:
        with _told(), _fitted():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> object:
        with _told(), _fitted():
            return super().invoke(ctx)


@contextmanager
def _fitted() -> Iterator[None]:
    """What is said of wrong options fits the terminal, and repeats no secret that stood in a wrong place."""
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:
        # Its message is the help.
        raise
    except click.UsageError as error:
        text = redacted(error.format_message())
        raise click.UsageError(fitted(text, before="Error: "), error.ctx) from None


@contextmanager
def _told() -> Iterator[None]:
    """What ends a command becomes lines on stderr and an exit code; never a traceback, unless Python runs in
    its development mode."""
    try:
        yield
    except (click.ClickException, click.exceptions.Exit):
        raise
    except ConduitError as error:
        for line in describe(error):
            note(line)
        raise click.exceptions.Exit(exit_for(error)) from None
    except BrokenPipeError:
        # Nobody reads our output any more: click ends that quietly, with code 1.
        raise
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        note(f"error: {error.strerror or error}{where}")
        raise click.exceptions.Exit(Exit.ERROR) from None
    except (KeyboardInterrupt, EOFError, click.Abort):
        note("interrupted")
        raise click.exceptions.Exit(Exit.INTERRUPTED) from None
    except Exception as error:  # the root of the process
        if sys.flags.dev_mode:
            sys.excepthook = _show_trace
            raise
        for line in unexpected(error):
            note(line)
        raise click.exceptions.Exit(Exit.ERROR) from None


def _show_trace(
    _kind: type[BaseException], error: BaseException, _trace: TracebackType | None
) -> None:
    """As Python does, without secrets."""
    click.echo(redacted("".join(traceback.format_exception(error))), err=True, nl=False)


def _no_color(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    # https://no-color.org: any value but the empty one.
    if value:
        ctx.color = False


@click.group(
    cls=_Root,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="conduit %(version)s")
@click.option(
    "--no-color-variable",
    envvar="NO_COLOR",
    hidden=True,
    expose_value=False,
    callback=_no_color,
)
def main() -> None:
    """Conduit delivers events: published over HTTP, received over WebSocket, kept until acked.

    Data goes to stdout, everything else to stderr.
    """


for _command in (
    serve,
    settings,
    pub,
    sub,
    topic,
    message,
    subscription,
    dlq,
    stats,
    top,
    health,
    doctor,
    whoami,
    context,
    key,
    token,
    tenant,
    audit,
    node,
    migrate,
    store,
    bench,
    completion,
):
    main.add_command(_command)
