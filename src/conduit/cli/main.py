"""The command `conduit`."""

from __future__ import annotations

import click

from conduit import __version__
from conduit.cli.dlq import dlq
from conduit.cli.exits import Exit, describe, exit_for, exit_table
from conduit.cli.groups import Group
from conduit.cli.health import health
from conduit.cli.migrate import migrate
from conduit.cli.output import note
from conduit.cli.pub import pub
from conduit.cli.serve import serve
from conduit.cli.settings import settings
from conduit.cli.stats import stats
from conduit.cli.store import store
from conduit.cli.sub import sub
from conduit.cli.subscription import subscription
from conduit.cli.topic import topic
from conduit.errors import ConduitError


class _Root(Group):
    """Turns what ends a command into a line on stderr and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which they were added: what is used first comes first."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except ConduitError as error:
            for line in describe(error):
                note(line)
            ctx.exit(exit_for(error))
        except OSError as error:
            # Nobody reads our output any more: click ends that quietly, with code 1.
            if isinstance(error, BrokenPipeError):
                raise
            note(f"error: {error}")
            ctx.exit(Exit.ERROR)
        except (KeyboardInterrupt, click.Abort):
            note("interrupted")
            ctx.exit(Exit.INTERRUPTED)


def _no_color(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    # https://no-color.org: any value but the empty one.
    if value:
        ctx.color = False


@click.group(
    cls=_Root,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=exit_table(),
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
    subscription,
    dlq,
    stats,
    health,
    migrate,
    store,
):
    main.add_command(_command)
