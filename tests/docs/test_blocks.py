"""Each fenced block of the documentation is run, or looked at, or says why neither."""

from __future__ import annotations

import json

import click
import msgspec
import pytest

from conduit.protocol.frames import AnyClientFrame, AnyServerFrame
from tests.docs.blocks import RUN, RUN_BY_OTHERS, SHELL, Found, all_blocks, steps
from tests.docs.commands import commands, unknown
from tools.site.links import ROOT
from tools.site.markdown import Block

BLOCKS = all_blocks()
# Pictures, output, lines of a log: nothing in them is to be done.
PICTURES = {"", "text"}


def wrong(found: Found) -> str:
    """Why nobody looks at a block, or what is wrong with it; nothing if all is well."""
    file, block = found.file, found.block
    if found.reason or block.language in PICTURES or (file, block.language) in RUN_BY_OTHERS:
        return ""
    if block.language == "json":
        return wrong_json(block.text)
    if block.language in SHELL:
        return "" if file in RUN else wrong_shell(block)
    if file in RUN and found.file_name:
        return "" if is_used(found) else f"no command of the page uses {found.file_name}"
    return f"a block of {block.language or 'no language'} that nobody runs: say why, in <!-- not run: … -->"


def wrong_json(text: str) -> str:
    """Objects, one after the other or one in each line; those with a `type` are frames."""
    try:
        values = [json.loads(text)]
    except ValueError:
        values = [
            json.loads(f"{{{line}}}" if line.startswith('"') else line)
            for line in text.splitlines()
        ]
    for value in values:
        if isinstance(value, dict) and "type" in value:
            try:
                msgspec.convert(value, AnyClientFrame)
            except msgspec.ValidationError:
                msgspec.convert(value, AnyServerFrame)
    return ""


def wrong_shell(block: Block) -> str:
    """The first command in it that there is not."""
    for step in steps(block):
        parts = commands(step.command)
        has_ours = any(words[0] == "conduit" for words in parts)
        for words in parts:
            try:
                if said := unknown(words, has_ours):
                    return said
            except click.UsageError as error:
                return f"{step.command}: {error.message}"
    return ""


def is_used(found: Found) -> bool:
    """Whether a file that is saved is used behind that, by a command or by another file that is."""
    behind = [
        each for each in BLOCKS if each.file == found.file and each.block.line > found.block.line
    ]
    name = found.file_name
    return any(name in each.block.text for each in behind) or name.endswith(".html")


@pytest.mark.parametrize("found", BLOCKS, ids=lambda found: found.place)
def test_a_block_is_run_or_looked_at_or_says_why_not(found: Found) -> None:
    assert wrong(found) == ""


def test_what_others_run_is_run_by_them() -> None:
    for (file, language), test in RUN_BY_OTHERS.items():
        assert file.rpartition("/")[2] in (ROOT / test).read_text()
        assert any(each.file == file and each.block.language == language for each in BLOCKS)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("console", "$ conduit topic list-all\n"),
        ("console", "$ conduit sub t --no-such-option\n"),
        ("console", "$ curl -s localhost:8080/api/topic\n"),
        ("sh", "make no-such-target\n"),
        ("sh", "frobnicate now\n"),
        ("python", "print(1)\n"),
    ],
)
def test_a_block_that_nobody_could_follow_is_found(language: str, text: str) -> None:
    assert wrong(Found("docs/cli.md", Block(0, language, text, ""))) != ""
