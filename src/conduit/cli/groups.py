"""Commands, alone and in groups: what they are called, and how their help is laid out."""

from __future__ import annotations

import click

# More than any summary has.
_WHOLE_CHARS = 1_000


# What people type who have learned it elsewhere.
_SAME = {"show": "get", "info": "get", "list": "ls", "delete": "rm", "remove": "rm"}


class ServerOption(click.Option):
    """One of those that all commands with a server have; help lists them apart."""


class Command(click.Command):
    """Its own options come first in its help, and apart from those that it shares with many."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options, in two sections."""
        own: list[tuple[str, str]] = []
        shared: list[tuple[str, str]] = []
        for param in self.get_params(ctx):
            row = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if row is not None:
                (shared if isinstance(param, ServerOption) else own).append(row)
        for heading, rows in (("Options", own), ("Server", shared)):
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)


class Group(click.Group):
    """Summaries are wrapped and not cut: the words at their ends are often those that matter."""

    command_class = Command

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of the name, or the one that other programs call so."""
        return super().get_command(ctx, cmd_name) or super().get_command(
            ctx, _SAME.get(cmd_name, cmd_name)
        )

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands with their summaries."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [
            (name, command.get_short_help_str(_WHOLE_CHARS))
            for name, command in found
            if command is not None and not command.hidden
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
