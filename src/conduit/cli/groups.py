"""A command with commands of its own, and how its help lists them."""

from __future__ import annotations

import click

# More than any summary has.
_WHOLE_CHARS = 1_000


class Group(click.Group):
    """Summaries are wrapped and not cut: the words at their ends are often those that matter."""

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
