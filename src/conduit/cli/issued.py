"""Secrets that a server has just made: printed this once, or written to a file."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, TypedDict, Unpack

import click

from conduit.cli.output import Columns, F, note, pick, show_one
from conduit.cli.secret import new_file


class Told(TypedDict):
    """Where a secret goes, and in which form the rest."""

    quiet: bool
    out: str | None
    output: str | None


def with_secret(command: F) -> F:
    """Adds the options that say where a new secret goes, for `tell`: `quiet` and `out`."""
    for option in (
        click.option("-q", "--quiet", is_flag=True, help="Print the secret alone."),
        click.option(
            "--out",
            metavar="FILE",
            type=click.Path(dir_okay=False),
            help="Write it to a new FILE, which only you can read, and do not print it.",
        ),
    ):
        command = option(command)
    return command


def tell(make: Callable[[], Any], secret: str, fields: Columns[Any], **told: Unpack[Told]) -> None:
    """Make a record that has a secret in the field of that name, and show it as the options say. The file is
    there before: else the secret could be made and lost."""
    quiet, out, output = told["quiet"], told["out"], told["output"]
    if quiet and not (out is None and output is None):
        raise click.UsageError("-q prints the secret alone; leave out --out and -o")
    with nullcontext() if out is None else new_file(out) as file:
        made = make()
        text: str = getattr(made, secret)
        if file is not None:
            os.write(file, f"{text}\n".encode())
    if quiet:
        click.echo(text)
    elif file is None:
        show_one(made, {**fields, secret: lambda _: text}, output)
    else:
        rest = {name: getattr(made, name) for name in made.__struct_fields__ if name != secret}
        show_one(made if pick(output, piped="json") == "table" else rest, fields, output)
        note(f"the {secret} is in {out}, and nowhere else")
        return
    note(f"the {secret} is shown this once, and kept nowhere")
