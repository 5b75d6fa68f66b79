from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from conduit.cli import context_file
from conduit.cli.exits import Exit
from conduit.cli.main import main
from tests.cli.answering import answering
from tests.cli.test_secret import KEY
from tests.cli.test_server import STATS

URL = "https://prod.example"


def run(*args: str) -> Result:
    return CliRunner().invoke(main, args)


def ok(*args: str) -> Result:
    result = run(*args)
    assert result.exit_code == 0, result.stderr
    return result


def test_a_context_that_is_used_is_where_commands_go_with_its_key() -> None:
    with answering(STATS) as server:
        ok("context", "add", "here", "--url", server.url, "--api-key", KEY)
        told = ok("context", "use", "here").stderr
        assert told == "commands use here from now on\n"
        ok("stats")
        ok("context", "use", "--none")
        ok("stats", "--url", server.url)
        ok("stats", "--context", "here")
    assert [one.key for one in server.asked] == [KEY, None, KEY]


def test_its_key_does_not_go_to_another_server_and_that_is_said() -> None:
    ok("context", "add", "prod", "--url", URL, "--api-key", KEY, "--use")
    with answering(STATS) as server:
        told = ok("stats", "--url", server.url).stderr
        ok("stats", "--url", server.url, "--api-key", "own")
    assert [one.key for one in server.asked] == [None, "own"]
    assert told.startswith("the key of context prod is for https://prod.example; it is not sent")
    assert KEY not in told


def test_the_list_marks_the_one_in_use_and_shows_no_key() -> None:
    ok("context", "add", "prod", "--url", URL, "--api-key", KEY, "--tenant", "acme", "--use")
    ok("context", "add", "dev", "--url", "http://user:word@127.0.0.1:1")
    listed = ok("context", "ls", "-o", "table").stdout
    assert re.findall(r"^(\S+) +(\w+) ", listed, re.M)[1:] == [("-", "dev"), ("*", "prod")]
    assert json.loads(ok("context", "ls").stdout)[1] == {
        "name": "prod",
        "url": URL,
        "api_key": "ck_live_abcd1234_…",
        "tenant": "acme",
        "in_use": True,
    }
    shown = ok("context", "get", "-o", "table").stdout
    everything = listed + shown + ok("context", "ls").stdout + ok("context", "show", "dev").stdout
    assert KEY not in everything
    assert "word" not in everything
    assert "url     https://prod.example\n" in shown


def test_a_name_that_is_taken_is_replaced_only_if_that_is_said() -> None:
    ok("context", "add", "prod", "--url", URL)
    again = ("context", "add", "prod", "--url", "https://other.example")
    result = run(*again)
    assert (result.exit_code, "--replace" in result.stderr) == (Exit.CONFLICT, True)
    assert context_file.load().get("prod").url == URL
    ok(*again, "--replace")
    assert context_file.load().get("prod").url == "https://other.example"


def test_a_context_is_forgotten_with_its_key() -> None:
    ok("context", "add", "prod", "--url", URL, "--api-key", KEY, "--use")
    assert run("context", "rm", "prod").exit_code == Exit.USAGE
    ok("context", "rm", "prod", "-y")
    assert KEY not in Path(context_file.place()).read_text()
    assert context_file.load().current is None


@pytest.mark.parametrize(
    "args",
    [
        ("use", "nope"),
        ("get", "nope"),
        ("get",),
        ("rm", "nope", "-y"),
    ],
)
def test_one_that_there_is_not_is_exit_code_3(args: tuple[str, ...]) -> None:
    result = run("context", *args)
    assert (result.exit_code, "context_not_found" in result.stderr) == (Exit.NOT_FOUND, True)


@pytest.mark.parametrize(
    "args",
    [
        ("add", "a b", "--url", URL),
        ("add", "prod", "--url", "nonsense"),
        ("add", "prod", "--url", URL, "--api-key", ""),
        ("add", "prod", "--url", URL, "--api-key", "x", "--api-key-file", "y"),
        ("add", "prod", "--url", URL, "--tenant", "No Tenant"),
        ("add", "prod", "--url", "https://me:word@prod.example", "--api-key", KEY),
        ("add", "prod"),
        ("use",),
        ("use", "prod", "--none"),
    ],
    ids=" ".join,
)
def test_what_could_not_be_used_is_not_kept(args: tuple[str, ...]) -> None:
    assert run("context", *args).exit_code == Exit.USAGE
    assert context_file.load().by_name == {}


def test_a_file_that_others_can_read_ends_every_command_that_would_use_it() -> None:
    ok("context", "add", "prod", "--url", URL, "--api-key", KEY, "--use")
    Path(context_file.place()).chmod(0o644)
    for args in (("stats",), ("context", "ls"), ("context", "use", "prod")):
        result = run(*args)
        assert (result.exit_code, "chmod 600" in result.stderr) == (Exit.USAGE, True)
        assert KEY not in result.output


@pytest.mark.parametrize("env", [{"CONDUIT_CONTEXT": "prod"}, {}])
def test_names_are_filled_in(env: dict[str, str]) -> None:
    for name in ("prod", "preview", "dev"):
        ok("context", "add", name, "--url", URL)
    line = {"COMP_WORDS": "conduit stats --context pr", "COMP_CWORD": "3"}
    ask = {"_CONDUIT_COMPLETE": "bash_complete", **line, **env}
    result = CliRunner().invoke(main, prog_name="conduit", env=ask)
    assert result.stdout.split() == ["plain,preview", "plain,prod"]
