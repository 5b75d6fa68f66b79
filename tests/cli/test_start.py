from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from conduit.cli.exits import Exit
from conduit.cli.main import main
from conduit.environment import described
from conduit.storage.postgres.migrations import all_migrations
from tests.support.server import clean_environment

HEAVY = ("asyncio", "fastapi", "httpx2", "msgspec", "pydantic", "rich", "uvloop", "websockets")


def commands() -> list[tuple[str, ...]]:
    """The path of every command, without groups."""
    found: list[tuple[str, ...]] = []
    for name, command in main.commands.items():
        if isinstance(command, click.Group):
            found += [(name, sub) for sub in command.commands]
        else:
            found.append((name,))
    return found


@pytest.mark.process
def test_help_loads_nothing_heavy() -> None:
    """The bound is 150 ms; what is loaded decides it, and can be tested on a busy machine."""
    check = f"import sys, conduit.cli.main; print(*set({HEAVY!r}) & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, env=clean_environment()
    )
    assert (done.stdout.strip(), done.stderr) == ("", "")


@pytest.mark.parametrize("path", commands(), ids=" ".join)
def test_every_command_says_what_it_does_in_one_line_of_the_list(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, [*path, "--help"])
    assert result.exit_code == 0
    listing = CliRunner().invoke(main, [*path[:-1], "--help"], terminal_width=100).output
    (line,) = [line for line in listing.splitlines() if line.split()[:1] == [path[-1]]]
    assert not line.endswith("...")


def test_the_version_is_the_packages() -> None:
    result = CliRunner().invoke(main, ["--version"])
    assert result.output == "conduit 0.1.0\n"


@pytest.mark.parametrize(
    "args",
    [
        ["pub"],
        ["pub", "orders"],
        ["pub", "orders", "1", "--file", "x"],
        ["pub", "orders", "-", "--count", "2"],
        ["pub", "orders", "1", "--count", "2", "--idempotency-key", "k"],
        ["pub", "orders", "--messages", "--file", "x"],
        ["pub", "--messages"],
        ["pub", "orders", "1", "-H", "no-value"],
        ["pub", "orders", "1", "--rate", "0"],
        ["pub", "orders", "1", "-H", "a=1", "-H", "a=2"],
        ["pub", "orders", "--file", "-", "--file", "-"],
        ["sub"],
        ["sub", "orders", "--from", "tomorrow"],
        ["sub", "orders", "--ack", "manual"],
        ["topic", "create", "orders", "--max-age", "long"],
        ["topic", "create", "orders", "--max-age", "0s"],
        ["topic", "create", "orders", "--max-bytes", "1G"],
        ["topic", "create", "orders", "--max-messages", "0"],
        ["sub", "orders", "--format", "{nope}"],
        ["sub", "orders", "--raw", "-o", "json"],
        ["sub", "orders", "--order", "random"],
        ["sub", "orders", "--max-attempts", "0"],
        ["topic", "nonsense"],
        ["dlq", "redrive"],
        ["dlq", "redrive", "some-id", "--all"],
        ["dlq", "redrive", "some-id", "--topic", "orders"],
        ["dlq", "discard"],
        ["dlq", "discard", "some-id"],
        ["dlq", "discard", "some-id", "--all"],
        ["dlq", "discard", "some-id", "--redriven"],
        ["dlq", "discard", "some-id", "--dry-run"],
        ["subscription", "seek", "billing"],
        ["subscription", "seek", "billing", "--to", "new"],
        ["stats", "-o", "xml"],
        ["stats", "--url", "nowhere"],
        ["stats", "--api-key", "x", "--api-key-file", "y"],
        ["key", "create", "worker"],
        ["key", "create", "worker", "--scope", "everything"],
        ["key", "create", "worker", "--scope", "publish:a..b"],
        ["key", "create", "worker", "--scope", "publish", "--limit", "topics=1"],
        ["key", "create", "worker", "--scope", "publish", "--expires", "soon"],
        ["key", "create", "worker", "--scope", "publish", "-q", "-o", "json"],
        ["key", "change", "abcd1234"],
        ["key", "rotate", "abcd1234", "--overlap", "0s"],
        ["key", "revoke", "abcd1234"],
        ["tenant", "change", "acme"],
        ["tenant", "create", "acme", "--limit", "topics"],
        ["tenant", "rm", "acme"],
        ["token", "create", "--scope", "publish", "--ttl", "0s"],
        ["audit", "-f", "-o", "json"],
    ],
    ids=" ".join,
)
def test_what_makes_no_sense_is_a_usage_error_before_anything_is_asked(args: list[str]) -> None:
    result = CliRunner().invoke(main, args, env={"CONDUIT_URL": "http://127.0.0.1:9"})
    assert result.exit_code == 2, result.output
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["pub", "t", "1", "--file", "x"], "DATA and --file are two"),
        (["pub", "t"], "say what to publish"),
        (["dlq", "redrive", "x", "--all"], "choose one"),
        (["dlq", "discard", "x", "--topic", "t"], "choose one"),
        (["dlq", "discard", "--all", "--topic", "t"], "choose one"),
        (["dlq", "discard"], "say which"),
    ],
    ids=" ".join,
)
def test_of_two_ways_at_once_it_is_said_that_they_are_two(args: list[str], said: str) -> None:
    result = CliRunner().invoke(main, args, env={"CONDUIT_URL": "http://127.0.0.1:9"})
    assert (result.exit_code, said in result.stderr) == (2, True), result.stderr


def test_of_a_version_that_there_is_not_no_migrations_are_printed() -> None:
    newest = all_migrations()[-1].version
    result = CliRunner().invoke(main, ["migrate", "sql", "--from", str(newest)])
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "nothing to apply\n")
    for version, said in ((newest + 1, f"the newest is {newest}"), (-1, "from 0 up")):
        result = CliRunner().invoke(main, ["migrate", "sql", "--from", str(version)])
        assert (result.exit_code, result.stdout) == (2, "")
        assert said in result.stderr


@pytest.mark.parametrize("command", ["check", "compact", "restore", "trust"])
def test_a_store_command_without_a_database_asks_which(command: str) -> None:
    result = CliRunner().invoke(
        main, ["store", command, *(["--yes"] if command != "check" else [])]
    )
    assert result.exit_code == 2
    assert result.stderr.startswith("error: DATABASE_URL, or --database-url, must say which")


def test_wrong_settings_are_all_told_at_once() -> None:
    env = {"PORT": "http", "CONDUIT_MAX_TOPICS": "0", "DATABASE_URL": "mysql://secret@x"}
    result = CliRunner().invoke(main, ["serve"], env=env)
    assert result.exit_code == 2
    lines = result.stderr.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("error: ") for line in lines)
    assert "secret" not in result.stderr


def test_the_summaries_of_commands_are_whole_however_narrow_the_terminal_is() -> None:
    result = CliRunner().invoke(main, ["--help"], terminal_width=60)
    assert "what it is after it was restored or moved. bench" in " ".join(result.stdout.split())


@pytest.mark.parametrize("path", [(), ("store",), ("migrate",), *commands()], ids=" ".join)
def test_help_names_no_file_that_is_not_installed(path: tuple[str, ...]) -> None:
    assert "docs/" not in CliRunner().invoke(main, [*path, "--help"]).output


def test_help_has_the_exit_codes() -> None:
    lines = CliRunner().invoke(main, ["--help"], terminal_width=80).output.splitlines()
    at = [line.strip() for line in lines].index("Exit codes:")
    told = " ".join(" ".join(lines[at + 1 :]).split())
    assert told == " ".join(f"{int(code)} {code.meaning}" for code in Exit)
    assert max(map(len, lines)) <= 80


def test_all_settings_are_listed_with_what_they_are_for() -> None:
    output = CliRunner().invoke(main, ["settings"]).output
    for each in described():
        assert f"{each.name}  default: {each.default}\n" in output
    words = " ".join(output.split())
    assert all(each.about.replace("`", "") in words for each in described())
    assert max(map(len, output.splitlines())) <= 100


def test_an_option_of_serve_wins_over_its_variable() -> None:
    result = CliRunner().invoke(main, ["serve", "--port", "http"], env={"PORT": "8080"})
    assert result.exit_code == 2
    assert "PORT is 'http'" in result.stderr
