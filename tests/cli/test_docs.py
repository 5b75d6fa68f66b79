from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from conduit.cli.dlq import dlq
from conduit.cli.exits import Exit
from conduit.cli.main import main
from conduit.server.rest.letter_jobs import Discard, Redrive
from tests.cli.test_start import commands
from tests.docs.commands import commands as commands_in
from tests.docs.commands import parse

TEXT = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
EXAMPLES = re.findall(r"^\$ (.*\bconduit .*)$", TEXT, re.MULTILINE)


def calls(example: str) -> list[list[str]]:
    """The arguments of each `conduit` in a line of shell."""
    return [args for name, *args in commands_in(example) if name == "conduit"]


def test_the_exit_codes_in_the_docs_are_those_of_the_program() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", TEXT, re.MULTILINE)
    assert [(int(code), meaning) for code, meaning in rows] == [
        (int(code), code.meaning) for code in Exit
    ]


def test_the_rates_of_jobs_are_the_servers_own() -> None:
    defaults = []
    for name, body in (("redrive", Redrive), ("discard", Discard)):
        default = body.model_fields["rate_per_s"].default
        (rate,) = [option for option in dlq.commands[name].params if option.name == "rate"]
        assert f"So many per second; {default:,g}." == rate.help
        defaults.append(default)
    assert "`--rate` per second ({:,g}, and {:,g} to discard)".format(*defaults) in TEXT


@pytest.mark.parametrize("path", commands(), ids=" ".join)
def test_every_command_has_an_example(path: tuple[str, ...]) -> None:
    used = [tuple(args[: len(path)]) for example in EXAMPLES for args in calls(example)]
    assert path in used


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_a_command_line_that_is_understood(example: str) -> None:
    for args in calls(example):
        parse(args)


@pytest.mark.parametrize("path", commands(), ids=" ".join)
def test_every_option_is_in_the_docs(path: tuple[str, ...]) -> None:
    command: click.Command = main
    for name in path:
        assert isinstance(command, click.Group)
        command = command.commands[name]
    section = TEXT.partition(f"## conduit {path[0]}\n")[2].partition("\n## ")[0]
    shared = TEXT.partition("## Exit codes")[0]
    options = [option.opts[-1] for option in command.params if isinstance(option, click.Option)]
    assert [option for option in options if option not in section + shared] == []
