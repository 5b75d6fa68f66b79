"""Pages that are followed from beginning to end do what they say: all their blocks run, in order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.blocks import RUN, SHELL, Found, all_blocks, steps
from tests.docs.terminal import Terminals, is_as_shown
from tests.support.server import RunningServer, running_server

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]

KEY = "a-key-for-the-examples"


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with running_server(DATABASE_URL="sqlite:///conduit.db") as server:
        yield server


@pytest.fixture
def guarded() -> Iterator[RunningServer]:
    """The same with authentication."""
    with running_server(ENABLE_AUTH="true", DEFAULT_API_KEY=KEY) as server:
        yield server


@pytest.mark.parametrize("file", RUN)
def test_a_page_does_what_it_says(
    file: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    has_keys = file == "docs/how-to/browser.md"
    server = request.getfixturevalue("guarded" if has_keys else "server")
    env = {"CONDUIT_API_KEY": KEY} if has_keys else {}
    found = [each for each in all_blocks() if each.file == file and not each.reason]
    assert found
    with Terminals(tmp_path, server, **env) as terminals:
        for each in found:
            do(each, terminals)
        terminals.finish()


def do(found: Found, terminals: Terminals) -> None:
    """Do with a block what its reader does."""
    if found.file_name:
        terminals.save(found.file_name, found.block.text)
    elif found.block.language == "json":
        json.loads(found.block.text)
    elif found.block.language in SHELL:
        for step in steps(found.block):
            (terminals.begin if found.runs_on else terminals.run)(step)


def test_what_is_shown_may_differ_in_ids_times_and_blanks_and_in_nothing_else() -> None:
    shown = "published  t #1  01a20527-aa72-77f9-9195-0bfede5d0042"
    assert is_as_shown(shown, "published t #1  01b20527-aa72-77f9-9195-0bfede5d0042\n")
    assert not is_as_shown(shown, "published t #2  01b20527-aa72-77f9-9195-0bfede5d0042\n")
    assert not is_as_shown(shown, "published t #1  01b20527\n")
    assert is_as_shown("a\n…\nz", "a\nb\nc\nz\n")
    assert not is_as_shown("a", "a\nb\n")
